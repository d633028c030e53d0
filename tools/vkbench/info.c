// vkbench info: what the driver says, and what follows from it.
#include <stdarg.h>
#include <stdio.h>

#include "vkbench/bench.h"

static const char *component(uint8_t type)
{
    static const char *const names[] = {"f16", "f32", "f64", "s8",  "s16", "s32",
                                        "s64", "u8",  "u16", "u32", "u64"};
    return type < sizeof names / sizeof *names ? names[type] : "other";
}

static void say(vklm_bench *b, const char *name, const char *format, ...) VKLM_PRINTF(3, 4);

static void say(vklm_bench *b, const char *name, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cJSON_AddStringToObject(vklm_bench_row(b, "info", name), "value", text);
}

static double gib(uint64_t bytes)
{
    return (double)bytes / (1 << 30);
}

// A discrete device whose memory the host can map only through a window of 256 MB.
static bool small_window(const vklm_gpu_caps *c)
{
    uint64_t visible = 0, total = 0;
    for (uint32_t i = 0; i < c->n_heaps; i++)
        if (c->heaps[i].device_local) {
            total = c->heaps[i].bytes > total ? c->heaps[i].bytes : total;
            if (c->heaps[i].host_visible && c->heaps[i].bytes > visible)
                visible = c->heaps[i].bytes;
        }
    return c->type == VKLM_DEVICE_DISCRETE && visible < total / 2;
}

static void memory(vklm_bench *b, const vklm_gpu_caps *c)
{
    for (uint32_t i = 0; i < c->n_heaps; i++) {
        char name[32];
        snprintf(name, sizeof name, "heap %u", i);
        say(b, name, "%.2f GiB, %.2f free now; %s%s", gib(c->heaps[i].bytes),
            gib(c->heaps[i].budget), c->heaps[i].device_local ? "device memory" : "host memory",
            c->heaps[i].host_visible ? ", the host can map it" : "");
    }
    if (c->type == VKLM_DEVICE_DISCRETE)
        say(b, "resizable BAR", "%s", small_window(c) ? "no" : "yes");
    say(b, "largest allocation", "%.2f GiB, buffer %.2f GiB", gib(c->max_allocation_bytes),
        gib(c->max_buffer_bytes));
}

static void limits(vklm_bench *b, const vklm_gpu_caps *c)
{
    say(b, "workgroup", "%u invocations (%u x %u x %u), %u KiB of shared memory",
        c->max_workgroup_invocations, c->max_workgroup_size[0], c->max_workgroup_size[1],
        c->max_workgroup_size[2], c->max_shared_bytes / 1024);
    say(b, "push constants", "%u bytes", c->max_push_bytes);
    say(b, "subgroup", "%u (from %u to %u)", c->subgroup_size, c->min_subgroup_size,
        c->max_subgroup_size);
    say(b, "types", "f16 %s, int8 %s, int16 %s, int64 %s; 16-bit storage %s, 8-bit storage %s",
        c->float16 ? "yes" : "no", c->int8 ? "yes" : "no", c->int16 ? "yes" : "no",
        c->int64 ? "yes" : "no", c->storage16 ? "yes" : "no", c->storage8 ? "yes" : "no");
    say(b, "int8 dot product", "%s",
        !c->int8_dot              ? "no"
        : c->int8_dot_accelerated ? "yes, accelerated"
                                  : "yes, not accelerated");
    if (c->timestamps)
        say(b, "timestamps", "%g ns a tick, %u bits", (double)c->timestamp_ns, c->timestamp_bits);
    else
        say(b, "timestamps", "none: times are the host's");
}

static void matrices(vklm_bench *b, const vklm_gpu_caps *c)
{
    if (!c->coop_matrix)
        say(b, "cooperative matrices", "none");
    for (uint32_t i = 0; i < c->n_coop_shapes; i++) {
        const vklm_coop_shape *s = &c->coop_shapes[i];
        char name[32];
        snprintf(name, sizeof name, "matrix shape %u", i);
        say(b, name, "%u x %u x %u, %s x %s + %s -> %s", s->m, s->n, s->k, component(s->a_type),
            component(s->b_type), component(s->c_type), component(s->result_type));
    }
}

static void warnings(vklm_bench *b, const vklm_gpu_caps *c)
{
    uint64_t budget, total;
    vklm_gpu_caps_memory(c, &budget, &total);
    if (c->type == VKLM_DEVICE_CPU)
        vklm_bench_warn(b,
                        "%s is a CPU device: right answers, slowly; these speeds say nothing about "
                        "any GPU",
                        c->name);
    if (small_window(c))
        vklm_bench_warn(b, "no resizable BAR: the host maps only a window of the device's memory; "
                           "turn on \"Resizable BAR\" or \"Above 4G decoding\" in the firmware");
    if (budget < total / 2)
        vklm_bench_warn(b,
                        "only %.1f of %.1f GiB of device memory are free: other programs hold the "
                        "rest",
                        gib(budget), gib(total));
    if (!c->memory_budget)
        vklm_bench_warn(b,
                        "the driver does not say how much memory is free (VK_EXT_memory_budget)");
    if (!c->timestamps)
        vklm_bench_warn(b,
                        "the driver has no timestamps: short times include the cost of a submit");
    if (c->int8_dot && !c->int8_dot_accelerated && c->type != VKLM_DEVICE_CPU)
        vklm_bench_warn(b, "int8 dot products are emulated: kernels that count on them stay off");
    if (c->coop_matrix && !c->n_coop_shapes)
        vklm_bench_warn(b, "the driver offers cooperative matrices but no shape");
}

vklm_status vklm_bench_info(vklm_bench *b)
{
    const vklm_gpu_caps *c = vklm_bench_caps(b);
    unsigned masks[3];
    size_t n = vklm_bench_tiers(b, false, masks);
    char tiers[64] = "";
    for (size_t i = 0, at = 0; i < n && at < sizeof tiers; i++)
        at += (size_t)snprintf(tiers + at, sizeof tiers - at, "%s%s", i ? ", " : "",
                               vklm_bench_tier_name(masks[i]));
    say(b, "device", "%s (%s), vendor %04x device %04x", c->name, vklm_device_type_name(c->type),
        c->vendor_id, c->device_id);
    say(b, "driver", "%s %s, Vulkan %u.%u.%u", c->driver_name, c->driver_info, c->api_version >> 22,
        c->api_version >> 12 & 0x3FF, c->api_version & 0xFFF);
    say(b, "kernel tiers", "%s", tiers);
    for (size_t i = 0; vklm_bench_log_line(i); i++)
        say(b, "corrected", "%s", vklm_bench_log_line(i));
    memory(b, c);
    limits(b, c);
    matrices(b, c);
    warnings(b, c);
    return VKLM_OK;
}
