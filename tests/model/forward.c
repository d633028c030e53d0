// The forward pass against a double-precision one: after every layer, and the logits; decode and
// prefill; normal and serial.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vklm/convert.h>

#include "base/array.h"
#include "base/file.h"
#include "gpu/stage.h"
#include "model/decode_plan.h"
#include "model/prefill.h"
#include "ref/model.h"

enum { N_IDS = 21, N_CTX = 40 };

static const char *const models[] = {"random-hd128",     "random-gqa",      "demo-dense",
                                     "random-moe-hd128", "random-moe-top1", "random-moe-top4",
                                     "random-moe-ties",  "demo-moe"};
enum { N_MODELS = sizeof models / sizeof *models };

// As stored, and packed: the reference reads the same packed bytes.
static const vklm_weights_kind kinds[] = {VKLM_WEIGHTS_F16, VKLM_WEIGHTS_Q8, VKLM_WEIGHTS_MIXED,
                                          VKLM_WEIGHTS_Q4};
enum { N_KINDS = sizeof kinds / sizeof *kinds, N_CASES = N_MODELS * N_KINDS };

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

typedef struct {
    vklm_source source;
    vklm_gpu_instance *instance;
    vklm_gpu_device *device;
    vklm_weights *weights;
    vklm_kv_cache kv;
    vklm_activations activations;
    vklm_gpu_buffer *tap;
    uint32_t ids[N_IDS];
    double *hidden, *logits; // of the reference: [n_layers + 1, N_IDS, n_hidden], [N_IDS, n_vocab]
    double *hidden_bound, *logits_bound; // of each row's relative error
} rig;

// A packed copy of a model, opened; nothing of it stays in the file system.
static void open_packed(const char *folder, vklm_weights_kind kind, vklm_source *out)
{
    char temporary[] = "/tmp/vklm-packed-XXXXXX", packed[64];
    cr_assert(mkdtemp(temporary));
    snprintf(packed, sizeof packed, "%s/model", temporary);
    must(vklm_model_pack(
        &(vklm_pack_params){.model_dir = folder, .out_dir = packed, .weights = kind}));
    must(vklm_source_open(packed, false, out));
    vklm_file_remove_folder(packed);
    vklm_file_remove_folder(temporary);
}

// The distance of two vectors over the length of the reference.
static double relative_error(const float *got, const double *want, size_t n)
{
    double distance = 0, length = 0;
    for (size_t i = 0; i < n; i++) {
        distance += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        length += want[i] * want[i];
    }
    return sqrt(distance / length); // a NaN stays one, and fails every comparison
}

// f32 sums of a few hundred terms are good to about 1e-6 of a vector's length. What remains: a key
// or value that lies on the border between two f16 numbers is rounded to the other one now and
// then. The bound is the cache's unit roundoff, what it would be if all did; and for a row that
// this rounding moves further, twice what it does to that row: an element rounded the other way
// is off by a unit, not by half of one.
static double *bounds_of(const double *want, const double *plain, size_t rows, size_t width)
{
    double *bounds = vklm_alloc(rows, sizeof *bounds);
    for (size_t i = 0; i < rows; i++) {
        double distance = 0, length = 0;
        for (size_t j = i * width; j < (i + 1) * width; j++) {
            distance += (plain[j] - want[j]) * (plain[j] - want[j]);
            length += want[j] * want[j];
        }
        bounds[i] = fmax(0x1p-11, 2 * sqrt(distance / length));
    }
    return bounds;
}

static void find_bounds(rig *r)
{
    const vklm_arch *a = &r->weights->arch;
    const size_t rows = (size_t)(a->n_layers + 1) * N_IDS;
    double *hidden = vklm_alloc(rows * a->n_hidden, sizeof *hidden);
    double *logits = vklm_alloc((size_t)N_IDS * a->n_vocab, sizeof *logits);
    cr_assert(vklm_ref_forward(&r->source, r->ids, N_IDS, false, hidden, logits));
    r->hidden_bound = bounds_of(r->hidden, hidden, rows, a->n_hidden);
    r->logits_bound = bounds_of(r->logits, logits, N_IDS, a->n_vocab);
    free(hidden);
    free(logits);
}

