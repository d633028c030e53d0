#include "vklm/generation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vklm/options.h"

enum { MAX_TOKENS = 1 << 24 };

void vklm_generation_finish(vklm_generation *generation)
{
    for (size_t i = 0; i < generation->n_stops; i++)
        free(generation->stops[i]);
    free(generation->stops);
    free(generation->bias);
    *generation = (vklm_generation){0};
}

static vklm_status add_bias(vklm_generation *g, vklm_logit_bias bias)
{
    size_t n = g->sampling.n_bias;
    if (!vklm_array_grow(&g->bias, &g->bias_capacity, n + 1, sizeof *g->bias))
        return vklm_fail_memory("a logit bias");
    g->bias[n] = bias;
    g->sampling.bias = g->bias;
    g->sampling.n_bias = n + 1;
    return VKLM_OK;
}

static vklm_status add_stop(vklm_generation *g, const char *text)
{
    if (!*text)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "a stop string must not be empty");
    if (!vklm_array_grow(&g->stops, &g->stops_capacity, g->n_stops + 1, sizeof *g->stops) ||
        !(g->stops[g->n_stops] = strdup(text)))
        return vklm_fail_memory("a stop string");
    g->n_stops++;
    return VKLM_OK;
}

static void clear_stops(vklm_generation *g)
{
    while (g->n_stops > 0)
        free(g->stops[--g->n_stops]);
}

vklm_status vklm_generation_copy(const vklm_generation *from, vklm_generation *out_copy)
{
    *out_copy = (vklm_generation){
        .sampling = from->sampling, .max_tokens = from->max_tokens, .ignore_eos = from->ignore_eos};
    out_copy->sampling.n_bias = 0;
    vklm_status status = VKLM_OK;
    for (size_t i = 0; i < from->sampling.n_bias && status == VKLM_OK; i++)
        status = add_bias(out_copy, from->bias[i]);
    for (size_t i = 0; i < from->n_stops && status == VKLM_OK; i++)
        status = add_stop(out_copy, from->stops[i]);
    if (status != VKLM_OK)
        vklm_generation_finish(out_copy);
    return status;
}

static bool take_bias(const char *command, const char *argument, vklm_generation *g)
{
    char *colon = strchr(argument, ':'), id[16];
    uint64_t number;
    vklm_logit_bias bias;
    size_t len = colon ? (size_t)(colon - argument) : 0;
    if (len == 0 || len >= sizeof id) {
        vklm_options_misused(command, "--logit-bias takes ID:B, not '%s'", argument);
        return false;
    }
    memcpy(id, argument, len);
    id[len] = '\0';
    if (!vklm_options_whole(command, "the id of --logit-bias", id, 0, UINT32_MAX, &number) ||
        !vklm_options_real(command, "--logit-bias", colon + 1, -1e9, 1e9, &bias.bias))
        return false;
    bias.id = (uint32_t)number;
    return add_bias(g, bias) == VKLM_OK;
}

// The options that are a number.
static int take_number(const char *command, int option, const char *argument, vklm_generation *g)
{
    vklm_sampling_params *p = &g->sampling;
    const struct {
        int option;
        const char *name;
        double low, high;
        float *to;
    } reals[] = {
        {VKLM_OPTION_TEMP, "--temp", 0, 100, &p->temperature},
        {VKLM_OPTION_TOP_P, "--top-p", 1e-6, 1, &p->top_p},
        {VKLM_OPTION_MIN_P, "--min-p", 0, 1, &p->min_p},
        {VKLM_OPTION_REPEAT, "--repeat-penalty", 0.01, 100, &p->repetition_penalty},
        {VKLM_OPTION_FREQUENCY, "--frequency-penalty", -2, 2, &p->frequency_penalty},
        {VKLM_OPTION_PRESENCE, "--presence-penalty", -2, 2, &p->presence_penalty},
    };
    uint64_t number = 0;
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        if (option == reals[i].option)
            return vklm_options_real(command, reals[i].name, argument, reals[i].low, reals[i].high,
                                     reals[i].to)
                       ? 1
                       : -1;
    bool good;
    if (option == VKLM_OPTION_TOP_K) {
        good = vklm_options_whole(command, "--top-k", argument, 0, 1 << 30, &number);
        p->top_k = number ? (int)number : -1;
    } else if (option == VKLM_OPTION_SEED) {
        good = vklm_options_whole(command, "--seed", argument, 0, UINT64_MAX, &p->seed);
    } else if (option == 'n') {
        good = vklm_options_whole(command, "-n", argument, 1, MAX_TOKENS, &number);
        g->max_tokens = (uint32_t)number;
    } else {
        return 0;
    }
    return good ? 1 : -1;
}

int vklm_generation_option(const char *command, int option, const char *argument,
                           vklm_generation *generation)
{
    int taken = take_number(command, option, argument, generation);
    if (option == VKLM_OPTION_TEMP && taken == 1)
        generation->sampling.greedy |= generation->sampling.temperature == 0;
    if (taken != 0)
        return taken;
    switch (option) {
    case VKLM_OPTION_GREEDY:
        generation->sampling.greedy = true;
        return 1;
    case VKLM_OPTION_IGNORE_EOS:
        generation->ignore_eos = true;
        return 1;
    case VKLM_OPTION_BIAS:
        return take_bias(command, argument, generation) ? 1 : -1;
    case VKLM_OPTION_STOP:
        if (add_stop(generation, argument) == VKLM_OK)
            return 1;
        vklm_options_misused(command, "--stop: %s", vklm_error_message());
        return -1;
    default:
        return 0;
    }
}

