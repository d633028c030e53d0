#include "model/activations.h"

#include <string.h>

#include "gpu/cmd.h"
#include "ops/attention.h"
#include "ops/input16.h"
#include "ops/input8.h"
#include "ops/sample.h"
#include "ops/tune.h"

enum {
    MAX_LOGIT_ROWS = 8, // rows of logits read back at a time when a whole prompt's are wanted
    SAMPLED_SLOTS = 2 * VKLM_GPU_MAX_RUNS, // more than can be in flight
};

typedef struct {
    vklm_gpu_slot step, tokens, x, xn, qkv, heads, gate_up, mlp, logits, partial, counters,
        settings, counts, list, candidates, kv_row, kv_counters;
    vklm_gpu_slot routes, expert_out, dispatch, tiles, entries, places, status; // with experts
    // Of the dot8 tier, and of it and the coop tier; 0 bytes: not there.
    vklm_gpu_slot xn8, heads8, mlp8, mlp_counters, inputs;
} slots;

static uint32_t max_tokens(const vklm_gpu_caps *caps, uint32_t n_ctx)
{
    uint32_t chunk = vklm_tune_select(caps).prefill_tokens;
    return chunk < n_ctx ? chunk : n_ctx;
}

typedef struct {
    vklm_gpu_slot *slot;
    uint64_t bytes;
} wanted_slot;

static vklm_status add_all(vklm_gpu_layout *layout, const wanted_slot *wanted, size_t n)
{
    vklm_status status = VKLM_OK;
    for (size_t i = 0; i < n && status == VKLM_OK; i++)
        status = vklm_gpu_layout_add(layout, wanted[i].bytes, wanted[i].slot);
    return status;
}

static vklm_status lay_out_experts(const vklm_gpu_caps *caps, const vklm_arch *arch, uint32_t rows,
                                   vklm_gpu_layout *layout, slots *s)
{
    const uint64_t n = (uint64_t)rows * arch->top_k, word = sizeof(float);
    const wanted_slot wanted[] = {
        {&s->routes, n * sizeof(struct vklm_args_route)},
        {&s->expert_out, n * arch->n_hidden * word},
        {&s->dispatch, 2 * 3 * word},
        {&s->tiles, vklm_op_expert_tiles(caps, rows, arch->n_experts, arch->top_k) *
                        sizeof(struct vklm_args_tile)},
        {&s->entries, n * word},
        {&s->places, n * word},
        {&s->status, word},
    };
    return add_all(layout, wanted, sizeof wanted / sizeof *wanted);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

// Room for the largest input of a chunk in 8 bits, where it has columns for that, or in f16.
static uint64_t inputs_bytes(unsigned tiers, const vklm_arch *arch, uint64_t rows)
{
    const uint64_t top_k = arch->top_k ? arch->top_k : 1;
    const struct {
        uint64_t rows, n, terms;
    } inputs[] = {{rows, arch->n_hidden, VKLM_TERMS_QKV},
                  {rows, (uint64_t)arch->n_heads * arch->head_dim, VKLM_TERMS},
                  {rows * top_k, arch->n_intermediate, VKLM_TERMS_DOWN}};
    uint64_t most = 0;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        if (tiers & VKLM_TIER_DOT8 && inputs[i].n % 64 == 0)
            most =
                larger(most, inputs[i].rows * inputs[i].terms * vklm_op_input8_bytes(inputs[i].n));
        if (tiers & VKLM_TIER_COOP)
            most = larger(most, inputs[i].rows * vklm_op_input16_bytes(inputs[i].n));
    }
    return most;
}

// One token's inputs in 8 bits, where the matrices that they meet have columns for it.
static vklm_status lay_out_dot8(const vklm_arch *arch, vklm_gpu_layout *layout, slots *s)
{
    const uint64_t n_heads = (uint64_t)arch->n_heads * arch->head_dim, n_mlp = arch->n_intermediate;
    const uint64_t n_mlps = arch->top_k ? arch->top_k : 1;
    vklm_status status = VKLM_OK;
    if (arch->n_hidden % 64 == 0)
        status = vklm_gpu_layout_add(layout, vklm_op_input8_bytes(arch->n_hidden), &s->xn8);
    if (status == VKLM_OK && n_heads % 64 == 0 && arch->head_dim % 32 == 0)
        status = vklm_gpu_layout_add(layout, vklm_op_input8_bytes(n_heads), &s->heads8);
    if (status == VKLM_OK && n_mlp % 64 == 0)
        status = vklm_gpu_layout_add(layout, n_mlps * vklm_op_input8_bytes(n_mlp), &s->mlp8);
    if (status == VKLM_OK && n_mlp % 64 == 0)
        status =
            vklm_gpu_layout_add(layout, n_mlps * n_mlp / 32 * sizeof(uint32_t), &s->mlp_counters);
    return status;
}