static void open_rig(const char *model, vklm_weights_kind kind, vklm_kv_kind kv, bool serial,
                     rig *r)
{
    *r = (rig){0};
    char folder[512];
    snprintf(folder, sizeof folder, "%s/%s", VKLM_TEST_DATA, model);
    if (kind == VKLM_WEIGHTS_F16)
        must(vklm_source_open(folder, false, &r->source));
    else
        open_packed(folder, kind, &r->source);
    vklm_status status =
        vklm_gpu_instance_create(&(vklm_gpu_instance_params){.validation = true}, &r->instance);
    if (status == VKLM_NO_DEVICE)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    cr_assert(status == VKLM_OK, "%s", vklm_error_message());
    size_t index;
    must(vklm_gpu_instance_select(r->instance, NULL, &index));
    must(vklm_gpu_device_open(r->instance, index, &(vklm_gpu_device_params){.serial = serial},
                              &r->device));
    vklm_weights_plan *plan;
    must(vklm_weights_plan_create(&r->source, VKLM_WEIGHTS_AUTO, vklm_gpu_device_caps(r->device),
                                  &plan));
    must(vklm_weights_load(plan, r->device, NULL, &r->weights));
    vklm_weights_plan_destroy(plan);
    const vklm_arch *a = &r->weights->arch;
    must(vklm_kv_cache_init(r->device, a, kv, N_CTX, &r->kv));
    must(vklm_activations_init(r->device, a, N_CTX, &r->activations));
    must(vklm_gpu_buffer_create(r->device, VKLM_GPU_MEMORY_READBACK,
                                (uint64_t)(a->n_layers + 1) * N_IDS * a->n_hidden * sizeof(float),
                                &r->tap));
    for (uint32_t i = 0; i < N_IDS; i++)
        r->ids[i] = (i * i * 37 + 11 * i + 5) % a->n_vocab;
    r->hidden = vklm_alloc((size_t)(a->n_layers + 1) * N_IDS * a->n_hidden, sizeof *r->hidden);
    r->logits = vklm_alloc((size_t)N_IDS * a->n_vocab, sizeof *r->logits);
    cr_assert(vklm_ref_forward(&r->source, r->ids, N_IDS, true, r->hidden, r->logits));
    find_bounds(r);
}

static void close_rig(rig *r)
{
    unsigned messages = vklm_gpu_instance_messages(r->instance);
    vklm_gpu_buffer_destroy(r->tap);
    vklm_activations_finish(&r->activations);
    vklm_kv_cache_finish(&r->kv);
    vklm_weights_destroy(r->weights);
    vklm_gpu_device_close(r->device);
    vklm_gpu_instance_destroy(r->instance);
    vklm_source_close(&r->source);
    free(r->hidden);
    free(r->logits);
    free(r->hidden_bound);
    free(r->logits_bound);
    cr_assert_eq(messages, 0, "%u validation messages", messages);
}

static vklm_status keep_logits(void *opaque, uint32_t first, uint32_t n, const float *logits)
{
    const rig *r = ((void **)opaque)[0];
    float *all = ((void **)opaque)[1];
    uint32_t v = r->weights->arch.n_vocab;
    memcpy(all + (size_t)first * v, logits, (size_t)n * v * sizeof *logits);
    return VKLM_OK;
}

// Runs the ids as one prompt; *out_logits [N_IDS, n_vocab] is freed by the caller.
static void run_prefill(rig *r, float **out_logits)
{
    vklm_prefill prefill;
    uint32_t done;
    *out_logits = vklm_alloc((size_t)N_IDS * r->weights->arch.n_vocab, sizeof **out_logits);
    void *opaque[] = {r, *out_logits};
    must(vklm_prefill_init(r->device, r->weights, &r->kv, &r->activations, &prefill));
    must(vklm_prefill_run(&prefill, r->ids, N_IDS, 0,
                          &(vklm_prefill_params){.logits = keep_logits,
                                                 .opaque = opaque,
                                                 .tap = vklm_gpu_buffer_view(r->tap)},
                          &done));
    cr_assert_eq(done, N_IDS);
    vklm_prefill_finish(&prefill);
}

static void check_rows(const char *what, const float *got, const double *want, const double *bounds,
                       size_t rows, size_t width)
{
    double worst = 0;
    for (size_t i = 0; i < rows; i++) {
        double error = relative_error(got + i * width, want + i * width, width);
        cr_assert(error <= bounds[i], "%s, row %zu: relative error %.3g, bound %.3g", what, i,
                  error, bounds[i]);
        worst = fmax(worst, error);
    }
    fprintf(stderr, "%s: relative error at most %.2g\n", what, worst);
}

Test(forward, prefill_follows_the_reference)
{
    for (int c = 0; c < N_CASES; c++) {
        const char *model = models[c / N_KINDS];
        const vklm_weights_kind kind = kinds[c % N_KINDS];
        rig r;
        float *logits;
        open_rig(model, kind, VKLM_KV_F16, false, &r);
        const vklm_arch *a = &r.weights->arch;
        run_prefill(&r, &logits);
        char what[64];
        snprintf(what, sizeof what, "%s, %s", model, vklm_weights_kind_name(kind));
        check_rows(what, vklm_gpu_buffer_map(r.tap), r.hidden, r.hidden_bound,
                   (size_t)(a->n_layers + 1) * N_IDS, a->n_hidden);
        check_rows(what, logits, r.logits, r.logits_bound, N_IDS, a->n_vocab);
        free(logits);
        close_rig(&r);
    }
}

