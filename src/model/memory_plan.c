#include "model/memory_plan.h"

#include "gpu/stage.h"
#include "model/activations.h"
#include "model/kv_cache.h"
#include "model/weights_plan.h"

// Best first.
static const vklm_weights_kind KINDS[] = {VKLM_WEIGHTS_F16, VKLM_WEIGHTS_Q8, VKLM_WEIGHTS_MIXED,
                                          VKLM_WEIGHTS_Q4};
enum { N_KINDS = sizeof KINDS / sizeof *KINDS };

typedef struct {
    const vklm_source *source;
    const vklm_gpu_caps *caps;
    uint64_t limit, heap_bytes;
    uint32_t heap;
} planner;

// A desktop GPU, where none is there to be asked.
static const vklm_gpu_caps UNKNOWN = {
    .type = VKLM_DEVICE_DISCRETE,
    .subgroup_size = 32,
    .max_allocation_bytes = 1 << 30,
    .max_buffer_bytes = 1 << 30,
};

static planner start(const vklm_source *source, const vklm_gpu_caps *caps, uint64_t max_bytes)
{
    planner p = {.source = source, .caps = &UNKNOWN, .limit = max_bytes, .heap_bytes = max_bytes};
    if (!caps)
        return p;
    p.caps = caps;
    uint64_t budget;
    vklm_gpu_caps_memory(caps, &budget, &p.heap_bytes);
    for (uint32_t i = caps->n_heaps; i-- > 0;)
        if (caps->heaps[i].device_local && caps->heaps[i].bytes == p.heap_bytes)
            p.heap = i;
    if (!max_bytes || max_bytes > budget)
        p.limit = budget;
    return p;
}

typedef struct {
    vklm_memory_plan *plan;
    uint64_t matrices;
} counter;

static vklm_status count_matrix(void *opaque, const vklm_planned_matrix *m, vklm_weight *out)
{
    (void)out;
    counter *c = opaque;
    uint64_t bytes = vklm_format_bytes(m->format, m->n_rows, m->n_cols);
    c->matrices += bytes;
    switch (m->class) {
    case VKLM_MATRIX_EMBED:
        c->plan->embed_bytes += bytes;
        break;
    case VKLM_MATRIX_LM_HEAD:
        c->plan->head_bytes += bytes;
        break;
    case VKLM_MATRIX_QKV:
    case VKLM_MATRIX_OUT:
        c->plan->attention_bytes += bytes;
        break;
    default:
        c->plan->mlp_bytes += bytes;
    }
    return VKLM_OK;
}

static vklm_status count_vector(void *opaque, const vklm_planned_vector *v, vklm_gpu_view *out)
{
    (void)opaque, (void)v, (void)out;
    return VKLM_OK;
}

static vklm_status count_weights(const planner *p, vklm_weights_kind kind, vklm_memory_plan *out)
{
    vklm_weights_plan *weights;
    vklm_weights *unused = NULL;
    vklm_status status = vklm_weights_plan_create(p->source, kind, p->caps, &weights);
    if (status != VKLM_OK)
        return status;
    counter c = {.plan = out};
    const vklm_weights_visitor count = {
        .matrix = count_matrix, .vector = count_vector, .opaque = &c};
    status = vklm_weights_create(weights, &unused);
    if (status == VKLM_OK)
        status = vklm_weights_plan_visit(weights, &count, unused);
    out->weights = weights->kind;
    out->weight_bytes = vklm_weights_plan_bytes(weights);
    out->small_bytes = out->weight_bytes - c.matrices; // and what alignment costs
    vklm_weights_destroy(unused);
    vklm_weights_plan_destroy(weights);
    return status;
}

