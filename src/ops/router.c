#include "ops/router.h"

#include "gpu/device.h"
#include "ops/tune.h"

bool vklm_router_check(vklm_gpu_cmd *cmd, uint32_t n_experts, uint32_t top_k)
{
    if (top_k > 0 && top_k <= n_experts && n_experts <= 64)
        return true;
    vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED, "router: %u of %u experts", top_k, n_experts);
    return false;
}

void vklm_op_router_record(vklm_gpu_cmd *cmd, const vklm_op_router *op)
{
    const vklm_router *r = op->router;
    if (!vklm_router_check(cmd, r->n_experts, r->top_k))
        return;
    vklm_tuning tuning = vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
    struct vklm_args_router args = {
        .x = vklm_gpu_view_address(op->x),
        .router = vklm_gpu_view_address(r->weight),
        .routes = vklm_gpu_view_address(r->routes),
        .status = vklm_gpu_view_address(r->status),
        .n_cols = op->n_cols,
        .layer = r->layer,
    };
    vklm_gpu_cmd_dispatch(cmd,
                          &(vklm_gpu_dispatch){
                              .label = "router",
                              .shader = "router",
                              .constants = {tuning.row_lanes, 0, 0, 0, 0, r->n_experts, r->top_k},
                              .args = &args,
                              .args_bytes = sizeof args,
                              .groups = {op->n_tokens},
                              .reads = {op->x, r->weight},
                              .writes = {r->routes, r->status},
                          });
}
