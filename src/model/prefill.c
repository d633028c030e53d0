#include "model/prefill.h"

#include <string.h>

#include "base/clock.h"
#include "gpu/device.h"
#include "ops/embed.h"
#include "ops/matmul.h"
#include "ops/matvec.h"

enum { LEAST_TOKENS = 16 }; // of a chunk: the side of a matrix product's tile

typedef struct {
    vklm_prefill *prefill;
    const vklm_prefill_params *params;
    const uint32_t *tokens; // of the whole run
    uint32_t total;
    uint32_t first, n; // the chunk, within the run
    uint32_t position; // of the chunk's first token
} chunk;

vklm_status vklm_prefill_init(vklm_gpu_device *device, const vklm_weights *weights,
                              const vklm_kv_cache *kv, const vklm_activations *activations,
                              vklm_prefill *out_prefill)
{
    *out_prefill =
        (vklm_prefill){.device = device, .weights = weights, .kv = kv, .activations = activations};
    vklm_pace_init(vklm_gpu_device_caps(device), &out_prefill->pace);
    vklm_status status = vklm_gpu_cmd_create(device, NULL, &out_prefill->cmds[0]);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_create(device, NULL, &out_prefill->cmds[1]);
    if (status != VKLM_OK)
        vklm_prefill_finish(out_prefill);
    return status;
}

void vklm_prefill_finish(vklm_prefill *prefill)
{
    vklm_gpu_cmd_destroy(prefill->cmds[0]);
    vklm_gpu_cmd_destroy(prefill->cmds[1]);
    *prefill = (vklm_prefill){0};
}

static vklm_status wait_for(vklm_prefill *p, unsigned i)
{
    if (!p->busy[i])
        return VKLM_OK;
    p->busy[i] = false;
    vklm_status status = vklm_gpu_cmd_wait(p->cmds[i]);
    const double begun = p->begun[i] > p->ended ? p->begun[i] : p->ended;
    p->ended = vklm_clock_seconds();
    if (status == VKLM_OK && p->flop[i] > 0)
        vklm_pace_learn(&p->pace, p->flop[i], p->ended - begun);
    return status;
}

// Waits for the recorder whose turn it is, and starts it.
static vklm_status begin(vklm_prefill *p, vklm_gpu_cmd **out_cmd)
{
    vklm_status status = wait_for(p, p->next);
    *out_cmd = p->cmds[p->next];
    if (status == VKLM_OK)
        vklm_gpu_cmd_begin(*out_cmd);
    return status;
}

