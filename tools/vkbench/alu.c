// vkbench alu: arithmetic in registers. The operations are counted in the shaders and published
// with the number; results are checked, so that none was left out.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/half.h"
#include "vkbench/measure.h"

enum { LANES = 256, ACCUMULATORS = 8, COOP_ACCUMULATORS = 4 };

typedef struct {
    const char *name, *shader;
    uint32_t constants[VKLM_GPU_MAX_CONSTANTS];
    double operations; // of one workgroup and step
    uint32_t groups, steps;
    uint64_t result_bytes; // of one workgroup
    bool smallest_subgroups;
    struct vklm_args_bench args;
    vklm_gpu_view y;
    bool (*right)(const void *result, const void *opaque);
} kernel;

static void record(vklm_gpu_cmd *cmd, void *opaque)
{
    kernel *k = opaque;
    k->args.n_steps = k->steps;
    vklm_gpu_dispatch d = {
        .label = k->name,
        .shader = k->shader,
        .smallest_subgroups = k->smallest_subgroups,
        .args = &k->args,
        .args_bytes = sizeof k->args,
        .groups = {k->groups},
        .writes = {k->y},
    };
    memcpy(d.constants, k->constants, sizeof d.constants);
    vklm_gpu_cmd_dispatch(cmd, &d);
}

// Each invocation's chains end where they began: multiples of 1/1024.
static bool floats_right(const void *result, const void *opaque)
{
    const kernel *k = opaque;
    const float *y = result;
    for (uint32_t id = 0; id < k->groups * LANES; id++) {
        float sum = 0;
        for (uint32_t i = 0; i < 4 * ACCUMULATORS; i++)
            sum += (float)((i + id) & 1023) / 1024;
        if (y[id] != sum)
            return false;
    }
    return true;
}

static uint32_t dot4x8(uint32_t a, uint32_t b)
{
    int32_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (int8_t)(a >> 8 * i) * (int8_t)(b >> 8 * i);
    return (uint32_t)sum;
}

static bool dots_right(const void *result, const void *opaque)
{
    const kernel *k = opaque;
    const uint32_t *y = result;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t sum = 0;
        for (uint32_t i = 0; i < ACCUMULATORS; i++) {
            uint32_t x = (lane * ACCUMULATORS + i) * 0x01010101u;
            for (uint32_t n = 0; n < k->steps; n++)
                x += dot4x8(x, k->args.mask);
            sum += x;
        }
        for (uint32_t g = 0; g < k->groups; g++)
            if (y[g * LANES + lane] != sum)
                return false;
    }
    return true;
}

// Every element is one product of ones: K.
static bool coop_right(const void *result, const void *opaque)
{
    const kernel *k = opaque;
    const size_t n = (size_t)k->groups * k->constants[2] * k->constants[3];
    const bool halves = k->result_bytes == 2ull * k->constants[2] * k->constants[3];
    for (size_t i = 0; i < n; i++) {
        double got = strstr(k->shader, "s32") ? (double)((const int32_t *)result)[i]
                     : halves ? (double)vklm_half_from_f16(((const uint16_t *)result)[i])
                              : (double)((const float *)result)[i];
        if (got != (double)k->constants[4])
            return false;
    }
    return true;
}

// Times a kernel in dispatches long enough for the clock.
static vklm_status time_kernel(vklm_bench *b, kernel *k, vklm_bench_sample *out_gops,
                               bool *out_right)
{
    vklm_gpu_buffer *y = NULL;
    uint64_t bytes = k->groups * k->result_bytes;
    void *result = vklm_alloc(bytes, 1);
    vklm_bench_work work = {.record = record, .opaque = k};
    vklm_bench_sample us = {0};
    double seconds = b->options.seconds, wanted = vklm_bench_is_cpu(b) ? 10e3 : 3e3;
    vklm_status status = result
                             ? vklm_gpu_buffer_create(b->device, VKLM_GPU_MEMORY_DEVICE, bytes, &y)
                             : vklm_fail_memory("results");
    if (status == VKLM_OK) {
        k->y = vklm_gpu_buffer_view(y);
        k->args.y = vklm_gpu_view_address(k->y);
        k->steps = 16;
        b->options.seconds = 0; // once, to see how long it takes
        status = vklm_bench_time(b, &work, &us);
        b->options.seconds = seconds;
    }
    if (status == VKLM_OK && us.median < wanted)
        k->steps = (uint32_t)(k->steps * (wanted / (us.median > 10 ? us.median : 10))) / 2 * 2;
    if (status == VKLM_OK)
        status = vklm_bench_time(b, &work, &us);
    if (status == VKLM_OK)
        status = vklm_gpu_stage_download(b->stage, k->y, result);
    *out_right = status == VKLM_OK && k->right(result, k);
    *out_gops = vklm_bench_rate(us, k->operations * k->groups * k->steps * 1e-3);
    free(result);
    vklm_gpu_buffer_destroy(y);
    return status;
}

static kernel simple_kernel(const vklm_bench *b, const char *name, const char *shader)
{
    return (kernel){
        .name = name,
        .shader = shader,
        .constants = {LANES},
        .operations = 16.0 * ACCUMULATORS * LANES,
        .groups = vklm_bench_is_cpu(b) ? 64 : 2048,
        .result_bytes = LANES * sizeof(float),
        .args = {.m = -1, .c = 1},
        .right = floats_right,
    };
}

static kernel dot_kernel(const vklm_bench *b)
{
    kernel k = simple_kernel(b,
                             vklm_bench_caps(b)->int8_dot_accelerated
                                 ? "int8 dot product"
                                 : "int8 dot product (not accelerated)",
                             "bench_dot8");
    k.operations = 8.0 * ACCUMULATORS * LANES;
    k.args.mask = 0x03FD05FBu; // 3, -3, 5, -5
    k.right = dots_right;
    return k;
}