static vklm_status lay_out(const vklm_gpu_caps *caps, const vklm_arch *arch, uint32_t n_ctx,
                           vklm_gpu_layout *layout, slots *s)
{
    const uint64_t rows = max_tokens(caps, n_ctx), word = sizeof(float);
    const uint64_t n_all = (uint64_t)arch->n_heads + 2 * (uint64_t)arch->n_kv_heads;
    const uint64_t mlp_rows = arch->top_k ? rows * arch->top_k : rows;
    const wanted_slot wanted[] = {
        {&s->step, sizeof(struct vklm_args_step)},
        {&s->tokens, rows * word},
        {&s->x, rows * arch->n_hidden * word},
        {&s->xn, rows * arch->n_hidden * word},
        {&s->qkv, rows * n_all * arch->head_dim * word},
        {&s->heads, rows * arch->n_heads * arch->head_dim * word},
        {&s->gate_up, mlp_rows * 2 * arch->n_intermediate * word},
        {&s->mlp, mlp_rows * arch->n_intermediate * word},
        {&s->logits, (uint64_t)MAX_LOGIT_ROWS * arch->n_vocab * word},
        {&s->partial, vklm_op_attention_decode_scratch(caps, arch->n_heads, arch->head_dim, n_ctx)},
        {&s->counters, ((uint64_t)arch->n_heads + 1) * word},
        {&s->settings, VKLM_OP_SAMPLE_SETTINGS},
        {&s->counts, arch->n_vocab * word},
        {&s->list, vklm_op_sample_scratch(arch->n_vocab)},
        {&s->candidates, VKLM_SAMPLE_MOST * 2 * word},
        {&s->kv_row, 2 * (uint64_t)arch->n_kv_heads * arch->head_dim * word},
        {&s->kv_counters, 2 * (uint64_t)arch->n_kv_heads * word},
    };
    vklm_gpu_layout_init(caps, layout);
    vklm_status status = add_all(layout, wanted, sizeof wanted / sizeof *wanted);
    if (status == VKLM_OK && arch->n_experts)
        status = lay_out_experts(caps, arch, (uint32_t)rows, layout, s);
    s->xn8 = s->heads8 = s->mlp8 = s->mlp_counters = s->inputs = (vklm_gpu_slot){0};
    if (status == VKLM_OK && caps->tiers & VKLM_TIER_DOT8)
        status = lay_out_dot8(arch, layout, s);
    const uint64_t bytes = inputs_bytes(caps->tiers, arch, rows);
    if (status == VKLM_OK && bytes > 0)
        status = vklm_gpu_layout_add(layout, bytes, &s->inputs);
    return status;
}

vklm_status vklm_activations_bytes(const vklm_gpu_caps *caps, const vklm_arch *arch, uint32_t n_ctx,
                                   uint64_t *out_bytes)
{
    slots s;
    vklm_gpu_layout layout;
    vklm_status status = lay_out(caps, arch, n_ctx, &layout, &s);
    *out_bytes = vklm_gpu_layout_bytes(&layout);
    vklm_gpu_layout_finish(&layout);
    return status;
}

