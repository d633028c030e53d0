#include "ops/rope_kv.h"

#include "gpu/device.h"
#include "ops/tune.h"

void vklm_op_rope_kv_record(vklm_gpu_cmd *cmd, const vklm_op_rope_kv *op)
{
    if (op->head_dim % (op->kv_q8 ? 64 : 4) != 0 || op->head_dim > 256 ||
        op->position + op->n_tokens > op->n_ctx) {
        vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED, "rope: heads of %u, positions up to %u of %u",
                          op->head_dim, op->position + op->n_tokens, op->n_ctx);
        return;
    }
    vklm_tuning tuning = vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
    struct vklm_args_rope_kv args = {
        .qkv = vklm_gpu_view_address(op->qkv),
        .rope = vklm_gpu_view_address(op->rope),
        .k = vklm_gpu_view_address(op->k),
        .v = vklm_gpu_view_address(op->v),
        .n_tokens = op->n_tokens,
        .position = op->position,
        .n_heads = op->n_heads,
        .n_kv_heads = op->n_kv_heads,
        .head_dim = op->head_dim,
        .n_ctx = op->n_ctx,
    };
    const uint32_t n_all = op->n_heads + 2 * op->n_kv_heads, lanes = tuning.element_lanes;
    uint32_t workgroups = (n_all * op->head_dim / 4 + lanes - 1) / lanes; // four elements a lane
    if (op->kv_q8)
        workgroups = n_all;
    vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                   .label = "rope",
                                   .shader = op->kv_q8 ? "rope_kv_q8" : "rope_kv",
                                   .constants = {lanes},
                                   .args = &args,
                                   .args_bytes = sizeof args,
                                   .groups = {workgroups, op->n_tokens},
                                   .reads = {op->rope},
                                   .writes = {op->qkv, op->k, op->v},
                               });
}
