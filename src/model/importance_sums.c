#include "model/importance_sums.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "gpu/device.h"
#include "gpu/stage.h"
#include "ops/column_squares.h"

// The matrices of a layer, in the order of the file.
static const vklm_matrix_class MATRICES[] = {VKLM_MATRIX_QKV, VKLM_MATRIX_OUT, VKLM_MATRIX_GATE_UP,
                                             VKLM_MATRIX_DOWN};
enum { PER_LAYER = sizeof MATRICES / sizeof *MATRICES };

static vklm_gpu_view *view_of(vklm_importance_layer *layer, vklm_matrix_class matrix)
{
    switch (matrix) {
    case VKLM_MATRIX_QKV:
        return &layer->qkv;
    case VKLM_MATRIX_OUT:
        return &layer->out;
    case VKLM_MATRIX_GATE_UP:
        return &layer->gate_up;
    default:
        return &layer->down;
    }
}

static uint64_t columns(const vklm_arch *arch, vklm_matrix_class matrix)
{
    return matrix == VKLM_MATRIX_OUT    ? (uint64_t)arch->n_heads * arch->head_dim
           : matrix == VKLM_MATRIX_DOWN ? arch->n_intermediate
                                        : arch->n_hidden;
}

static vklm_status clear(vklm_gpu_device *device, vklm_importance_sums *s)
{
    vklm_gpu_cmd *cmd;
    vklm_status status = vklm_gpu_cmd_create(device, NULL, &cmd);
    if (status != VKLM_OK)
        return status;
    vklm_gpu_cmd_begin(cmd);
    for (uint32_t i = 0; i < s->n_layers; i++)
        for (int m = 0; m < PER_LAYER; m++)
            vklm_gpu_cmd_fill(cmd, "clear sums", *view_of(&s->layers[i], MATRICES[m]), 0);
    status = vklm_gpu_cmd_end(cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_submit(cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_wait(cmd);
    vklm_gpu_cmd_destroy(cmd);
    return status;
}

vklm_status vklm_importance_sums_init(vklm_gpu_device *device, const vklm_arch *arch,
                                      vklm_importance_sums *out_sums)
{
    vklm_importance_sums *s = out_sums;
    *s = (vklm_importance_sums){.n_layers = arch->n_layers};
    const size_t n = (size_t)arch->n_layers * PER_LAYER;
    vklm_gpu_slot *slots = vklm_alloc(n, sizeof *slots);
    vklm_gpu_layout layout;
    vklm_gpu_layout_init(vklm_gpu_device_caps(device), &layout);
    s->layers = vklm_alloc(arch->n_layers, sizeof *s->layers);
    vklm_status status = slots && s->layers ? VKLM_OK : vklm_fail_memory("the importance sums");
    for (size_t i = 0; i < n && status == VKLM_OK; i++)
        status = vklm_gpu_layout_add(
            &layout, columns(arch, MATRICES[i % PER_LAYER]) * sizeof(float), &slots[i]);
    if (status == VKLM_OK)
        status = vklm_gpu_arena_create(device, &layout, &s->arena);
    for (size_t i = 0; i < n && status == VKLM_OK; i++)
        *view_of(&s->layers[i / PER_LAYER], MATRICES[i % PER_LAYER]) =
            vklm_gpu_arena_view(s->arena, slots[i]);
    if (status == VKLM_OK)
        status = clear(device, s);
    free(slots);
    vklm_gpu_layout_finish(&layout);
    if (status != VKLM_OK)
        vklm_importance_sums_finish(s);
    return status;
}

void vklm_importance_sums_finish(vklm_importance_sums *sums)
{
    vklm_gpu_arena_destroy(sums->arena);
    free(sums->layers);
    *sums = (vklm_importance_sums){0};
}

void vklm_importance_sums_record(vklm_gpu_cmd *cmd, const vklm_importance_sums *sums,
                                 uint32_t layer, vklm_matrix_class matrix, vklm_gpu_view x,
                                 uint32_t n_rows)
{
    if (!sums)
        return;
    vklm_gpu_view view = *view_of(&sums->layers[layer], matrix);
    vklm_op_column_squares_record(
        cmd, &(vklm_op_column_squares){.x = x,
                                       .sums = view,
                                       .n_rows = n_rows,
                                       .n_cols = (uint32_t)(view.bytes / sizeof(float))});
}

// Names and sizes of the vectors. [n_layers * PER_LAYER]; names are freed by the caller.
static vklm_status list_vectors(const vklm_importance_sums *s, vklm_tensor_info *tensors)
{
    for (size_t i = 0; i < (size_t)s->n_layers * PER_LAYER; i++) {
        vklm_matrix_class matrix = MATRICES[i % PER_LAYER];
        vklm_string name = {0};
        vklm_string_print(&name, "layers.%zu.%s", i / PER_LAYER, vklm_matrix_class_name(matrix));
        uint64_t bytes = view_of(&s->layers[i / PER_LAYER], matrix)->bytes;
        tensors[i] = (vklm_tensor_info){.name = name.data,
                                        .dtype = VKLM_DTYPE_F32,
                                        .n_dims = 1,
                                        .shape = {bytes / sizeof(float)},
                                        .bytes = bytes};
        if (name.failed)
            return vklm_fail_memory("the importance file");
    }
    return VKLM_OK;
}

static vklm_status write_vectors(const vklm_importance_sums *s, vklm_gpu_stage *stage,
                                 const vklm_tensor_info *tensors, vklm_file_writer *writer)
{
    vklm_string header = {0};
    vklm_status status = VKLM_OK;
    const size_t n = (size_t)s->n_layers * PER_LAYER;
    vklm_safetensors_print_header(tensors, n, &header);
    if (header.failed)
        status = vklm_fail_memory("the importance file");
    else
        vklm_file_writer_write(writer, header.data, header.len);
    vklm_string_finish(&header);
    for (size_t i = 0; i < n && status == VKLM_OK; i++) {
        float *values = vklm_alloc(tensors[i].bytes, 1);
        status = values ? vklm_gpu_stage_download(
                              stage, *view_of(&s->layers[i / PER_LAYER], MATRICES[i % PER_LAYER]),
                              values)
                        : vklm_fail_memory("the importance file");
        for (size_t j = 0; j < tensors[i].shape[0] && status == VKLM_OK; j++)
            values[j] /= (float)s->n_rows;
        if (status == VKLM_OK)
            vklm_file_writer_write(writer, values, tensors[i].bytes);
        free(values);
    }
    return status == VKLM_OK ? vklm_file_writer_commit(writer) : status;
}

vklm_status vklm_importance_sums_write(const vklm_importance_sums *sums, vklm_gpu_device *device,
                                       const char *path)
{
    const size_t n = (size_t)sums->n_layers * PER_LAYER;
    vklm_gpu_stage *stage = NULL;
    vklm_file_writer *writer = NULL;
    vklm_tensor_info *tensors = vklm_alloc(n, sizeof *tensors);
    vklm_status status =
        tensors ? list_vectors(sums, tensors) : vklm_fail_memory("the importance file");
    if (status == VKLM_OK)
        status = vklm_gpu_stage_create(device, &stage);
    if (status == VKLM_OK)
        status = vklm_file_writer_open(path, &writer);
    if (status == VKLM_OK)
        status = write_vectors(sums, stage, tensors, writer);
    vklm_file_writer_close(writer);
    vklm_gpu_stage_destroy(stage);
    for (size_t i = 0; tensors && i < n; i++)
        free(tensors[i].name);
    free(tensors);
    return status;
}
