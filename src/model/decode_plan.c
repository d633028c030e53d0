#include "model/decode_plan.h"

#include <string.h>

#include "model/pace.h"
#include "ops/embed.h"
#include "ops/matvec.h"
#include "ops/sample.h"

static vklm_gpu_view logits_of(const vklm_decode_plan *p)
{
    return vklm_activations_floats(p->activations->logits, 0, p->weights->arch.n_vocab);
}

static void tap(const vklm_decode_plan *p, vklm_gpu_cmd *cmd, uint32_t row)
{
    const uint32_t n = p->weights->arch.n_hidden;
    if (p->tap.buffer)
        vklm_gpu_cmd_copy(cmd, "tap", vklm_activations_floats(p->activations->x, 0, n),
                          vklm_activations_floats(p->tap, (uint64_t)row * n, n));
}

// Starts a new submission where this one, of `bytes` so far, would take too long with `more`.
// Returns its bytes.
static uint64_t cut_before(vklm_gpu_cmd *cmd, uint64_t bytes, uint64_t more, uint64_t most)
{
    if (bytes > 0 && bytes + more > most) {
        vklm_gpu_cmd_cut(cmd);
        bytes = 0;
    }
    return bytes + more;
}

// The token and the position in the step buffer, to its logits.
static void record_token(vklm_decode_plan *p, vklm_gpu_cmd *cmd)
{
    const vklm_weights *w = p->weights;
    const vklm_activations *a = p->activations;
    const vklm_arch *arch = &w->arch;
    vklm_gpu_view xn = vklm_activations_floats(a->xn, 0, arch->n_hidden);
    vklm_gpu_view xn8 = vklm_layer_xn8(w, a);

    vklm_op_embed_record(cmd, &(vklm_op_embed){
                                  .table = &w->embed,
                                  .tokens = a->step, // its first word
                                  .norm = w->layers[0].attn_norm,
                                  .x = vklm_activations_floats(a->x, 0, arch->n_hidden),
                                  .xn = xn,
                                  .xn8 = xn8,
                                  .n_rows = 1,
                                  .eps = arch->rms_eps,
                              });
    tap(p, cmd, 0);
    size_t n;
    vklm_gpu_cmd_commands(cmd, &p->first_layer_command);
    const uint64_t most = vklm_pace_token_bytes(vklm_gpu_device_caps(p->device));
    uint64_t bytes = 0;
    for (uint32_t layer = 0; layer < arch->n_layers; layer++) {
        bytes = cut_before(cmd, bytes, vklm_weights_layer_bytes(w, layer), most);
        vklm_layer_decode_record(cmd, w, layer, p->kv, a, vklm_layer_next_norm(w, layer));
        tap(p, cmd, layer + 1);
    }
    vklm_gpu_cmd_commands(cmd, &n);
    p->n_layer_commands = (n - p->first_layer_command) / arch->n_layers;
    cut_before(cmd, bytes, w->lm_head.data.bytes, most);
    vklm_op_matvec_record(
        cmd, &(vklm_op_matvec){
                 .label = "lm_head", .weight = &w->lm_head, .x = xn, .x8 = xn8, .y = logits_of(p)});
    vklm_activations_record_status(cmd, a);
}

_Static_assert((int)VKLM_DECODE_PLAN_MAX_TOP_K == (int)VKLM_OP_SAMPLE_MAX_TOP_K,
               "the kernel's own");

static void record_sample(const vklm_decode_plan *p, vklm_gpu_cmd *cmd)
{
    const vklm_activations *a = p->activations;
    vklm_op_sample_record(
        cmd, &(vklm_op_sample){
                 .logits = logits_of(p),
                 .counts = a->counts,
                 .settings = a->settings,
                 .step = a->step,
                 .list = a->list,
                 .counter = vklm_activations_floats(a->counters, p->weights->arch.n_heads, 1),
                 .sampled = vklm_gpu_buffer_view(a->sampled),
                 .candidates = a->candidates,
                 .n_vocab = p->weights->arch.n_vocab,
             });
}

static void record_step(const vklm_decode_plan *p, vklm_gpu_cmd *cmd)
{
    const vklm_activations *a = p->activations;
    vklm_gpu_cmd_copy(cmd, "step",
                      vklm_gpu_view_part(vklm_gpu_buffer_view(a->upload), 0, a->step.bytes),
                      a->step);
}

static void record_fetch(const vklm_decode_plan *p, vklm_gpu_cmd *cmd)
{
    vklm_gpu_view logits = logits_of(p);
    vklm_gpu_cmd_copy(
        cmd, "logits", logits,
        vklm_gpu_view_part(vklm_gpu_buffer_view(p->activations->readback), 0, logits.bytes));
}

static void record_settings(const vklm_decode_plan *p, vklm_gpu_cmd *cmd)
{
    const vklm_activations *a = p->activations;
    vklm_gpu_view host = vklm_gpu_buffer_view(a->sampling_upload);
    vklm_gpu_cmd_copy(cmd, "settings", vklm_gpu_view_part(host, 0, a->settings.bytes), a->settings);
    vklm_gpu_cmd_copy(cmd, "counts", vklm_gpu_view_part(host, a->settings.bytes, a->counts.bytes),
                      a->counts);
}

// A command buffer of the given parts, in this order: what comes from the host, the token, the
// draw, the fetch.
enum { STEP = 1, SETTINGS = 2, TOKEN = 4, SAMPLE = 8, FETCH = 16 };

