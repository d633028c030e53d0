// The coop tier's product in tiles that this device would not be given.
#include <criterion/criterion.h>

#include <stdio.h>

#include "kernels/coop.h"
#include "ops/matmul.h"

static vklm_lab *open_or_skip(void)
{
    vklm_lab *lab = vklm_lab_open_tiers(VKLM_TIER_COOP);
    if (!lab)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_lab_device(lab));
    if (caps->tiers & VKLM_TIER_COOP)
        return lab;
    char name[sizeof caps->name];
    snprintf(name, sizeof name, "%s", caps->name);
    vklm_lab_close(lab);
    cr_skip_test("%s has no cooperative matrices of f16 into f32", name);
    return NULL;
}

// Tiles that tuning gives to other devices, by way of a dispatch of its own.
static const struct {
    uint32_t tile_tokens, tile_rows, subgroups_tokens, subgroups_rows;
    bool ahead;
} tiles[] = {
    {16, 16, 1, 1, false}, {64, 32, 2, 1, true}, {64, 64, 4, 4, true}, {128, 128, 8, 4, true}};
static size_t tile; // the one that record_tile takes

static void record_tile(vklm_gpu_cmd *cmd, const void *data)
{
    const vklm_op_matmul *op = data;
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd));
    const vklm_coop_shape *shape = vklm_gpu_caps_coop_shape(caps);
    const uint32_t tokens = tiles[tile].tile_tokens, rows = tiles[tile].tile_rows;
    const uint32_t m = tiles[tile].subgroups_tokens, n = tiles[tile].subgroups_rows;
    struct vklm_args_matmul args = {.weight = vklm_gpu_view_address(op->weight->data),
                                    .x = vklm_gpu_view_address(op->x16),
                                    .y = vklm_gpu_view_address(op->y),
                                    .n_rows = op->weight->n_rows,
                                    .n_cols = op->weight->n_cols,
                                    .n_tokens = op->n_tokens};
    vklm_gpu_cmd_dispatch(
        cmd,
        &(vklm_gpu_dispatch){
            .label = "matmul",
            .shader = op->weight->format == VKLM_FORMAT_Q4 ? "matmul_coop_q4" : "matmul_coop_f16",
            .constants = {m * n * caps->min_subgroup_size, 0, tokens, rows, op->add,
                          tiles[tile].ahead, [7] = shape->m, shape->n, shape->k, m, n},
            .smallest_subgroups = true,
            .args = &args,
            .args_bytes = sizeof args,
            .groups = {(op->n_tokens + tokens - 1) / tokens, (args.n_rows + rows - 1) / rows},
            .reads = {op->weight->data, op->x16},
            .writes = {op->y},
        });
}

Test(coop_tiles, other_tiles)
{
    vklm_lab *lab = open_or_skip();
    for (tile = 0; tile < sizeof tiles / sizeof *tiles; tile++) {
        vklm_case_matmul_coop_check(
            lab, (coop_case){VKLM_FORMAT_F16, 131, 140, 72, true, INPUT16_EXACT}, record_tile);
        vklm_case_matmul_coop_check(
            lab, (coop_case){VKLM_FORMAT_Q4, 20, 130, 256, false, INPUT16_OUTLIERS}, record_tile);
    }
    vklm_lab_close(lab);
}