// A member that is a number; `*out` stays when it is null or not there.
static vklm_status read_real(const cJSON *object, const char *name, double low, double high,
                             double *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!item || cJSON_IsNull(item))
        return VKLM_OK;
    double value = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (!(value >= low && value <= high))
        return vklm_fail(VKLM_INVALID_ARGUMENT, "%s must be a number from %g to %g", name, low,
                         high);
    *out = value;
    return VKLM_OK;
}

static vklm_status read_whole(const cJSON *object, const char *name, double low, double high,
                              double *out)
{
    vklm_status status = read_real(object, name, low, high, out);
    if (status == VKLM_OK && *out != floor(*out))
        return vklm_fail(VKLM_INVALID_ARGUMENT, "%s must be a whole number, not %g", name, *out);
    return status;
}

static vklm_status read_reals(const cJSON *object, vklm_sampling_params *p)
{
    const struct {
        const char *name;
        double low, high;
        float *to;
    } members[] = {
        {"temperature", 0, 100, &p->temperature},
        {"top_p", 1e-6, 1, &p->top_p},
        {"min_p", 0, 1, &p->min_p},
        {"repetition_penalty", 0.01, 100, &p->repetition_penalty},
        {"frequency_penalty", -2, 2, &p->frequency_penalty},
        {"presence_penalty", -2, 2, &p->presence_penalty},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        double value = NAN;
        vklm_status status =
            read_real(object, members[i].name, members[i].low, members[i].high, &value);
        if (status != VKLM_OK)
            return status;
        if (isnan(value))
            continue;
        *members[i].to = (float)value;
        if (i == 0)
            p->greedy = value == 0;
    }
    return VKLM_OK;
}

static vklm_status read_bias(const cJSON *list, vklm_generation *g)
{
    const cJSON *item;
    if (!list || cJSON_IsNull(list))
        return VKLM_OK;
    if (!cJSON_IsObject(list))
        return vklm_fail(VKLM_INVALID_ARGUMENT, "logit_bias must be an object, not %s",
                         vklm_json_kind(list));
    g->sampling.n_bias = 0;
    cJSON_ArrayForEach(item, list)
    {
        char *end;
        unsigned long long id = strtoull(item->string, &end, 10);
        if (*item->string < '0' || *item->string > '9' || *end || id > UINT32_MAX ||
            !cJSON_IsNumber(item))
            return vklm_fail(VKLM_INVALID_ARGUMENT,
                             "logit_bias: wanted \"ID\": number, found \"%.40s\"", item->string);
        vklm_status status = add_bias(g, (vklm_logit_bias){(uint32_t)id, (float)item->valuedouble});
        if (status != VKLM_OK)
            return status;
    }
    return VKLM_OK;
}

static vklm_status read_stops(const cJSON *stop, vklm_generation *g)
{
    if (!stop || cJSON_IsNull(stop))
        return VKLM_OK;
    clear_stops(g);
    const cJSON *item = cJSON_IsArray(stop) ? stop->child : stop;
    for (; item; item = cJSON_IsArray(stop) ? item->next : NULL) {
        vklm_status status = cJSON_IsString(item)
                                 ? add_stop(g, item->valuestring)
                                 : vklm_fail(VKLM_INVALID_ARGUMENT, "stop must be a string, not %s",
                                             vklm_json_kind(item));
        if (status != VKLM_OK)
            return status;
    }
    return VKLM_OK;
}

vklm_status vklm_generation_read(const cJSON *object, vklm_generation *generation)
{
    vklm_sampling_params *p = &generation->sampling;
    double tokens = generation->max_tokens, top_k = -2, seed = -1; // less than any that is read
    vklm_status status = read_reals(object, p);
    if (status == VKLM_OK)
        status = read_whole(object, "max_tokens", 1, MAX_TOKENS, &tokens);
    if (status == VKLM_OK)
        status = read_whole(object, "top_k", -1, 1 << 30, &top_k);
    if (status == VKLM_OK)
        status = read_whole(object, "seed", 0, 0x1p53, &seed);
    if (status == VKLM_OK)
        status = read_bias(cJSON_GetObjectItemCaseSensitive(object, "logit_bias"), generation);
    if (status == VKLM_OK)
        status = read_stops(cJSON_GetObjectItemCaseSensitive(object, "stop"), generation);
    if (status != VKLM_OK)
        return status;
    generation->max_tokens = (uint32_t)tokens;
    if (top_k >= -1)
        p->top_k = top_k > 0 ? (int)top_k : -1;
    p->seed = seed >= 0 ? (uint64_t)seed : p->seed;
    const cJSON *ignore = cJSON_GetObjectItemCaseSensitive(object, "ignore_eos");
    if (cJSON_IsBool(ignore))
        generation->ignore_eos = cJSON_IsTrue(ignore);
    return VKLM_OK;
}
