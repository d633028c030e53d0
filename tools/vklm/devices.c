// vklm devices
#include "vklm/commands.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <vklm/vklm.h>

#include "base/json.h"
#include "vklm/console.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm devices [--json]\n\n"
    "Lists the Vulkan devices: number, name, type, driver, Vulkan version, memory, subgroup sizes, and the\n"
    "kernel tiers that run there: base (every device), dot8 (8-bit integer dot products), coop\n"
    "(cooperative matrices). The number or a part of the name goes to --device.\n";

static const struct {
    unsigned bit;
    const char *name;
} tiers[] = {{VKLM_TIER_BASE, "base"}, {VKLM_TIER_DOT8, "dot8"}, {VKLM_TIER_COOP, "coop"}};
enum { N_TIERS = sizeof tiers / sizeof *tiers };

static void print_line(const vklm_device_info *d)
{
    printf("%u: %s (%s), %s, Vulkan %u.%u.%u, %.1f GiB (%.1f free), subgroup %u", d->index, d->name,
           vklm_device_type_name(d->type), d->driver, d->vulkan_major, d->vulkan_minor,
           d->vulkan_patch, (double)d->memory_bytes / (1 << 30),
           (double)d->memory_budget_bytes / (1 << 30), d->subgroup_size);
    if (d->min_subgroup_size != d->max_subgroup_size)
        printf(" (%u to %u)", d->min_subgroup_size, d->max_subgroup_size);
    printf(", tiers");
    for (int i = 0; i < N_TIERS; i++)
        if (d->tiers & tiers[i].bit)
            printf(" %s", tiers[i].name);
    if (d->unusable)
        printf(" none: it lacks %s", d->unusable);
    printf("\n");
}

static cJSON *to_json(const vklm_device_info *d)
{
    char version[32];
    snprintf(version, sizeof version, "%u.%u.%u", d->vulkan_major, d->vulkan_minor, d->vulkan_patch);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "index", d->index);
    cJSON_AddStringToObject(o, "name", d->name);
    cJSON_AddStringToObject(o, "type", vklm_device_type_name(d->type));
    cJSON_AddStringToObject(o, "driver", d->driver);
    cJSON_AddNumberToObject(o, "vendor_id", d->vendor_id);
    cJSON_AddNumberToObject(o, "device_id", d->device_id);
    cJSON_AddStringToObject(o, "vulkan", version);
    cJSON_AddNumberToObject(o, "memory_bytes", (double)d->memory_bytes);
    cJSON_AddNumberToObject(o, "memory_free_bytes", (double)d->memory_budget_bytes);
    cJSON_AddNumberToObject(o, "subgroup_size", d->subgroup_size);
    cJSON_AddNumberToObject(o, "min_subgroup_size", d->min_subgroup_size);
    cJSON_AddNumberToObject(o, "max_subgroup_size", d->max_subgroup_size);
    cJSON *list = cJSON_AddArrayToObject(o, "tiers");
    for (int i = 0; i < N_TIERS; i++)
        if (d->tiers & tiers[i].bit)
            cJSON_AddItemToArray(list, cJSON_CreateString(tiers[i].name));
    if (d->unusable)
        cJSON_AddStringToObject(o, "lacks", d->unusable);
    cJSON_AddNumberToObject(o, "cooperative_matrix_shapes", d->n_coop_shapes);
    cJSON_AddBoolToObject(o, "dot8_accelerated", d->accelerated_dot8);
    cJSON_AddBoolToObject(o, "float16", d->has_float16);
    cJSON_AddBoolToObject(o, "storage_16bit", d->has_storage16);
    cJSON_AddBoolToObject(o, "storage_8bit", d->has_storage8);
    cJSON_AddBoolToObject(o, "int64", d->has_int64);
    return o;
}

static void print_json(const vklm_device_info *devices, size_t n)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++)
        cJSON_AddItemToArray(list, to_json(&devices[i]));
    char *text = cJSON_Print(list);
    printf("%s\n", text ? text : "[]");
    cJSON_free(text);
    cJSON_Delete(list);
}

int vklm_command_devices(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool json = false;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (o != 'j')
            return 2;
        json = true;
    }
    if (optind < argc)
        return vklm_options_misused("devices", "takes no arguments");
    vklm_console_open(VKLM_LOG_WARNING);
    vklm_device_info *devices;
    size_t n;
    if (vklm_device_list(&devices, &n) != VKLM_OK)
        return vklm_options_failed();
    if (json)
        print_json(devices, n);
    else
        for (size_t i = 0; i < n; i++)
            print_line(&devices[i]);
    vklm_free(devices);
    return 0;
}
