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
    "usage: vklm devices [--json] [--no-quirks]\n\n"
    "Lists the Vulkan devices: number, name, type, driver, Vulkan version, memory, subgroup sizes, "
    "and the\n"
    "kernel tiers that run there: base (every device), dot8 (8-bit integer dot products), coop\n"
    "(cooperative matrices). The number or a part of the name goes to --device.\n"
    "--json has everything that kernels are chosen by. --no-quirks: as the drivers say it, without "
    "the\n"
    "corrections for known troubles of drivers.\n";

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

// What kernels are chosen by: tests keep such lists of devices that are not there.
static void add_capabilities(cJSON *o, const vklm_device_info *d)
{
    cJSON_AddNumberToObject(o, "driver_id", d->driver_id);
    cJSON_AddNumberToObject(o, "driver_version", d->driver_version);
    cJSON_AddNumberToObject(o, "max_workgroup_invocations", d->max_workgroup_invocations);
    cJSON_AddNumberToObject(o, "max_shared_bytes", d->max_shared_bytes);
    cJSON_AddNumberToObject(o, "max_push_bytes", d->max_push_bytes);
    cJSON_AddNumberToObject(o, "max_allocation_bytes", (double)d->max_allocation_bytes);
    cJSON_AddNumberToObject(o, "max_buffer_bytes", (double)d->max_buffer_bytes);
    cJSON *heaps = cJSON_AddArrayToObject(o, "heaps");
    for (uint32_t i = 0; i < d->n_heaps; i++) {
        cJSON *heap = cJSON_CreateObject();
        cJSON_AddNumberToObject(heap, "bytes", (double)d->heaps[i].bytes);
        cJSON_AddBoolToObject(heap, "device_local", d->heaps[i].device_local);
        cJSON_AddBoolToObject(heap, "host_visible", d->heaps[i].host_visible);
        cJSON_AddItemToArray(heaps, heap);
    }
    cJSON *shapes = cJSON_AddArrayToObject(o, "coop_shapes"); // m n k, types of A, B, C, result
    for (uint32_t i = 0; i < d->n_coop_shapes; i++) {
        const vklm_coop_shape *s = &d->coop_shapes[i];
        const int numbers[] = {(int)s->m, (int)s->n, (int)s->k,     s->a_type,
                               s->b_type, s->c_type, s->result_type};
        cJSON_AddItemToArray(shapes, cJSON_CreateIntArray(numbers, 7));
    }
}

static cJSON *to_json(const vklm_device_info *d)
{
    char version[32];
    snprintf(version, sizeof version, "%u.%u.%u", d->vulkan_major, d->vulkan_minor,
             d->vulkan_patch);
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
    cJSON_AddBoolToObject(o, "dot8_mixed_accelerated", d->accelerated_dot8_mixed);
    cJSON_AddBoolToObject(o, "float16", d->has_float16);
    cJSON_AddBoolToObject(o, "storage_16bit", d->has_storage16);
    cJSON_AddBoolToObject(o, "storage_8bit", d->has_storage8);
    cJSON_AddBoolToObject(o, "int64", d->has_int64);
    add_capabilities(o, d);
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
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"no-quirks", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool json = false, no_quirks = false;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (o == '?')
            return 2;
        *(o == 'j' ? &json : &no_quirks) = true;
    }
    if (optind < argc)
        return vklm_options_misused("devices", "takes no arguments");
    vklm_console_open(VKLM_LOG_WARNING);
    vklm_device_info *devices;
    size_t n;
    vklm_status (*list)(vklm_device_info **, size_t *) =
        no_quirks ? vklm_device_list_as_reported : vklm_device_list;
    if (list(&devices, &n) != VKLM_OK)
        return vklm_options_failed();
    if (json)
        print_json(devices, n);
    else
        for (size_t i = 0; i < n; i++)
            print_line(&devices[i]);
    vklm_free(devices);
    return 0;
}