static vklm_status record(vklm_decode_plan *p, unsigned parts, vklm_gpu_cmd **out_cmd)
{
    vklm_status status = vklm_gpu_cmd_create(
        p->device, &(vklm_gpu_cmd_params){.repeated = !(parts & STEP)}, out_cmd);
    if (status != VKLM_OK)
        return status;
    vklm_gpu_cmd *cmd = *out_cmd;
    vklm_gpu_cmd_begin(cmd);
    if (parts & STEP)
        record_step(p, cmd);
    if (parts & SETTINGS)
        record_settings(p, cmd);
    if (parts & TOKEN)
        record_token(p, cmd);
    if (parts & SAMPLE)
        record_sample(p, cmd);
    if (parts & FETCH)
        record_fetch(p, cmd);
    return vklm_gpu_cmd_end(cmd);
}

vklm_status vklm_decode_plan_init(vklm_gpu_device *device, const vklm_weights *weights,
                                  const vklm_kv_cache *kv, const vklm_activations *activations,
                                  vklm_gpu_view tap_view, vklm_decode_plan *out_plan)
{
    *out_plan = (vklm_decode_plan){.device = device,
                                   .weights = weights,
                                   .kv = kv,
                                   .activations = activations,
                                   .tap = tap_view};
    vklm_status status = record(out_plan, STEP | TOKEN | FETCH, &out_plan->run);
    if (status == VKLM_OK)
        status = record(out_plan, FETCH, &out_plan->fetch);
    if (status == VKLM_OK)
        status = record(out_plan, STEP | SETTINGS | SAMPLE, &out_plan->draw);
    if (status == VKLM_OK)
        status = record(out_plan, TOKEN | SAMPLE, &out_plan->chain);
    if (status != VKLM_OK)
        vklm_decode_plan_finish(out_plan);
    return status;
}

void vklm_decode_plan_finish(vklm_decode_plan *plan)
{
    vklm_gpu_cmd_destroy(plan->run);
    vklm_gpu_cmd_destroy(plan->fetch);
    vklm_gpu_cmd_destroy(plan->draw);
    vklm_gpu_cmd_destroy(plan->chain);
    *plan = (vklm_decode_plan){0};
}

static vklm_status run_and_wait(vklm_gpu_cmd *cmd)
{
    vklm_status status = vklm_gpu_cmd_submit(cmd);
    return status == VKLM_OK ? vklm_gpu_cmd_wait(cmd) : status;
}

static void write_step(const vklm_decode_plan *plan, struct vklm_args_step step)
{
    *(struct vklm_args_step *)vklm_gpu_buffer_map(plan->activations->upload) = step;
}

vklm_status vklm_decode_plan_run(vklm_decode_plan *plan, uint32_t token, uint32_t position,
                                 const float **out_logits)
{
    write_step(plan, (struct vklm_args_step){.token = token, .position = position});
    *out_logits = vklm_gpu_buffer_map(plan->activations->readback);
    vklm_status status = run_and_wait(plan->run);
    return status == VKLM_OK ? vklm_activations_check_status(plan->device, plan->activations)
                             : status;
}

vklm_status vklm_decode_plan_fetch(vklm_decode_plan *plan, const float **out_logits)
{
    *out_logits = vklm_gpu_buffer_map(plan->activations->readback);
    return run_and_wait(plan->fetch);
}

struct vklm_args_bias *vklm_decode_plan_biases(const vklm_decode_plan *plan)
{
    char *host = vklm_gpu_buffer_map(plan->activations->sampling_upload);
    return (struct vklm_args_bias *)(void *)(host + sizeof(struct vklm_args_sampling));
}

uint32_t *vklm_decode_plan_counts(const vklm_decode_plan *plan)
{
    const vklm_activations *a = plan->activations;
    char *host = vklm_gpu_buffer_map(a->sampling_upload);
    return (uint32_t *)(void *)(host + a->settings.bytes);
}

static void read_report(const vklm_decode_plan *plan, uint32_t slot,
                        struct vklm_args_sampled *out_sampled)
{
    vklm_gpu_buffer *buffer = plan->activations->sampled;
    const struct vklm_args_sampled *ring = vklm_gpu_buffer_map(buffer);
    *out_sampled = ring[slot % (vklm_gpu_buffer_view(buffer).bytes / sizeof *ring)];
}

vklm_status vklm_decode_plan_draw(vklm_decode_plan *plan, const struct vklm_args_sampling *sampling,
                                  uint32_t position, uint32_t n_drawn,
                                  struct vklm_args_sampled *out_sampled)
{
    write_step(plan, (struct vklm_args_step){.position = position, .n_drawn = n_drawn});
    memcpy(vklm_gpu_buffer_map(plan->activations->sampling_upload), sampling, sizeof *sampling);
    vklm_status status = run_and_wait(plan->draw);
    read_report(plan, 0, out_sampled);
    return status;
}

vklm_status vklm_decode_plan_chain(vklm_decode_plan *plan, uint32_t n, uint64_t *out_tickets)
{
    return vklm_gpu_cmd_submit_runs(plan->chain, n, out_tickets);
}

vklm_status vklm_decode_plan_wait(vklm_decode_plan *plan, uint64_t ticket, uint32_t slot,
                                  struct vklm_args_sampled *out_sampled)
{
    vklm_status status = vklm_gpu_cmd_wait_run(plan->chain, ticket);
    if (status == VKLM_OK)
        status = vklm_activations_check_status(plan->device, plan->activations);
    read_report(plan, slot, out_sampled);
    return status;
}
