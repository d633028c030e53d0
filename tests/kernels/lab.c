#include "kernels/lab.h"

#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/half.h"
#include "base/rng.h"
#include "quant/pack.h"
#include "ref/ops.h"

enum { CANARY_FLOATS = 64, MAX_OUTPUTS = 16, MAX_BUFFERS = 64, MAX_HEAP = 512 };
static const uint32_t CANARY = 0xC0FFEE01;

typedef struct {
    vklm_gpu_view whole, inner; // with and without canaries
    float *initial;             // [whole]
    float *result;              // [whole], of the first run
} output;

struct vklm_lab {
    vklm_gpu_instance *instance;
    vklm_gpu_device *device;
    vklm_gpu_stage *stage;
    vklm_gpu_buffer *buffers[MAX_BUFFERS];
    size_t n_buffers;
    output outputs[MAX_OUTPUTS];
    size_t n_outputs;
    void *heap[MAX_HEAP]; // what is freed with the case
    size_t n_heap;
};

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

static void to_stderr(void *opaque, vklm_log_level level, const char *message)
{
    (void)opaque;
    if (level <= VKLM_LOG_WARNING)
        fprintf(stderr, "%s\n", message);
}

vklm_lab *vklm_lab_open(void)
{
    return vklm_lab_open_tiers(0);
}

vklm_lab *vklm_lab_open_tiers(unsigned tiers)
{
    vklm_log_set(to_stderr, NULL, VKLM_LOG_WARNING);
    vklm_lab *lab = vklm_alloc(1, sizeof *lab);
    cr_assert(lab);
    vklm_status status =
        vklm_gpu_instance_create(&(vklm_gpu_instance_params){.validation = true}, &lab->instance);
    if (status == VKLM_NO_DEVICE) {
        free(lab);
        return NULL;
    }
    cr_assert(status == VKLM_OK, "%s", vklm_error_message());
    size_t index;
    must(vklm_gpu_instance_select(lab->instance, NULL, &index));
    vklm_gpu_device_params params = {.tune_as_gpu = getenv("VKLM_TEST_AS_GPU"), .tiers = tiers};
    if (getenv("VKLM_TEST_LIMIT"))
        must(vklm_device_limits_parse(getenv("VKLM_TEST_LIMIT"), &params.limits));
    must(vklm_gpu_device_open(lab->instance, index, &params, &lab->device));
    must(vklm_gpu_stage_create(lab->device, &lab->stage));
    return lab;
}

void vklm_lab_close(vklm_lab *lab)
{
    vklm_lab_clear(lab);
    vklm_gpu_stage_destroy(lab->stage);
    vklm_gpu_device_close(lab->device);
    unsigned messages = vklm_gpu_instance_messages(lab->instance);
    vklm_gpu_instance_destroy(lab->instance);
    free(lab);
    cr_assert_eq(messages, 0, "%u validation messages", messages);
}

vklm_gpu_device *vklm_lab_device(const vklm_lab *lab)
{
    return lab->device;
}

vklm_gpu_stage *vklm_lab_stage(const vklm_lab *lab)
{
    return lab->stage;
}

void vklm_lab_random(uint64_t seed, float *out, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        uint32_t words[4];
        vklm_rng_philox(seed, i / 4, words);
        for (size_t j = i; j < n && j < i + 4; j++)
            out[j] = (float)(int32_t)words[j - i] * 0x1p-31f;
    }
}

static void *keep(vklm_lab *lab, void *memory)
{
    cr_assert(memory && lab->n_heap < MAX_HEAP);
    lab->heap[lab->n_heap++] = memory;
    return memory;
}

static vklm_gpu_view new_buffer(vklm_lab *lab, uint64_t bytes)
{
    cr_assert(lab->n_buffers < MAX_BUFFERS);
    vklm_gpu_buffer **buffer = &lab->buffers[lab->n_buffers];
    must(vklm_gpu_buffer_create(lab->device, VKLM_GPU_MEMORY_DEVICE, bytes, buffer));
    lab->n_buffers++;
    return vklm_gpu_buffer_view(*buffer);
}

static void upload(vklm_lab *lab, const void *data, vklm_gpu_view to)
{
    must(vklm_gpu_stage_upload(lab->stage, data, to));
    must(vklm_gpu_stage_finish(lab->stage));
}

vklm_gpu_view vklm_lab_input(vklm_lab *lab, const void *data, size_t bytes)
{
    vklm_gpu_view view = new_buffer(lab, bytes);
    upload(lab, data, view);
    return view;
}

