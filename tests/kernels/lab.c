#include "kernels/lab.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
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
    vklm_lab_params params;
    bool failed;
    double worst; // share of the bound that the checks since the last clear used
    vklm_gpu_device *device;
    vklm_gpu_stage *stage;
    vklm_gpu_buffer *buffers[MAX_BUFFERS];
    size_t n_buffers;
    output outputs[MAX_OUTPUTS];
    size_t n_outputs;
    void *heap[MAX_HEAP]; // what is freed with the case
    size_t n_heap;
    struct {
        const float *values, *sizes;
    } affine[MAX_BUFFERS]; // the q4 matrices
    size_t n_affine;
};

// One at a time: the checks of a case need not be told which.
static vklm_lab *current;

static void fail(const char *message)
{
    if (current->failed)
        return;
    current->failed = true;
    current->params.failed(current->params.opaque, message);
}

void vklm_lab_require(bool right, const char *format, ...)
{
    if (right || current->params.dry)
        return;
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fail(message);
}

static void must(vklm_status status)
{
    if (status != VKLM_OK)
        fail(vklm_error_message());
}

vklm_status vklm_lab_create(const vklm_lab_params *params, vklm_lab **out_lab)
{
    *out_lab = NULL;
    vklm_lab *lab = vklm_alloc(1, sizeof *lab);
    if (!lab)
        return vklm_fail_memory("the laboratory");
    lab->params = *params;
    lab->device = params->device;
    vklm_status status = VKLM_OK;
    if (!params->dry)
        status = vklm_gpu_stage_create(lab->device, &lab->stage);
    if (status != VKLM_OK) {
        free(lab);
        return status;
    }
    *out_lab = current = lab;
    return VKLM_OK;
}

void vklm_lab_destroy(vklm_lab *lab)
{
    if (!lab)
        return;
    vklm_lab_clear(lab);
    vklm_gpu_stage_destroy(lab->stage);
    free(lab);
    current = NULL;
}

vklm_gpu_device *vklm_lab_device(const vklm_lab *lab)
{
    return lab->device;
}

vklm_gpu_stage *vklm_lab_stage(const vklm_lab *lab)
{
    return lab->stage;
}

bool vklm_lab_is_dry(const vklm_lab *lab)
{
    return lab->params.dry;
}

void vklm_lab_random(uint64_t seed, float *out, size_t n)
{
    if (current && current->params.dry) {
        memset(out, 0, n * sizeof *out);
        return;
    }
    for (size_t i = 0; i < n; i += 4) {
        uint32_t words[4];
        vklm_rng_philox(seed, i / 4, words);
        for (size_t j = i; j < n && j < i + 4; j++)
            out[j] = (float)(int32_t)words[j - i] * 0x1p-31f;
    }
}

