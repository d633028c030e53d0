// vkbench predict: what the memory's measured speed allows each model, and what `model` measured
// beside it.
#include <stdio.h>
#include <string.h>

#include "vkbench/bench.h"
#include "vkbench/preset.h"

static const double depths[] = {0, 1024, 4095};

// The median that `model` measured for a token of this kind; 0 if it did not.
static double measured(const vklm_bench *b, const char *model, const char *weights, double depth)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(b->report, "results"))
    {
        const cJSON *test = cJSON_GetObjectItem(row, "test"),
                    *d = cJSON_GetObjectItem(row, "depth");
        if (strcmp(cJSON_GetObjectItem(row, "model")->valuestring, model) == 0 &&
            strcmp(cJSON_GetObjectItem(row, "weights")->valuestring, weights) == 0 &&
            strcmp(cJSON_GetObjectItem(row, "kv")->valuestring, "f16") == 0 &&
            strncmp(test->valuestring, "tg", 2) == 0 && d->valuedouble == depth)
            return cJSON_GetObjectItem(cJSON_GetObjectItem(row, "tokens_per_second"), "median")
                ->valuedouble;
    }
    return 0;
}

static void add_row(vklm_bench *b, const vklm_bench_preset *p, unsigned weights, double depth,
                    uint64_t budget)
{
    char name[128];
    double token, kv = vklm_bench_preset_kv_bytes(p, VKLM_KV_F16);
    double needs = vklm_bench_preset_needs(p, weights, VKLM_KV_F16, p->arch.n_positions);
    vklm_bench_preset_bytes(p, weights, &token);
    double bytes = token + kv * (depth + 1);
    double best = b->attainable_gbs * 1e9 / bytes;
    double compute = b->peak_gflops[VKLM_BENCH_F32] * 1e9 / vklm_bench_preset_flop(p, depth, true);
    best = best < compute ? best : compute;
    snprintf(name, sizeof name, "%s %s at %.0f", p->name, vklm_bench_weights_name(weights), depth);
    cJSON *row = vklm_bench_row(b, "predict", name);
    cJSON_AddStringToObject(row, "model", p->name);
    cJSON_AddStringToObject(row, "weights", vklm_bench_weights_name(weights));
    cJSON_AddNumberToObject(row, "depth", depth);
    cJSON_AddNumberToObject(row, "bytes_per_token", bytes);
    cJSON_AddNumberToObject(row, "tokens_per_second", best);
    cJSON_AddNumberToObject(row, "needs_bytes", needs);
    cJSON_AddStringToObject(row, "fits", needs <= (double)budget ? "yes" : "no");
    double got = measured(b, p->name, vklm_bench_weights_name(weights), depth);
    if (got > 0) {
        cJSON_AddNumberToObject(row, "measured", got);
        cJSON_AddNumberToObject(row, "efficiency", got / best);
    }
}

vklm_status vklm_bench_predict(vklm_bench *b)
{
    uint64_t budget, total;
    size_t n;
    const vklm_bench_preset *presets = vklm_bench_presets(&n);
    vklm_status status = vklm_bench_reference(b);
    if (status != VKLM_OK)
        return status;
    vklm_gpu_device_refresh_budget(b->device);
    vklm_gpu_caps_memory(vklm_bench_caps(b), &budget, &total);
    for (size_t p = 0; p < n; p++)
        for (unsigned weights = VKLM_FORMAT_F16; weights < VKLM_BENCH_WEIGHTS; weights++)
            for (size_t d = 0; d < sizeof depths / sizeof *depths; d++)
                if (!b->options.formats || b->options.formats >> weights & 1)
                    add_row(b, &presets[p], weights, depths[d], budget);
    return VKLM_OK;
}