Test(forward, decode_follows_the_reference)
{
    for (int c = 0; c < N_CASES; c++) {
        const char *model = models[c / N_KINDS];
        const vklm_weights_kind kind = kinds[c % N_KINDS];
        rig r;
        open_rig(model, kind, VKLM_KV_F16, false, &r);
        const vklm_arch *a = &r.weights->arch;
        vklm_decode_plan plan;
        vklm_gpu_view tap = vklm_activations_floats(vklm_gpu_buffer_view(r.tap), 0,
                                                    (uint64_t)(a->n_layers + 1) * a->n_hidden);
        must(vklm_decode_plan_init(r.device, r.weights, &r.kv, &r.activations, tap, &plan));
        double worst = 0;
        for (uint32_t t = 0; t < N_IDS; t++) {
            const float *logits;
            must(vklm_decode_plan_run(&plan, r.ids[t], t, &logits));
            for (uint32_t layer = 0; layer <= a->n_layers; layer++) {
                const float *got = (const float *)vklm_gpu_buffer_map(r.tap) + layer * a->n_hidden;
                const double *want = r.hidden + ((size_t)layer * N_IDS + t) * a->n_hidden;
                double error = relative_error(got, want, a->n_hidden);
                cr_assert(error <= r.hidden_bound[layer * N_IDS + t],
                          "%s: token %u after layer %u: error %.3g", model, t, layer, error);
            }
            double error = relative_error(logits, r.logits + (size_t)t * a->n_vocab, a->n_vocab);
            cr_assert(error <= r.logits_bound[t], "%s: logits of token %u: error %.3g", model, t,
                      error);
            worst = fmax(worst, error);
        }
        fprintf(stderr, "%s: decode, relative error at most %.2g\n", model, worst);
        vklm_decode_plan_finish(&plan);
        close_rig(&r);
    }
}

// Barriers are derived: leaving one out would show here as a difference, on a device that overlaps.
Test(forward, serial_gives_the_same_bits)
{
    for (int c = 0; c < N_CASES; c++) {
        const char *model = models[c / N_KINDS];
        const vklm_weights_kind kind = kinds[c % N_KINDS];
        float *logits[2], *decoded[2];
        for (int serial = 0; serial < 2; serial++) {
            rig r;
            open_rig(model, kind, kind == VKLM_WEIGHTS_F16 ? VKLM_KV_F16 : VKLM_KV_Q8, serial, &r);
            run_prefill(&r, &logits[serial]);
            size_t n = (size_t)N_IDS * r.weights->arch.n_vocab;
            decoded[serial] = vklm_alloc(n, sizeof(float));
            vklm_decode_plan plan;
            must(vklm_decode_plan_init(r.device, r.weights, &r.kv, &r.activations,
                                       (vklm_gpu_view){0}, &plan));
            for (uint32_t t = 0; t < N_IDS; t++) {
                const float *row;
                must(vklm_decode_plan_run(&plan, r.ids[t], t, &row));
                memcpy(decoded[serial] + t * (n / N_IDS), row, n / N_IDS * sizeof *row);
            }
            vklm_decode_plan_finish(&plan);
            if (serial) {
                cr_assert_eq(memcmp(logits[0], logits[1], n * sizeof(float)), 0, "%s: prefill",
                             model);
                cr_assert_eq(memcmp(decoded[0], decoded[1], n * sizeof(float)), 0, "%s: decode",
                             model);
            }
            close_rig(&r);
        }
        for (int i = 0; i < 2; i++)
            free(logits[i]), free(decoded[i]);
    }
}

// Five dispatches and five barriers a layer at most, and four more of each: the plan's budget.
Test(forward, decode_keeps_its_budget_of_dispatches)
{
    rig r;
    open_rig("random-hd128", VKLM_WEIGHTS_Q4, VKLM_KV_Q8, false, &r);
    vklm_decode_plan plan;
    must(vklm_decode_plan_init(r.device, r.weights, &r.kv, &r.activations, (vklm_gpu_view){0},
                               &plan));
    const vklm_gpu_cmd *const cmds[] = {plan.run, plan.chain};
    for (int i = 0; i < 2; i++) {
        size_t n, budget = 5 * (size_t)r.weights->arch.n_layers + 4;
        vklm_gpu_cmd_commands(cmds[i], &n);
        cr_expect(n <= budget, "%zu commands, budget %zu", n, budget);
        cr_expect(vklm_gpu_cmd_barriers(cmds[i]) <= budget, "%zu barriers, budget %zu",
                  vklm_gpu_cmd_barriers(cmds[i]), budget);
    }
    vklm_decode_plan_finish(&plan);
    close_rig(&r);
}
