#include "ops/sample.h"

#include "gpu/device.h"
#include "ops/tune.h"

static uint32_t workgroups(uint32_t n_vocab)
{
    return (n_vocab + VKLM_SAMPLE_CHUNK - 1) / VKLM_SAMPLE_CHUNK;
}

uint64_t vklm_op_sample_scratch(uint32_t n_vocab)
{
    return (2 + 2 * (uint64_t)VKLM_SAMPLE_MOST * workgroups(n_vocab)) * sizeof(uint32_t);
}

void vklm_op_sample_record(vklm_gpu_cmd *cmd, const vklm_op_sample *op)
{
    vklm_tuning tuning = vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
    struct vklm_args_sample args = {
        .logits = vklm_gpu_view_address(op->logits),
        .counts = vklm_gpu_view_address(op->counts),
        .settings = vklm_gpu_view_address(op->settings),
        .step = vklm_gpu_view_address(op->step),
        .list = vklm_gpu_view_address(op->list),
        .counter = vklm_gpu_view_address(op->counter),
        .sampled = vklm_gpu_view_address(op->sampled),
        .candidates = vklm_gpu_view_address(op->candidates),
        .n_vocab = op->n_vocab,
        .n_slots = (uint32_t)(op->sampled.bytes / sizeof(struct vklm_args_sampled)),
    };
    vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                   .label = "sample",
                                   .shader = "sample",
                                   .constants = {tuning.sample_lanes},
                                   .args = &args,
                                   .args_bytes = sizeof args,
                                   .groups = {workgroups(op->n_vocab)},
                                   .reads = {op->logits, op->settings},
                                   .writes = {op->counts, op->step, op->list, op->counter,
                                              op->sampled, op->candidates},
                               });
}