double *vklm_lab_doubles(const float *x, size_t n)
{
    double *y = malloc(n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = (double)x[i];
    return y;
}

static void *keep(vklm_lab *lab, void *memory)
{
    if (!memory || lab->n_heap == MAX_HEAP) { // the harness' own limits: nothing to go on with
        fprintf(stderr, "out of memory for a kernel case\n");
        abort();
    }
    lab->heap[lab->n_heap++] = memory;
    return memory;
}

static vklm_gpu_view new_buffer(vklm_lab *lab, uint64_t bytes)
{
    vklm_gpu_buffer *buffer = NULL;
    vklm_lab_require(lab->n_buffers < MAX_BUFFERS, "more than %d buffers", MAX_BUFFERS);
    if (!lab->failed && !lab->params.dry)
        must(vklm_gpu_buffer_create(lab->device, VKLM_GPU_MEMORY_DEVICE, bytes, &buffer));
    if (!buffer &&
        vklm_gpu_buffer_create(lab->device, VKLM_GPU_MEMORY_NONE, bytes, &buffer) != VKLM_OK)
        keep(lab, NULL);
    if (lab->n_buffers < MAX_BUFFERS)
        lab->buffers[lab->n_buffers++] = buffer;
    return vklm_gpu_buffer_view(buffer);
}

static void upload(vklm_lab *lab, const void *data, vklm_gpu_view to)
{
    if (lab->failed || lab->params.dry)
        return;
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
    assert(lab->n_outputs < MAX_OUTPUTS);
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

uint64_t vklm_lab_matrix_bytes(vklm_format format, uint32_t n_rows, uint32_t n_cols)
{
    return vklm_format_bytes(format, n_rows, n_cols);
}

static bool pack(vklm_format format, uint32_t n_rows, uint32_t n_cols, const float *values,
                 unsigned char *bytes)
{
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
    return vklm_pack_rows(NULL, &job, &bad);
}

void *vklm_lab_matrix(vklm_format format, uint32_t n_rows, uint32_t n_cols, const float *values)
{
    const size_t n = (size_t)n_rows * n_cols;
    void *bytes = vklm_alloc((size_t)vklm_lab_matrix_bytes(format, n_rows, n_cols), 1);
    if (!bytes)
        return NULL;
    uint16_t *halves = bytes;
    if (vklm_format_is_packed(format))
        vklm_lab_require(pack(format, n_rows, n_cols, values, bytes), "values that do not pack");
    else if (format == VKLM_FORMAT_F32)
        memcpy(bytes, values, n * sizeof *values);
    else
        for (size_t i = 0; i < n; i++)
            halves[i] = format == VKLM_FORMAT_F16 ? vklm_half_to_f16(values[i])
                                                  : vklm_half_to_bf16(values[i]);
    return bytes;
}

// |scale * q| + |minimum| of every element of a q4 matrix.
static void keep_affine(vklm_lab *lab, const unsigned char *bytes, uint32_t n_rows, uint32_t n_cols,
                        const float *values)
{
    const size_t n = (size_t)n_rows * n_cols;
    float *sizes = keep(lab, vklm_alloc(n, sizeof *sizes));
    vklm_format_plane planes[VKLM_FORMAT_MAX_PLANES];
    vklm_format_planes(VKLM_FORMAT_Q4, n_rows, n_cols, planes);
    for (size_t i = 0; i < n; i++) {
        const unsigned char *pair = bytes + planes[2].offset + i / 256 * 4;
        float low = vklm_half_from_f16((uint16_t)(pair[2] | pair[3] << 8)) *
                    (float)bytes[planes[1].offset + i / 32 * 2 + 1] / 256;
        sizes[i] = fabsf(values[i] + low) + fabsf(low);
    }
    vklm_lab_require(lab->n_affine < MAX_BUFFERS, "more than %d q4 matrices", MAX_BUFFERS);
    if (lab->n_affine < MAX_BUFFERS) {
        lab->affine[lab->n_affine].values = values;
        lab->affine[lab->n_affine++].sizes = sizes;
    }
}

vklm_weight vklm_lab_weight(vklm_lab *lab, uint64_t seed, vklm_format format, uint32_t n_rows,
                            uint32_t n_cols, const float **out_values)
{
    size_t n = (size_t)n_rows * n_cols;
    float *values = keep(lab, vklm_alloc(n, sizeof *values));
    *out_values = values;
    if (lab->params.dry)
        return (vklm_weight){.format = format,
                             .n_rows = n_rows,
                             .n_cols = n_cols,
                             .data =
                                 new_buffer(lab, vklm_lab_matrix_bytes(format, n_rows, n_cols))};
    vklm_lab_random(seed, values, n);
    void *bytes = vklm_lab_matrix(format, n_rows, n_cols, values);
    vklm_lab_require(bytes, "out of memory for a matrix");
    vklm_weight weight = {.format = format, .n_rows = n_rows, .n_cols = n_cols};
    if (bytes)
        vklm_format_unpack_rows(format, bytes, n_rows, n_cols, 0, n_rows, values);
    if (bytes && format == VKLM_FORMAT_Q4)
        keep_affine(lab, bytes, n_rows, n_cols, values);
    weight.data = vklm_lab_input(lab, bytes, (size_t)vklm_lab_matrix_bytes(format, n_rows, n_cols));
    free(bytes);
    return weight;
}

void vklm_lab_matmul(const vklm_lab *lab, const float *values, const double *x, size_t n_tokens,
                     size_t n_rows, size_t n_cols, double *y, double *magnitude)
{
    if (lab->failed || lab->params.dry)
        return;
    vklm_ref_matmul(values, x, n_tokens, n_rows, n_cols, y, magnitude);
    for (size_t i = 0; i < lab->n_affine; i++) {
        if (lab->affine[i].values != values)
            continue;
        double *size = vklm_alloc(n_tokens * n_cols, sizeof *size);
        vklm_lab_require(size, "out of memory for a reference");
        for (size_t j = 0; size && j < n_tokens * n_cols; j++)
            size[j] = fabs(x[j]);
        if (size)
            vklm_ref_matmul(lab->affine[i].sizes, size, n_tokens, n_rows, n_cols, magnitude, NULL);
        free(size);
    }
}

static void run_once(vklm_lab *lab, bool serial, vklm_lab_record record, const void *op)
{
    for (size_t i = 0; i < lab->n_outputs; i++)
        upload(lab, lab->outputs[i].initial, lab->outputs[i].whole);
    vklm_gpu_cmd *cmd = NULL;
    must(vklm_gpu_cmd_create(
        lab->device, &(vklm_gpu_cmd_params){.serial = serial, .dry = lab->params.dry}, &cmd));
    if (lab->failed)
        return;
    vklm_gpu_cmd_begin(cmd);
    record(cmd, op);
    must(vklm_gpu_cmd_end(cmd));
    if (!lab->failed && !lab->params.dry) {
        must(vklm_gpu_cmd_submit(cmd));
        if (!lab->failed)
            must(vklm_gpu_cmd_wait(cmd));
    }
    vklm_gpu_cmd_destroy(cmd);
}

static void check_canaries(const output *o, size_t index)
{
    size_t n = o->whole.bytes / sizeof(float);
    for (size_t j = 0; j < CANARY_FLOATS; j++) {
        vklm_lab_require(memcmp(&o->result[j], &CANARY, 4) == 0, "a write before output %zu",
                         index);
        vklm_lab_require(memcmp(&o->result[n - 1 - j], &CANARY, 4) == 0, "a write after output %zu",
                         index);
    }
}

void vklm_lab_run(vklm_lab *lab, vklm_lab_record record, const void *op)
{
    run_once(lab, false, record, op);
    for (size_t i = 0; i < lab->n_outputs && !lab->failed && !lab->params.dry; i++) {
        output *o = &lab->outputs[i];
        must(vklm_gpu_stage_download(lab->stage, o->whole, o->result));
        check_canaries(o, i);
    }
    if (lab->failed || lab->params.dry)
        return;
    run_once(lab, true, record, op);
    for (size_t i = 0; i < lab->n_outputs && !lab->failed; i++) {
        output *o = &lab->outputs[i];
        float *again = vklm_alloc(o->whole.bytes, 1);
        must(vklm_gpu_stage_download(lab->stage, o->whole, again));
        vklm_lab_require(memcmp(again, o->result, o->whole.bytes) == 0,
                         "output %zu differs in the second, serial run", i);
        free(again);
    }
    if (lab->params.corrupt)
        lab->outputs[0].result[CANARY_FLOATS] += 1;
}

const float *vklm_lab_read(vklm_lab *lab, vklm_gpu_view view)
{
    for (size_t i = 0; i < lab->n_outputs; i++)
        if (lab->outputs[i].inner.buffer == view.buffer)
            return lab->outputs[i].result + CANARY_FLOATS;
    return keep(lab, NULL);
}

uint32_t vklm_lab_word(const float *words, size_t i)
{
    uint32_t word;
    memcpy(&word, words + i, sizeof word);
    return word;
}

void vklm_lab_peek(vklm_lab *lab, vklm_gpu_view view, void *out)
{
    memset(out, 0, (size_t)view.bytes);
    if (!lab->failed && !lab->params.dry)
        must(vklm_gpu_stage_download(lab->stage, view, out));
}

void vklm_lab_clear(vklm_lab *lab)
{
    for (size_t i = 0; i < lab->n_buffers; i++)
        vklm_gpu_buffer_destroy(lab->buffers[i]);
    for (size_t i = 0; i < lab->n_heap; i++)
        free(lab->heap[i]);
    lab->n_buffers = lab->n_outputs = lab->n_heap = lab->n_affine = 0;
    lab->worst = 0;
    lab->failed = false;
}

void vklm_lab_finish_case(vklm_lab *lab, vklm_lab_record record, const void *op)
{
    if (!lab->failed && lab->params.passed)
        lab->params.passed(lab->params.opaque, lab, record, op, lab->worst);
    vklm_lab_clear(lab);
}

void vklm_lab_check(const char *what, const float *got, const double *want, const double *magnitude,
                    size_t n, double factor)
{
    if (current->failed || current->params.dry)
        return;
    for (size_t i = 0; i < n; i++) {
        double bound = factor * 0x1p-24 * magnitude[i] + 1e-30;
        double share = fabs((double)got[i] - want[i]) / bound;
        vklm_lab_require(share <= 1, "%s: element %zu is %.9g, wanted %.9g, %.3g times the bound",
                         what, i, (double)got[i], want[i], share);
        current->worst = fmax(current->worst, share);
    }
}

void vklm_lab_check_q8(const char *what, const void *matrix, uint32_t n_rows, uint32_t n_cols,
                       uint32_t row, const double *want, const double *magnitude, double factor)
{
    float *got = vklm_alloc(n_cols, sizeof *got);
    vklm_lab_require(got, "out of memory for a row");
    if (!got || current->failed || current->params.dry) {
        free(got);
        return;
    }
    vklm_format_unpack_rows(VKLM_FORMAT_Q8, matrix, n_rows, n_cols, row, 1, got);
    for (uint32_t block = 0; block < n_cols; block += 32) {
        double most = 0;
        for (uint32_t i = block; i < block + 32; i++)
            most = fmax(most, fabs(want[i]));
        for (uint32_t i = block; i < block + 32; i++) {
            // packHalf2x16 may cut where it should round: the largest element then lies a bit past
            // 127.
            double bound = most * (0.5 / 127 + 0x1p-10) + factor * 0x1p-24 * magnitude[i] + 1e-30;
            vklm_lab_require(fabs((double)got[i] - want[i]) <= bound,
                             "%s: element %u is %.9g, wanted %.9g", what, i, (double)got[i],
                             want[i]);
        }
    }
    free(got);
}