// The counters start at zero; every kernel that uses one leaves it so. The status word is zero
// unless a router failed. The experts' numbers and all that says where their rows are, which are
// written before they are read, start at zero too: on a device whose kernels do nothing answers are
// wrong, and nothing is read or written at an address that nobody wrote.
static vklm_status clear(vklm_gpu_device *device, const vklm_activations *a)
{
    vklm_gpu_cmd *cmd;
    vklm_status status = vklm_gpu_cmd_create(device, NULL, &cmd);
    if (status != VKLM_OK)
        return status;
    vklm_gpu_cmd_begin(cmd);
    vklm_gpu_cmd_fill(cmd, "clear counters", a->counters, 0);
    vklm_gpu_cmd_fill(cmd, "clear list", a->list, 0);
    vklm_gpu_cmd_fill(cmd, "clear counters", a->kv_counters, 0);
    const vklm_gpu_view experts[] = {a->status,       a->routes,         a->groups.dispatch,
                                     a->groups.tiles, a->groups.entries, a->groups.places};
    for (size_t i = 0; i < sizeof experts / sizeof *experts; i++)
        if (experts[i].buffer)
            vklm_gpu_cmd_fill(cmd, "clear experts", experts[i], 0);
    if (a->mlp_counters.buffer)
        vklm_gpu_cmd_fill(cmd, "clear counters", a->mlp_counters, 0);
    status = vklm_gpu_cmd_end(cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_submit(cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_wait(cmd);
    vklm_gpu_cmd_destroy(cmd);
    return status;
}

static void view_experts(vklm_activations *a, const slots *s)
{
    a->routes = vklm_gpu_arena_view(a->arena, s->routes);
    a->expert_out = vklm_gpu_arena_view(a->arena, s->expert_out);
    a->status = vklm_gpu_arena_view(a->arena, s->status);
    a->groups = (vklm_expert_groups){
        .dispatch = vklm_gpu_arena_view(a->arena, s->dispatch),
        .tiles = vklm_gpu_arena_view(a->arena, s->tiles),
        .entries = vklm_gpu_arena_view(a->arena, s->entries),
        .places = vklm_gpu_arena_view(a->arena, s->places),
    };
}

vklm_status vklm_activations_init(vklm_gpu_device *device, const vklm_arch *arch, uint32_t n_ctx,
                                  vklm_activations *out)
{
    *out = (vklm_activations){0};
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(device);
    slots s;
    vklm_gpu_layout layout;
    vklm_status status = lay_out(caps, arch, n_ctx, &layout, &s);
    if (status == VKLM_OK)
        status = vklm_gpu_arena_create(device, &layout, &out->arena);
    vklm_gpu_layout_finish(&layout);
    if (status != VKLM_OK)
        return status;
    out->max_tokens = max_tokens(caps, n_ctx);
    out->max_logit_rows = MAX_LOGIT_ROWS;
    const struct {
        vklm_gpu_view *view;
        vklm_gpu_slot slot;
    } views[] = {
        {&out->step, s.step},
        {&out->tokens, s.tokens},
        {&out->x, s.x},
        {&out->xn, s.xn},
        {&out->qkv, s.qkv},
        {&out->heads, s.heads},
        {&out->gate_up, s.gate_up},
        {&out->mlp, s.mlp},
        {&out->logits, s.logits},
        {&out->partial, s.partial},
        {&out->counters, s.counters},
        {&out->settings, s.settings},
        {&out->counts, s.counts},
        {&out->list, s.list},
        {&out->candidates, s.candidates},
        {&out->kv_row, s.kv_row},
        {&out->kv_counters, s.kv_counters},
        {&out->xn8, s.xn8},
        {&out->heads8, s.heads8},
        {&out->mlp8, s.mlp8},
        {&out->mlp_counters, s.mlp_counters},
        {&out->inputs, s.inputs},
    };
    for (size_t i = 0; i < sizeof views / sizeof *views; i++)
        if (views[i].slot.bytes > 0)
            *views[i].view = vklm_gpu_arena_view(out->arena, views[i].slot);
    if (arch->n_experts)
        view_experts(out, &s);
    uint64_t upload = out->tokens.bytes > out->step.bytes ? out->tokens.bytes : out->step.bytes;
    status = vklm_gpu_buffer_create(device, VKLM_GPU_MEMORY_UPLOAD, upload, &out->upload);
    if (status == VKLM_OK)
        status = vklm_gpu_buffer_create(device, VKLM_GPU_MEMORY_READBACK,
                                        out->logits.bytes + sizeof(uint32_t), &out->readback);
    if (status == VKLM_OK)
        status =
            vklm_gpu_buffer_create(device, VKLM_GPU_MEMORY_UPLOAD,
                                   out->settings.bytes + out->counts.bytes, &out->sampling_upload);
    if (status == VKLM_OK)
        status =
            vklm_gpu_buffer_create(device, VKLM_GPU_MEMORY_READBACK,
                                   SAMPLED_SLOTS * sizeof(struct vklm_args_sampled), &out->sampled);
    if (status == VKLM_OK)
        status = clear(device, out);
    if (status != VKLM_OK)
        vklm_activations_finish(out);
    return status;
}

void vklm_activations_finish(vklm_activations *activations)
{
    vklm_gpu_buffer_destroy(activations->sampled);
    vklm_gpu_buffer_destroy(activations->sampling_upload);
    vklm_gpu_buffer_destroy(activations->upload);
    vklm_gpu_buffer_destroy(activations->readback);
    vklm_gpu_arena_destroy(activations->arena);
    *activations = (vklm_activations){0};
}

void vklm_activations_record_status(vklm_gpu_cmd *cmd, const vklm_activations *a)
{
    if (a->status.buffer)
        vklm_gpu_cmd_copy(cmd, "status", a->status,
                          vklm_gpu_view_part(vklm_gpu_buffer_view(a->readback), a->logits.bytes,
                                             a->status.bytes));
}

vklm_status vklm_activations_check_status(vklm_gpu_device *device, const vklm_activations *a)
{
    uint32_t bad = 0;
    if (a->status.buffer)
        memcpy(&bad, (const char *)vklm_gpu_buffer_map(a->readback) + a->logits.bytes, sizeof bad);
    if (bad == 0)
        return VKLM_OK;
    vklm_status status = clear(device, a);
    if (status != VKLM_OK)
        return status;
    return vklm_fail(
        VKLM_BAD_FILE,
        "layer %u: the router's scores are not finite numbers; the weights are damaged, "
        "or the device computes wrongly",
        bad - 1);
}

vklm_gpu_view vklm_activations_floats(vklm_gpu_view view, uint64_t first, uint64_t n)
{
    return vklm_gpu_view_part(view, first * sizeof(float), n * sizeof(float));
}
