// The parts of a tokenizer.json around its model. What is known here is exactly what
// vklm_normalizer and vklm_decoder can do; anything else is VKLM_UNSUPPORTED, by name.
#include "base/utf8.h"
#include "text/tokenizer_private.h"

// The start of the text, the only place without a newline before it where a line begins
// (Oniguruma's ^ is the start of any line).
#define START_OF_TEXT "(?<!\\n)^"

static vklm_status unsupported(const char *part, const cJSON *found)
{
    return vklm_fail(VKLM_UNSUPPORTED, "%s: %s is not supported", part, vklm_json_show(found).text);
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static bool is_type(const cJSON *item, const char *type)
{
    const cJSON *found = member(item, "type");
    return cJSON_IsString(found) && strcmp(found->valuestring, type) == 0;
}

static bool is_absent(const cJSON *item)
{
    return !item || cJSON_IsNull(item);
}

// The string item `name` of `object` into `out`.
static vklm_status read_text(const cJSON *object, const char *part, const char *name,
                             vklm_string *out)
{
    const cJSON *item = member(object, name);
    if (!cJSON_IsString(item))
        return vklm_fail(VKLM_BAD_FILE, "%s: %s must be a string, not %s", part, name,
                         vklm_json_kind(item));
    vklm_json_text(item, out);
    return out->failed ? vklm_fail_memory("a tokenizer") : VKLM_OK;
}

// A Replace pattern: {"String": s}, or {"Regex": r} with an r that means one string.
// `*out_at_start` tells whether r is START_OF_TEXT and then that string, which may be empty;
// elsewhere it may not.
static vklm_status read_pattern(const cJSON *step, const char *part, vklm_string *out,
                                bool *out_at_start)
{
    const cJSON *pattern = member(step, "pattern");
    const cJSON *string = member(pattern, "String"), *regex = member(pattern, "Regex");
    const cJSON *text = string ? string : regex;
    *out_at_start = false;
    if (!cJSON_IsString(text))
        return vklm_fail(VKLM_BAD_FILE, "%s: a Replace pattern must be a String or a Regex", part);
    const char *rest = text->valuestring;
    if (!string) {
        *out_at_start = strncmp(rest, START_OF_TEXT, sizeof START_OF_TEXT - 1) == 0;
        rest += *out_at_start ? sizeof START_OF_TEXT - 1 : 0;
        if (strpbrk(rest, "\\^$.|?*+()[]{}"))
            return vklm_fail(VKLM_UNSUPPORTED, "%s: the regular expression %s is not supported",
                             part, vklm_json_show(text).text);
    }
    if (!*out_at_start && !*rest)
        return vklm_fail(VKLM_UNSUPPORTED, "%s: an empty pattern is not supported", part);
    cJSON whole = *text;
    whole.valuestring = (char *)(uintptr_t)rest;
    vklm_json_text(&whole, out);
    return out->failed ? vklm_fail_memory("a tokenizer") : VKLM_OK;
}

static vklm_status read_normalizer_step(vklm_normalizer *normalizer, const cJSON *step)
{
    static const char part[] = "normalizer";
    if (normalizer->n_steps == VKLM_NORMALIZER_STEPS)
        return vklm_fail(VKLM_UNSUPPORTED, "%s: more than %d steps are not supported", part,
                         VKLM_NORMALIZER_STEPS);
    vklm_normalizer_step *to = &normalizer->steps[normalizer->n_steps++];
    if (is_type(step, "Prepend"))
        return read_text(step, part, "prepend", &to->to);
    if (!is_type(step, "Replace"))
        return unsupported(part, member(step, "type"));
    bool at_start;
    vklm_status status = read_pattern(step, part, &to->from, &at_start);
    if (status == VKLM_OK && at_start && to->from.len > 0)
        status = vklm_fail(VKLM_UNSUPPORTED, "%s: replacing at the start is not supported", part);
    return status == VKLM_OK ? read_text(step, part, "content", &to->to) : status;
}

static vklm_status read_normalizer(vklm_normalizer *normalizer, const cJSON *item)
{
    if (is_absent(item))
        return VKLM_OK;
    if (!is_type(item, "Sequence"))
        return read_normalizer_step(normalizer, item);
    const cJSON *steps = member(item, "normalizers"), *step;
    if (!cJSON_IsArray(steps))
        return vklm_fail(VKLM_BAD_FILE, "normalizer.normalizers must be an array, not %s",
                         vklm_json_kind(steps));
    vklm_status status = VKLM_OK;
    cJSON_ArrayForEach(step, steps)
    {
        if (status == VKLM_OK)
            status = read_normalizer_step(normalizer, step);
    }
    return status;
}

// Before Fuse a Replace acts on each piece; it must be about one character, so that a stream may
// hand out text character by character. At the start of the text, after Fuse, it cuts.
static vklm_status read_decoder_replace(vklm_decoder *decoder, const cJSON *step, bool fused)
{
    static const char part[] = "decoder";
    vklm_string from = {0}, to = {0};
    bool at_start;
    vklm_status status = read_pattern(step, part, &from, &at_start);
    if (status == VKLM_OK)
        status = read_text(step, part, "content", &to);
    bool one_character = from.len > 0 && vklm_utf8_length(from.data, from.len) == from.len;
    if (status == VKLM_OK && one_character && at_start && fused && to.len == 0) {
        decoder->strip = from;
        decoder->n_strip = 1;
        from = (vklm_string){0};
    } else if (status == VKLM_OK && one_character && !at_start && decoder->from.len == 0) {
        decoder->from = from;
        decoder->to = to;
        decoder->replace_in_bytes = decoder->byte_fallback;
        from = to = (vklm_string){0};
    } else if (status == VKLM_OK) {
        status = vklm_fail(VKLM_UNSUPPORTED, "%s: this Replace is not supported", part);
    }
    vklm_string_finish(&from);
    vklm_string_finish(&to);
    return status;
}

static vklm_status read_decoder_strip(vklm_decoder *decoder, const cJSON *step, bool fused)
{
    uint32_t start, stop;
    vklm_status status = read_text(step, "decoder", "content", &decoder->strip);
    if (status != VKLM_OK)
        return status;
    if (!vklm_tokenizer_read_id(member(step, "start"), 1 << 20, &start) ||
        !vklm_tokenizer_read_id(member(step, "stop"), 1 << 20, &stop) ||
        vklm_utf8_length(decoder->strip.data, decoder->strip.len) != decoder->strip.len)
        return vklm_fail(VKLM_BAD_FILE, "decoder: a Strip must have a character and two counts");
    if (!fused || stop != 0)
        return vklm_fail(VKLM_UNSUPPORTED,
                         "decoder: Strip is supported after Fuse and at the start only");
    decoder->n_strip = start;
    return VKLM_OK;
}

static vklm_status read_decoder_step(vklm_decoder *decoder, const cJSON *step, bool *fused)
{
    const cJSON *type = member(step, "type");
    if (decoder->strip.len > 0)
        return vklm_fail(VKLM_UNSUPPORTED, "decoder: %s after the text was cut is not supported",
                         vklm_json_show(type).text);
    if (is_type(step, "Replace"))
        return read_decoder_replace(decoder, step, *fused);
    if (is_type(step, "Strip"))
        return read_decoder_strip(decoder, step, *fused);
    if (is_type(step, "Fuse"))
        *fused = true;
    else if (is_type(step, "ByteFallback") && !*fused && decoder->from.len != 1)
        decoder->byte_fallback = true;
    else
        return unsupported("decoder", type);
    return VKLM_OK;
}

static vklm_status read_decoder(vklm_decoder *decoder, const cJSON *item)
{
    bool fused = false;
    if (is_absent(item))
        return vklm_fail(VKLM_UNSUPPORTED, "a tokenizer without a decoder is not supported");
    if (!is_type(item, "Sequence"))
        return read_decoder_step(decoder, item, &fused);
    const cJSON *steps = member(item, "decoders"), *step;
    if (!cJSON_IsArray(steps))
        return vklm_fail(VKLM_BAD_FILE, "decoder.decoders must be an array, not %s",
                         vklm_json_kind(steps));
    vklm_status status = VKLM_OK;
    cJSON_ArrayForEach(step, steps)
    {
        if (status == VKLM_OK)
            status = read_decoder_step(decoder, step, &fused);
    }
    return status;
}

vklm_status vklm_tokenizer_read_pipeline(vklm_tokenizer *tokenizer, const cJSON *root)
{
    const cJSON *pre_tokenizer = member(root, "pre_tokenizer");
    if (!is_absent(pre_tokenizer))
        return unsupported("pre_tokenizer", member(pre_tokenizer, "type"));
    vklm_status status = read_normalizer(&tokenizer->normalizer, member(root, "normalizer"));
    return status == VKLM_OK ? read_decoder(&tokenizer->decoder, member(root, "decoder")) : status;
}

// The ids that post_processor.special_tokens gives for one SpecialToken of the template.
static vklm_status read_special(const vklm_tokenizer *t, const cJSON *processor,
                                const cJSON *special, vklm_ids *out)
{
    const cJSON *name = member(special, "id");
    const cJSON *entry = cJSON_IsString(name)
                             ? member(member(processor, "special_tokens"), name->valuestring)
                             : NULL;
    const cJSON *ids = member(entry, "ids"), *item;
    if (!cJSON_IsArray(ids))
        return vklm_fail(VKLM_BAD_FILE, "post_processor: special_tokens has no ids for %s",
                         vklm_json_show(name).text);
    cJSON_ArrayForEach(item, ids)
    {
        uint32_t id;
        if (!vklm_tokenizer_read_id(item, t->n, &id))
            return vklm_fail(VKLM_BAD_FILE, "post_processor: %s must have ids from 0 to %zu",
                             vklm_json_show(name).text, t->n - 1);
        vklm_ids_push(out, id);
    }
    return out->failed ? vklm_fail_memory("a tokenizer") : VKLM_OK;
}

vklm_status vklm_tokenizer_read_template(vklm_tokenizer *tokenizer, const cJSON *root)
{
    const cJSON *processor = member(root, "post_processor");
    if (is_absent(processor))
        return VKLM_OK;
    if (!is_type(processor, "TemplateProcessing"))
        return unsupported("post_processor", member(processor, "type"));
    vklm_ids *side = &tokenizer->before;
    const cJSON *item;
    cJSON_ArrayForEach(item, member(processor, "single"))
    {
        const cJSON *special = member(item, "SpecialToken"), *sequence = member(item, "Sequence");
        if (special) {
            vklm_status status = read_special(tokenizer, processor, special, side);
            if (status != VKLM_OK)
                return status;
        } else if (sequence && side == &tokenizer->before) {
            side = &tokenizer->after;
        } else {
            return vklm_fail(VKLM_BAD_FILE, "post_processor.single must hold special tokens and "
                                            "one sequence");
        }
    }
    return side == &tokenizer->after
               ? VKLM_OK
               : vklm_fail(VKLM_BAD_FILE, "post_processor.single must hold a sequence");
}