// The plan of one choice.
static vklm_status plan_one(const planner *p, vklm_weights_kind kind, vklm_kv_kind kv,
                            uint32_t n_ctx, vklm_memory_plan *out)
{
    const vklm_arch *arch = &p->source->arch;
    *out = (vklm_memory_plan){
        .kv = vklm_kv_cache_kind(arch, kv),
        .n_ctx = n_ctx,
        .kv_bytes = 2 * arch->n_layers * vklm_kv_cache_layer_bytes(arch, kv, n_ctx),
        .staging_bytes = (uint64_t)VKLM_GPU_STAGE_CHUNKS * VKLM_GPU_STAGE_CHUNK_BYTES,
        .limit_bytes = p->limit,
        .heap_bytes = p->heap_bytes,
        .heap = p->heap,
    };
    vklm_status status = count_weights(p, kind, out);
    if (status == VKLM_OK)
        status = vklm_activations_bytes(p->caps, arch, n_ctx, &out->buffer_bytes);
    out->total_bytes = out->weight_bytes + out->kv_bytes + out->buffer_bytes + out->staging_bytes;
    out->fits = out->total_bytes <= out->limit_bytes;
    return status;
}

// All choices that a wish leaves, best first, until one fits.
static vklm_status plan_first(const planner *p, const vklm_memory_wish *wish, uint32_t n_ctx,
                              vklm_memory_plan *out)
{
    const bool any = wish->weights == VKLM_WEIGHTS_AUTO && !p->source->packed;
    for (int k = 0; k < (any ? N_KINDS : 1); k++)
        for (int kv = VKLM_KV_F16; kv <= VKLM_KV_Q8; kv++) {
            if (wish->kv != VKLM_KV_AUTO && kv != (int)wish->kv)
                continue;
            vklm_status status =
                plan_one(p, any ? KINDS[k] : wish->weights, (vklm_kv_kind)kv, n_ctx, out);
            if (status != VKLM_OK || out->fits)
                return status;
        }
    return VKLM_OK;
}

vklm_status vklm_memory_plan_make(const vklm_source *source, const vklm_gpu_caps *caps,
                                  const vklm_memory_wish *wish, vklm_memory_plan *out_plan)
{
    const uint32_t most = source->arch.n_positions;
    if (wish->n_ctx > most)
        return vklm_fail(VKLM_INVALID_ARGUMENT,
                         "a context of %u tokens was asked for; the model has at most %u",
                         wish->n_ctx, most);
    planner p = start(source, caps, wish->max_bytes);
    return plan_first(&p, wish, wish->n_ctx ? wish->n_ctx : most, out_plan);
}

// The longest context that fits, in steps of 64; 0 when none does.
static vklm_status longest(const planner *p, const vklm_memory_wish *wish, uint32_t below,
                           vklm_memory_plan *out)
{
    uint32_t low = 0, high = (below - 1) / 64; // in steps
    vklm_memory_plan plan;
    while (low < high) {
        uint32_t middle = (low + high + 1) / 2;
        vklm_status status = plan_first(p, wish, middle * 64, &plan);
        if (status != VKLM_OK)
            return status;
        if (plan.fits)
            low = middle;
        else
            high = middle - 1;
    }
    *out = (vklm_memory_plan){0};
    return low ? plan_first(p, wish, low * 64, out) : VKLM_OK;
}

vklm_status vklm_memory_plan_instead(const vklm_source *source, const vklm_gpu_caps *caps,
                                     const vklm_memory_wish *wish, vklm_memory_plan *out_plans,
                                     size_t *out_n)
{
    planner p = start(source, caps, wish->max_bytes);
    const uint32_t n_ctx = wish->n_ctx ? wish->n_ctx : source->arch.n_positions;
    vklm_memory_plan plan;
    *out_n = 0;
    // The same context with other formats, then a shorter one with each.
    for (int shorter = 0; shorter < 2; shorter++)
        for (int k = 0; k < N_KINDS; k++) {
            vklm_memory_wish other = {.weights = KINDS[k]};
            if (source->packed && KINDS[k] != source->packed->kind)
                continue;
            vklm_status status =
                shorter ? longest(&p, &other, n_ctx, &plan) : plan_first(&p, &other, n_ctx, &plan);
            if (status != VKLM_OK)
                return status;
            if (plan.fits && *out_n < VKLM_PLAN_MAX_INSTEAD)
                out_plans[(*out_n)++] = plan;
        }
    return VKLM_OK;
}
