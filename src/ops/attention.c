#include "ops/attention.h"

#include <math.h>

#include "gpu/device.h"
#include "ops/input8.h"

static bool check_heads(vklm_gpu_cmd *cmd, uint32_t n_heads, uint32_t n_kv_heads, uint32_t head_dim,
                        bool kv_q8)
{
    if (n_kv_heads > 0 && n_heads % n_kv_heads == 0 && head_dim % (kv_q8 ? 64 : 8) == 0 &&
        head_dim > 0 && head_dim <= 256)
        return true;
    vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED, "attention: %u heads of %u over %u kv heads", n_heads,
                      head_dim, n_kv_heads);
    return false;
}

static uint32_t n_splits(const vklm_gpu_caps *caps, uint32_t n_ctx)
{
    uint32_t chunk = vklm_tune_select(caps).attention_chunk;
    return (n_ctx + chunk - 1) / chunk;
}

uint64_t vklm_op_attention_decode_scratch(const vklm_gpu_caps *caps, uint32_t n_heads,
                                          uint32_t head_dim, uint32_t n_ctx)
{
    return (uint64_t)n_heads * n_splits(caps, n_ctx) * (head_dim + 2) * sizeof(float);
}

void vklm_op_attention_decode_record(vklm_gpu_cmd *cmd, const vklm_op_attention_decode *op)
{
    if (!check_heads(cmd, op->n_heads, op->n_kv_heads, op->head_dim, op->kv_q8))
        return;
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd));
    vklm_tuning tuning = vklm_tune_select(caps);
    struct vklm_args_attention_decode args = {
        .q = vklm_gpu_view_address(op->q),
        .k = vklm_gpu_view_address(op->k),
        .v = vklm_gpu_view_address(op->v),
        .step = vklm_gpu_view_address(op->step),
        .y = vklm_gpu_view_address(op->y),
        .y8 = vklm_op_optional_address(op->y8),
        .partial = vklm_gpu_view_address(op->partial),
        .counter = vklm_gpu_view_address(op->counter),
        .n_ctx = op->n_ctx,
        .group = op->n_heads / op->n_kv_heads,
        .scale = 1 / sqrtf((float)op->head_dim),
    };
    vklm_gpu_cmd_dispatch(cmd,
                          &(vklm_gpu_dispatch){
                              .label = "attention",
                              .shader = op->kv_q8 ? "attention_decode_kvq8" : "attention_decode",
                              .constants = {tuning.attention_lanes, 0, tuning.attention_chunk,
                                            op->head_dim, [7] = op->y8.buffer != NULL},
                              .args = &args,
                              .args_bytes = sizeof args,
                              .groups = {op->n_heads, n_splits(caps, op->n_ctx)},
                              .reads = {op->q, op->k, op->v, op->step},
                              .writes = {op->y, op->partial, op->counter, op->y8},
                          });
}

// Where the driver counts loop iterations and then leaves the loop, as if it had ended. Finding
// that a loop is over counts too.
static bool check_loops(vklm_gpu_cmd *cmd, const vklm_gpu_caps *caps, vklm_tune_prefill_tile tile,
                        const vklm_op_attention_prefill *op)
{
    const uint32_t d = op->head_dim, n_tiles = (op->position + op->n_tokens) / tile.keys + 1;
    const uint32_t load = tile.keys * d / 2 / tile.lanes + 1,
                   scores = tile.queries * tile.keys / tile.lanes * (2 + d / 8) + 1;
    const uint64_t iterations = (uint64_t)n_tiles * (1 + 2 * load + scores + 2 * (tile.keys + 1)) +
                                tile.queries * d / tile.lanes + 1;
    // A sixteenth is left for what the compiler makes of the loops.
    if (caps->max_loop_iterations == 0 || iterations + iterations / 16 <= caps->max_loop_iterations)
        return true;
    vklm_gpu_cmd_fail(
        cmd, VKLM_UNSUPPORTED,
        "attention: a prompt of %u tokens needs loops of %llu iterations; this driver "
        "(%s %s) ends them at %u; a newer driver has no such limit",
        op->position + op->n_tokens, (unsigned long long)iterations, caps->driver_name,
        caps->driver_info, caps->max_loop_iterations);
    return false;
}

static void record_coop(vklm_gpu_cmd *cmd, const vklm_op_attention_prefill *op,
                        const struct vklm_args_attention_prefill *args, const vklm_tune_coop *t)
{
    vklm_gpu_cmd_dispatch(
        cmd,
        &(vklm_gpu_dispatch){
            .label = "attention",
            .shader = t->shader,
            .constants = {t->lanes, 0, t->tile_tokens, op->head_dim, t->tile_rows,
                          t->ahead, [7] = t->m, t->n, t->k, t->subgroups_tokens, t->subgroups_rows},
            .smallest_subgroups = true,
            .args = args,
            .args_bytes = sizeof *args,
            .groups = {(op->n_tokens + t->tile_tokens - 1) / t->tile_tokens, op->n_heads},
            .reads = {op->qkv, op->k, op->v},
            .writes = {op->y},
        });
}

void vklm_op_attention_prefill_record(vklm_gpu_cmd *cmd, const vklm_op_attention_prefill *op)
{
    if (!check_heads(cmd, op->n_heads, op->n_kv_heads, op->head_dim, op->kv_q8))
        return;
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd));
    struct vklm_args_attention_prefill args = {
        .qkv = vklm_gpu_view_address(op->qkv),
        .k = vklm_gpu_view_address(op->k),
        .v = vklm_gpu_view_address(op->v),
        .y = vklm_gpu_view_address(op->y),
        .n_tokens = op->n_tokens,
        .position = op->position,
        .n_heads = op->n_heads,
        .n_kv_heads = op->n_kv_heads,
        .n_ctx = op->n_ctx,
        .scale = 1 / sqrtf((float)op->head_dim),
    };
    vklm_tune_coop coop =
        vklm_tune_attention_prefill_coop(caps, op->head_dim, op->n_heads, op->n_tokens, op->kv_q8);
    if (coop.shader) {
        record_coop(cmd, op, &args, &coop);
        return;
    }
    vklm_tune_prefill_tile tile = vklm_tune_attention_prefill(caps, op->head_dim);
    if (!check_loops(cmd, caps, tile, op))
        return;
    vklm_gpu_cmd_dispatch(
        cmd, &(vklm_gpu_dispatch){
                 .label = "attention",
                 .shader = op->kv_q8 ? "attention_prefill_kvq8" : "attention_prefill",
                 .constants = {tile.lanes, 0, tile.queries, op->head_dim, tile.keys},
                 .args = &args,
                 .args_bytes = sizeof args,
                 .groups = {op->n_heads, (op->n_tokens + tile.queries - 1) / tile.queries},
                 .reads = {op->qkv, op->k, op->v},
                 .writes = {op->y},
             });
}