vklm_gpu_view vklm_lab_output(vklm_lab *lab, const float *data, size_t n)
{
    cr_assert(lab->n_outputs < MAX_OUTPUTS);
    output *o = &lab->outputs[lab->n_outputs++];
    size_t all = n + 2 * CANARY_FLOATS;
    o->whole = new_buffer(lab, all * sizeof(float));
    o->inner = vklm_gpu_view_part(o->whole, CANARY_FLOATS * sizeof(float), n * sizeof(float));
    o->initial = keep(lab, vklm_alloc(all, sizeof(float)));
    o->result = keep(lab, vklm_alloc(all, sizeof(float)));
    for (size_t i = 0; i < all; i++) {
        memcpy(&o->initial[i], &CANARY, sizeof CANARY);
        if (i >= CANARY_FLOATS && i < all - CANARY_FLOATS)
            o->initial[i] = data ? data[i - CANARY_FLOATS] : NAN;
    }
    return o->inner;
}

// The bytes of a matrix of these values, in a format; free() them.
static void *make_matrix(vklm_format format, uint32_t n_rows, uint32_t n_cols, const float *values)
{
    const size_t n = (size_t)n_rows * n_cols;
    unsigned char *bytes = vklm_alloc((size_t)vklm_format_bytes(format, n_rows, n_cols), 1);
    uint16_t *halves = (uint16_t *)(void *)bytes;
    cr_assert(bytes);
    if (vklm_format_is_packed(format)) {
        vklm_format_plane planes[VKLM_FORMAT_MAX_PLANES];
        vklm_pack_job job = {.format = format,
                             .stored = VKLM_FORMAT_F32,
                             .source = values,
                             .n_rows = n_rows,
                             .n_cols = n_cols};
        uint32_t n_planes = vklm_format_planes(format, n_rows, n_cols, planes);
        for (uint32_t p = 0; p < n_planes; p++)
            job.planes[p] = bytes + planes[p].offset;
        uint64_t bad;
        cr_assert(vklm_pack_rows(NULL, &job, &bad));
    } else if (format == VKLM_FORMAT_F32) {
        memcpy(bytes, values, n * sizeof *values);
    } else {
        for (size_t i = 0; i < n; i++)
            halves[i] = format == VKLM_FORMAT_F16 ? vklm_half_to_f16(values[i])
                                                  : vklm_half_to_bf16(values[i]);
    }
    return bytes;
}

// The minimum of the block that element i of a q4 matrix lies in.
static float q4_minimum(const unsigned char *bytes, uint32_t n_rows, uint32_t n_cols, size_t i)
{
    vklm_format_plane planes[VKLM_FORMAT_MAX_PLANES];
    vklm_format_planes(VKLM_FORMAT_Q4, n_rows, n_cols, planes);
    const unsigned char *pair = bytes + planes[2].offset + i / 256 * 4;
    float m0 = vklm_half_from_f16((uint16_t)(pair[2] | pair[3] << 8));
    return m0 * (float)bytes[planes[1].offset + i / 32 * 2 + 1] / 256;
}

vklm_weight vklm_lab_weight(vklm_lab *lab, uint64_t seed, vklm_format format, uint32_t n_rows,
                            uint32_t n_cols, const float **out_values)
{
    const size_t n = (size_t)n_rows * n_cols;
    float *values = keep(lab, vklm_alloc(n, sizeof *values));
    float *sizes = keep(lab, vklm_alloc(n, sizeof *sizes)); // the next in the heap: vklm_lab_sizes
    vklm_lab_random(seed, values, n);
    unsigned char *bytes = make_matrix(format, n_rows, n_cols, values);
    vklm_format_unpack_rows(format, bytes, n_rows, n_cols, 0, n_rows, values);
    for (size_t i = 0; i < n; i++) {
        float low = format == VKLM_FORMAT_Q4 ? q4_minimum(bytes, n_rows, n_cols, i) : 0;
        sizes[i] = fabsf(values[i] + low) + fabsf(low);
    }
    vklm_weight weight = {.format = format, .n_rows = n_rows, .n_cols = n_cols};
    weight.data = vklm_lab_input(lab, bytes, (size_t)vklm_format_bytes(format, n_rows, n_cols));
    free(bytes);
    *out_values = values;
    return weight;
}

const float *vklm_lab_sizes(const vklm_lab *lab, const float *values)
{
    for (size_t i = 0; i + 1 < lab->n_heap; i++)
        if (lab->heap[i] == values)
            return lab->heap[i + 1];
    cr_assert(false, "not a weight matrix");
    return NULL;
}