static vklm_status add(vklm_bench *b, kernel *k, const char *missing)
{
    cJSON *row = vklm_bench_row(b, "alu", k->name);
    vklm_bench_sample gops;
    bool right;
    if (missing) {
        cJSON_AddStringToObject(row, "note", missing);
        return VKLM_OK;
    }
    vklm_status status = time_kernel(b, k, &gops, &right);
    if (status != VKLM_OK)
        return status;
    if (!right) {
        cJSON_AddStringToObject(row, "note", "WRONG result");
        vklm_bench_warn(b, "%s: the device computes wrong results", k->name);
        return VKLM_OK;
    }
    vklm_bench_add(b, row, "gops", gops);
    cJSON_AddNumberToObject(row, "operations", k->operations * k->groups * k->steps);
    return VKLM_OK;
}

// -- cooperative matrices: a row for each shape and types that the device lists

enum { F16 = 0, F32 = 1, S8 = 3, S32 = 5 }; // VkComponentTypeKHR

static const char *type_name(uint8_t type)
{
    static const char *const names[] = {"f16", "f32", "f64", "s8",  "s16", "s32",
                                        "s64", "u8",  "u16", "u32", "u64"};
    return type < sizeof names / sizeof *names ? names[type] : "other";
}

static kernel coop_kernel(const vklm_bench *b, const vklm_coop_shape *s)
{
    static const struct {
        uint8_t ab, c;
        const char *shader;
    } kernels[] = {{F16, F32, "bench_coop_f16_f32"},
                   {F16, F16, "bench_coop_f16_f16"},
                   {S8, S32, "bench_coop_s8_s32"}};
    const vklm_gpu_caps *caps = vklm_bench_caps(b);
    kernel k = {
        .name = "matrices",
        // as the engine's: a workgroup of several subgroups would do more than is counted
        .constants = {caps->min_subgroup_size, 0, s->m, s->n, s->k},
        .smallest_subgroups = true,
        .operations = 4.0 * s->m * s->n * s->k * COOP_ACCUMULATORS,
        .groups = vklm_bench_is_cpu(b) ? 64 : 4096,
        .result_bytes = (uint64_t)s->m * s->n * (s->c_type == F16 ? 2 : 4),
        .args = {.m = 1, .c = 1},
        .right = coop_right,
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (s->a_type == kernels[i].ab && s->b_type == s->a_type && s->c_type == kernels[i].c &&
            s->result_type == s->c_type)
            k.shader = kernels[i].shader;
    return k;
}

static vklm_status coop_row(vklm_bench *b, const vklm_coop_shape *s)
{
    char name[96];
    kernel k = coop_kernel(b, s);
    snprintf(name, sizeof name, "matrix %ux%ux%u %s x %s + %s", s->m, s->n, s->k,
             type_name(s->a_type), type_name(s->b_type), type_name(s->c_type));
    k.name = name;
    return add(b, &k, k.shader ? NULL : "types that this version does not measure");
}

static vklm_status coop_rows(vklm_bench *b)
{
    const vklm_gpu_caps *caps = vklm_bench_caps(b);
    kernel none = {.name = "cooperative matrices"};
    if (!(caps->tiers & VKLM_TIER_COOP))
        return add(b, &none, "the device has none");
    vklm_status status = VKLM_OK;
    for (uint32_t i = 0; i < caps->n_coop_shapes && status == VKLM_OK; i++) {
        bool again = false; // drivers list a shape once more with saturation
        for (uint32_t j = 0; j < i; j++)
            again |= memcmp(&caps->coop_shapes[i], &caps->coop_shapes[j],
                            sizeof *caps->coop_shapes) == 0;
        if (!again)
            status = coop_row(b, &caps->coop_shapes[i]);
    }
    return status;
}

static kernel peak_kernel(const vklm_bench *b, vklm_bench_arithmetic what)
{
    switch (what) {
    case VKLM_BENCH_INT8:
        return dot_kernel(b);
    case VKLM_BENCH_COOP:
        return coop_kernel(b, vklm_gpu_caps_coop_shape(vklm_bench_caps(b)));
    default:
        return simple_kernel(b, "f32 multiply-add", "bench_f32");
    }
}

vklm_status vklm_bench_measure_peak(vklm_bench *b, vklm_bench_arithmetic what, double *out_gflops)
{
    kernel k = peak_kernel(b, what);
    vklm_bench_sample gops;
    bool right;
    vklm_status status = time_kernel(b, &k, &gops, &right);
    if (status == VKLM_OK && !right)
        status = vklm_fail(VKLM_UNSUPPORTED, "%s computes wrong results: %s",
                           vklm_bench_caps(b)->name, k.name);
    *out_gflops = gops.p95; // what it can do, not what it did beside other programs
    return status;
}

vklm_status vklm_bench_alu(vklm_bench *b)
{
    const vklm_gpu_caps *caps = vklm_bench_caps(b);
    kernel f32 = peak_kernel(b, VKLM_BENCH_F32);
    kernel f16 = simple_kernel(b, "f16 multiply-add", "bench_f16");
    kernel dot = dot_kernel(b);
    vklm_status status = add(b, &f32, NULL);
    if (status == VKLM_OK)
        status = add(b, &f16, caps->float16 ? NULL : "the device has no 16-bit floats");
    if (status == VKLM_OK)
        status = add(b, &dot, caps->int8_dot ? NULL : "the device has no integer dot product");
    return status == VKLM_OK ? coop_rows(b) : status;
}