static vklm_status submit(vklm_prefill *p, double flop)
{
    vklm_gpu_cmd *cmd = p->cmds[p->next];
    p->flop[p->next] = flop;
    p->begun[p->next] = vklm_clock_seconds();
    vklm_status status = vklm_gpu_cmd_end(cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_submit(cmd);
    p->busy[p->next] = status == VKLM_OK;
    p->next ^= 1;
    return status;
}

static vklm_status drain(vklm_prefill *p)
{
    vklm_status status = wait_for(p, p->next), second = wait_for(p, p->next ^ 1);
    return status == VKLM_OK ? second : status;
}

static void tap(vklm_gpu_cmd *cmd, const chunk *c, uint32_t row)
{
    if (!c->params->tap.buffer)
        return;
    const uint64_t width = c->prefill->weights->arch.n_hidden;
    vklm_gpu_cmd_copy(
        cmd, "tap", vklm_activations_floats(c->prefill->activations->x, 0, c->n * width),
        vklm_activations_floats(c->params->tap, ((uint64_t)row * c->total + c->first) * width,
                                c->n * width));
}

static void tap_routes(vklm_gpu_cmd *cmd, const chunk *c, uint32_t layer)
{
    if (!c->params->routes.buffer)
        return;
    const uint64_t row = c->prefill->weights->arch.top_k * sizeof(struct vklm_args_route);
    vklm_gpu_cmd_copy(
        cmd, "routes", vklm_gpu_view_part(c->prefill->activations->routes, 0, c->n * row),
        vklm_gpu_view_part(c->params->routes, ((uint64_t)layer * c->total + c->first) * row,
                           c->n * row));
}

static void record_embedding(vklm_gpu_cmd *cmd, const chunk *c)
{
    const vklm_weights *w = c->prefill->weights;
    const vklm_activations *a = c->prefill->activations;
    const uint64_t n = c->n, width = w->arch.n_hidden;
    vklm_gpu_view tokens = vklm_activations_floats(a->tokens, 0, n);
    vklm_gpu_cmd_copy(cmd, "tokens",
                      vklm_gpu_view_part(vklm_gpu_buffer_view(a->upload), 0, tokens.bytes), tokens);
    vklm_op_embed_record(cmd, &(vklm_op_embed){
                                  .table = &w->embed,
                                  .tokens = tokens,
                                  .norm = w->layers[0].attn_norm,
                                  .x = vklm_activations_floats(a->x, 0, n * width),
                                  .xn = vklm_activations_floats(a->xn, 0, n * width),
                                  .n_rows = c->n,
                                  .eps = w->arch.rms_eps,
                              });
    tap(cmd, c, 0);
}

// Of the chunk in one layer.
static double layer_flop(const chunk *c)
{
    const vklm_arch *arch = &c->prefill->weights->arch;
    const vklm_layer_weights *l = &c->prefill->weights->layers[0];
    const vklm_weight *all[] = {&l->qkv, &l->out, &l->gate_up, &l->down};
    double flop = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        flop += 2.0 * c->n * all[i]->n_rows * all[i]->n_cols;
    const vklm_experts *e = &l->experts; // with tiles that are half full
    flop += 2.0 * 2 * c->n * e->top_k * 3 * e->n_intermediate * e->n_hidden;
    // Attention, at half the speed of the products.
    flop += 2.0 * 4 * c->n * (c->position + c->n) * arch->n_heads * arch->head_dim;
    return flop;
}

static uint32_t layers_per_submit(const chunk *c)
{
    const double n = vklm_pace_flop(&c->prefill->pace) / layer_flop(c);
    return n < 1 ? 1 : n < 1e6 ? (uint32_t)n : 1000000;
}

// As many of the chunk's tokens as one layer may have in a submit.
static uint32_t tokens_that_fit(const chunk *c)
{
    const double share = vklm_pace_flop(&c->prefill->pace) / layer_flop(c);
    if (share >= 1 || c->n <= LEAST_TOKENS)
        return c->n;
    const uint32_t n = (uint32_t)(share * c->n) / LEAST_TOKENS * LEAST_TOKENS;
    return n ? n : LEAST_TOKENS;
}

// Embedding and layers of one chunk, in as many submits as the watchdog asks for.
static vklm_status run_layers(const chunk *c)
{
    vklm_prefill *p = c->prefill;
    const vklm_weights *w = p->weights;
    const uint32_t n_layers = w->arch.n_layers;
    memcpy(vklm_gpu_buffer_map(p->activations->upload), c->tokens + c->first,
           c->n * sizeof *c->tokens);
    for (uint32_t first = 0, step; first < n_layers; first += step) {
        vklm_gpu_cmd *cmd;
        vklm_status status = begin(p, &cmd);
        if (status != VKLM_OK)
            return status;
        step = layers_per_submit(c);
        step = step < n_layers - first ? step : n_layers - first;
        if (first == 0)
            record_embedding(cmd, c);
        for (uint32_t layer = first; layer < first + step; layer++) {
            vklm_layer_prefill_record(cmd, w, layer, p->kv, p->activations,
                                      vklm_layer_next_norm(w, layer), c->n, c->position,
                                      c->n == c->total);
            tap(cmd, c, layer + 1);
            tap_routes(cmd, c, layer);
        }
        if (first + step >= n_layers)
            vklm_activations_record_status(cmd, p->activations);
        status = submit(p, step * layer_flop(c));
        if (status != VKLM_OK)
            return status;
        if (c->params->progress && !c->params->progress(c->params->opaque, c->first, c->total))
            return vklm_fail(VKLM_CANCELLED, "the prompt was cancelled after %u tokens", c->first);
    }
    vklm_status status = drain(p);
    return status == VKLM_OK ? vklm_activations_check_status(p->device, p->activations) : status;
}

// Logits of rows [row, row + n) of the chunk.
static vklm_status run_logits(const chunk *c, uint32_t row, uint32_t n)
{
    vklm_prefill *p = c->prefill;
    const vklm_activations *a = p->activations;
    const vklm_weight *lm_head = &p->weights->lm_head;
    const uint64_t width = lm_head->n_cols;
    vklm_gpu_view xn = vklm_activations_floats(a->xn, row * width, n * width);
    vklm_gpu_view logits = vklm_activations_floats(a->logits, 0, (uint64_t)n * lm_head->n_rows);
    vklm_gpu_cmd *cmd;
    vklm_status status = begin(p, &cmd);
    if (status != VKLM_OK)
        return status;
    if (n == 1) // the kernel that decode uses
        vklm_op_matvec_record(
            cmd, &(vklm_op_matvec){.label = "lm_head", .weight = lm_head, .x = xn, .y = logits});
    else
        vklm_op_matmul_record(
            cmd, &(vklm_op_matmul){.label = "lm_head",
                                   .weight = lm_head,
                                   .x = xn,
                                   .y = logits,
                                   .n_tokens = n,
                                   .alone = true}); // rows are rows, however many at a time
    vklm_gpu_cmd_copy(cmd, "logits", logits,
                      vklm_gpu_view_part(vklm_gpu_buffer_view(a->readback), 0, logits.bytes));
    status = submit(p, 0);
    if (status == VKLM_OK)
        status = drain(p);
    if (status != VKLM_OK)
        return status;
    return c->params->logits(c->params->opaque, c->first + row, n,
                             vklm_gpu_buffer_map(a->readback));
}

static vklm_status run_chunk(const chunk *c)
{
    vklm_status status = run_layers(c);
    if (status != VKLM_OK || !c->params->logits)
        return status;
    const uint32_t most = c->prefill->activations->max_logit_rows;
    uint32_t row = c->params->logits_from > c->first ? c->params->logits_from - c->first : 0;
    for (; row < c->n && status == VKLM_OK; row += most)
        status = run_logits(c, row, c->n - row < most ? c->n - row : most);
    return status;
}

vklm_status vklm_prefill_run(vklm_prefill *prefill, const uint32_t *tokens, uint32_t n_tokens,
                             uint32_t position, const vklm_prefill_params *params,
                             uint32_t *out_done)
{
    vklm_status status = VKLM_OK;
    *out_done = 0;
    for (uint32_t first = 0; first < n_tokens && status == VKLM_OK;) {
        uint32_t n = n_tokens - first, most = prefill->activations->max_tokens;
        chunk c = {
            .prefill = prefill,
            .params = params,
            .tokens = tokens,
            .total = n_tokens,
            .first = first,
            .n = n < most ? n : most,
            .position = position + first,
        };
        c.n = tokens_that_fit(&c);
        status = run_chunk(&c);
        first += c.n;
        if (status == VKLM_OK)
            *out_done = first;
    }
    if (status != VKLM_OK) { // keep its sentence: waiting may fail too
        char message[512];
        strncpy(message, vklm_error_message(), sizeof message - 1);
        message[sizeof message - 1] = '\0';
        drain(prefill);
        vklm_fail(status, "%s", message);
    } else if (params->progress) {
        params->progress(params->opaque, n_tokens, n_tokens);
    }
    return status;
}