void vklm_lab_matmul(const vklm_lab *lab, const float *values, const double *x, size_t n_tokens,
                     size_t n_rows, size_t n_cols, double *y, double *magnitude)
{
    const size_t n = n_tokens * n_cols;
    double *size = vklm_alloc(n, sizeof *size);
    for (size_t i = 0; i < n; i++)
        size[i] = fabs(x[i]);
    vklm_ref_matmul(values, x, n_tokens, n_rows, n_cols, y, NULL);
    vklm_ref_matmul(vklm_lab_sizes(lab, values), size, n_tokens, n_rows, n_cols, magnitude, NULL);
    free(size);
}

static void run_once(vklm_lab *lab, bool serial, vklm_lab_record record, const void *op)
{
    for (size_t i = 0; i < lab->n_outputs; i++)
        upload(lab, lab->outputs[i].initial, lab->outputs[i].whole);
    vklm_gpu_cmd *cmd;
    must(vklm_gpu_cmd_create(lab->device, &(vklm_gpu_cmd_params){.serial = serial}, &cmd));
    vklm_gpu_cmd_begin(cmd);
    record(cmd, op);
    must(vklm_gpu_cmd_end(cmd));
    must(vklm_gpu_cmd_submit(cmd));
    must(vklm_gpu_cmd_wait(cmd));
    vklm_gpu_cmd_destroy(cmd);
}

void vklm_lab_run(vklm_lab *lab, vklm_lab_record record, const void *op)
{
    run_once(lab, false, record, op);
    for (size_t i = 0; i < lab->n_outputs; i++) {
        output *o = &lab->outputs[i];
        must(vklm_gpu_stage_download(lab->stage, o->whole, o->result));
        size_t n = o->whole.bytes / sizeof(float);
        for (size_t j = 0; j < CANARY_FLOATS; j++) {
            cr_assert_eq(memcmp(&o->result[j], &CANARY, 4), 0, "a write before output %zu", i);
            cr_assert_eq(memcmp(&o->result[n - 1 - j], &CANARY, 4), 0, "a write after output %zu",
                         i);
        }
    }
    run_once(lab, true, record, op);
    for (size_t i = 0; i < lab->n_outputs; i++) {
        output *o = &lab->outputs[i];
        float *again = vklm_alloc(o->whole.bytes, 1);
        must(vklm_gpu_stage_download(lab->stage, o->whole, again));
        cr_assert_eq(memcmp(again, o->result, o->whole.bytes), 0,
                     "output %zu differs in the second, serial run", i);
        free(again);
    }
}

const float *vklm_lab_read(vklm_lab *lab, vklm_gpu_view view)
{
    for (size_t i = 0; i < lab->n_outputs; i++)
        if (lab->outputs[i].inner.buffer == view.buffer)
            return lab->outputs[i].result + CANARY_FLOATS;
    cr_assert(false, "not an output");
    return NULL;
}

void vklm_lab_clear(vklm_lab *lab)
{
    for (size_t i = 0; i < lab->n_buffers; i++)
        vklm_gpu_buffer_destroy(lab->buffers[i]);
    for (size_t i = 0; i < lab->n_heap; i++)
        free(lab->heap[i]);
    lab->n_buffers = lab->n_outputs = lab->n_heap = 0;
}

void vklm_lab_check(const char *what, const float *got, const double *want, const double *magnitude,
                    size_t n, double factor)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double bound = factor * 0x1p-24 * magnitude[i] + 1e-30;
        double share = fabs((double)got[i] - want[i]) / bound;
        cr_assert(share <= 1, "%s: element %zu is %.9g, wanted %.9g, %.3g times the bound", what, i,
                  (double)got[i], want[i], share);
        worst = fmax(worst, share);
    }
    cr_log_info("%s: at most %.3f of the bound", what, worst);
}

void vklm_lab_check_q8(const char *what, const void *matrix, uint32_t n_rows, uint32_t n_cols,
                       uint32_t row, const double *want, const double *magnitude, double factor)
{
    float *got = vklm_alloc(n_cols, sizeof *got);
    vklm_format_unpack_rows(VKLM_FORMAT_Q8, matrix, n_rows, n_cols, row, 1, got);
    for (uint32_t block = 0; block < n_cols; block += 32) {
        double most = 0;
        for (uint32_t i = block; i < block + 32; i++)
            most = fmax(most, fabs(want[i]));
        for (uint32_t i = block; i < block + 32; i++) {
            // packHalf2x16 may cut where it should round: the largest element then lies a bit past
            // 127.
            double bound = most * (0.5 / 127 + 0x1p-10) + factor * 0x1p-24 * magnitude[i] + 1e-30;
            cr_assert(fabs((double)got[i] - want[i]) <= bound,
                      "%s: element %u is %.9g, wanted %.9g", what, i, (double)got[i], want[i]);
        }
    }
    free(got);
}
