#include "model/decode_plan.h"

#include "ops/embed.h"
#include "ops/matvec.h"

static void tap(const vklm_decode_plan *p, uint32_t row)
{
    const uint32_t n = p->weights->arch.n_hidden;
    if (p->tap.buffer)
        vklm_gpu_cmd_copy(p->cmd, "tap", vklm_activations_floats(p->activations->x, 0, n),
                          vklm_activations_floats(p->tap, (uint64_t)row * n, n));
}

static void record(const vklm_decode_plan *p)
{
    const vklm_weights *w = p->weights;
    const vklm_activations *a = p->activations;
    const vklm_arch *arch = &w->arch;
    vklm_gpu_cmd *cmd = p->cmd;
    vklm_gpu_view host_step = vklm_gpu_view_part(vklm_gpu_buffer_view(a->upload), 0, a->step.bytes);
    vklm_gpu_view xn = vklm_activations_floats(a->xn, 0, arch->n_hidden);
    vklm_gpu_view logits = vklm_activations_floats(a->logits, 0, arch->n_vocab);

    vklm_gpu_cmd_copy(cmd, "step", host_step, a->step);
    vklm_op_embed_record(cmd, &(vklm_op_embed){
                                  .table = &w->embed,
                                  .tokens = a->step, // its first word
                                  .norm = w->layers[0].attn_norm,
                                  .x = vklm_activations_floats(a->x, 0, arch->n_hidden),
                                  .xn = xn,
                                  .n_rows = 1,
                                  .eps = arch->rms_eps,
                              });
    tap(p, 0);
    for (uint32_t layer = 0; layer < arch->n_layers; layer++) {
        vklm_layer_decode_record(cmd, w, layer, p->kv, a, vklm_layer_next_norm(w, layer));
        tap(p, layer + 1);
    }
    vklm_op_matvec_record(
        cmd, &(vklm_op_matvec){.label = "lm_head", .weight = &w->lm_head, .x = xn, .y = logits});
    vklm_gpu_cmd_copy(cmd, "logits", logits,
                      vklm_gpu_view_part(vklm_gpu_buffer_view(a->readback), 0, logits.bytes));
}

vklm_status vklm_decode_plan_init(vklm_gpu_device *device, const vklm_weights *weights,
                                  const vklm_kv_cache *kv, const vklm_activations *activations,
                                  vklm_gpu_view tap_view, vklm_decode_plan *out_plan)
{
    *out_plan = (vklm_decode_plan){
        .weights = weights, .kv = kv, .activations = activations, .tap = tap_view};
    vklm_status status = vklm_gpu_cmd_create(device, NULL, &out_plan->cmd);
    if (status != VKLM_OK)
        return status;
    vklm_gpu_cmd_begin(out_plan->cmd);
    record(out_plan);
    status = vklm_gpu_cmd_end(out_plan->cmd);
    if (status != VKLM_OK)
        vklm_decode_plan_finish(out_plan);
    return status;
}

void vklm_decode_plan_finish(vklm_decode_plan *plan)
{
    vklm_gpu_cmd_destroy(plan->cmd);
    *plan = (vklm_decode_plan){0};
}

vklm_status vklm_decode_plan_run(vklm_decode_plan *plan, uint32_t token, uint32_t position,
                                 const float **out_logits)
{
    struct vklm_args_step *step = vklm_gpu_buffer_map(plan->activations->upload);
    *step = (struct vklm_args_step){.token = token, .position = position};
    vklm_status status = vklm_gpu_cmd_submit(plan->cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_wait(plan->cmd);
    *out_logits = vklm_gpu_buffer_map(plan->activations->readback);
    return status;
}
