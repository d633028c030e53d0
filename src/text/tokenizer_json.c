// The vocabulary and the added tokens of a tokenizer.json.
#include <math.h>
#include <stdlib.h>

#include "text/tokenizer_private.h"

// Far more than any vocabulary has; they keep 32-bit ids and the longest match at one place cheap.
enum { MAX_PIECES = 1 << 24, MAX_PIECE_BYTES = 4096 };

bool vklm_tokenizer_read_id(const cJSON *item, size_t limit, uint32_t *out_id)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < (double)limit) ||
        item->valuedouble != floor(item->valuedouble))
        return false;
    *out_id = (uint32_t)item->valuedouble;
    return true;
}

static vklm_status add_piece(vklm_tokenizer *t, const cJSON *text)
{
    if (!vklm_array_grow(&t->pieces, &t->capacity, t->n + 1, sizeof *t->pieces))
        return vklm_fail_memory("the vocabulary");
    size_t offset = t->text.len;
    vklm_json_text(text, &t->text);
    size_t len = t->text.len - offset;
    vklm_string_append(&t->text, "", 1); // the NUL
    if (t->text.failed)
        return vklm_fail_memory("the vocabulary");
    if (len > MAX_PIECE_BYTES)
        return vklm_fail(VKLM_UNSUPPORTED, "token %zu is %zu bytes long, more than %d", t->n, len,
                         MAX_PIECE_BYTES);
    t->pieces[t->n++] = (vklm_piece){.offset = offset, .len = len};
    return VKLM_OK;
}

// One [piece, score].
static vklm_status read_piece(vklm_tokenizer *t, const cJSON *item, double *score)
{
    const cJSON *piece = cJSON_IsArray(item) ? item->child : NULL;
    const cJSON *number = piece ? piece->next : NULL;
    if (!cJSON_IsString(piece) || !cJSON_IsNumber(number) || number->next)
        return vklm_fail(VKLM_BAD_FILE, "model.vocab[%zu] must be [piece, score]", t->n);
    if (!isfinite(number->valuedouble))
        return vklm_fail(VKLM_BAD_FILE, "model.vocab[%zu] %s has a score that is not finite", t->n,
                         vklm_json_show(piece).text);
    *score = number->valuedouble;
    return add_piece(t, piece);
}

static vklm_status read_vocab(vklm_tokenizer *t, const cJSON *vocab, double *scores)
{
    vklm_status status = VKLM_OK;
    const cJSON *item;
    cJSON_ArrayForEach(item, vocab)
    {
        status = read_piece(t, item, &scores[t->n]);
        if (status != VKLM_OK)
            break;
    }
    t->n_vocab = t->n;
    return status;
}

// Of sorted entries, equal ones are neighbours.
static vklm_status check_unique(const vklm_trie_entry *entries, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const vklm_trie_entry *a = &entries[i - 1], *b = &entries[i];
        if (a->len == b->len && memcmp(a->text, b->text, a->len) == 0)
            return vklm_fail(VKLM_BAD_FILE, "model.vocab[%u] and [%u] are the same piece", a->value,
                             b->value);
    }
    return VKLM_OK;
}

static vklm_status build_unigram(vklm_tokenizer *t, double *scores, uint32_t unk_id,
                                 bool byte_fallback)
{
    vklm_trie_entry *entries = vklm_alloc(t->n_vocab, sizeof *entries);
    if (!entries) {
        free(scores);
        return vklm_fail_memory("the vocabulary");
    }
    for (size_t i = 0; i < t->n_vocab; i++)
        entries[i] =
            (vklm_trie_entry){t->text.data + t->pieces[i].offset, t->pieces[i].len, (uint32_t)i};
    vklm_status status =
        vklm_unigram_init(&t->unigram, entries, scores, t->n_vocab, unk_id, byte_fallback);
    if (status == VKLM_OK)
        status = check_unique(entries, t->n_vocab);
    free(entries);
    return status;
}

static vklm_status check_model(const cJSON *model)
{
    if (!cJSON_IsObject(model))
        return vklm_fail(VKLM_BAD_FILE, "model must be an object, not %s", vklm_json_kind(model));
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(model, "type");
    if (!cJSON_IsString(type))
        return vklm_fail(VKLM_BAD_FILE, "model.type must be a string, not %s",
                         vklm_json_kind(type));
    if (strcmp(type->valuestring, "Unigram") != 0)
        return vklm_fail(VKLM_UNSUPPORTED, "model.type is %s, only \"Unigram\" is supported",
                         vklm_json_show(type).text);
    const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(model, "vocab");
    if (!cJSON_IsArray(vocab) || !vocab->child)
        return vklm_fail(VKLM_BAD_FILE, "model.vocab must be an array of pieces, not %s",
                         cJSON_IsArray(vocab) ? "empty" : vklm_json_kind(vocab));
    const cJSON *fallback = cJSON_GetObjectItemCaseSensitive(model, "byte_fallback");
    if (fallback && !cJSON_IsBool(fallback))
        return vklm_fail(VKLM_BAD_FILE, "model.byte_fallback must be a boolean, not %s",
                         vklm_json_kind(fallback));
    return VKLM_OK;
}

static vklm_status read_model(vklm_tokenizer *t, const cJSON *model)
{
    vklm_status status = check_model(model);
    if (status != VKLM_OK)
        return status;
    const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(model, "vocab");
    size_t n = (size_t)cJSON_GetArraySize(vocab);
    if (n > MAX_PIECES)
        return vklm_fail(VKLM_UNSUPPORTED, "model.vocab has %zu pieces, more than %d", n,
                         MAX_PIECES);
    const cJSON *unk = cJSON_GetObjectItemCaseSensitive(model, "unk_id");
    uint32_t unk_id;
    if (!vklm_tokenizer_read_id(unk, n, &unk_id))
        return vklm_fail(unk && !cJSON_IsNull(unk) ? VKLM_BAD_FILE : VKLM_UNSUPPORTED,
                         "model.unk_id must be the id of a piece, 0 to %zu, not %s", n - 1,
                         cJSON_IsNumber(unk) ? "another number" : vklm_json_kind(unk));
    double *scores = vklm_alloc(n, sizeof *scores);
    if (!scores)
        return vklm_fail_memory("the vocabulary");
    status = read_vocab(t, vocab, scores);
    if (status != VKLM_OK) {
        free(scores);
        return status;
    }
    const cJSON *fallback = cJSON_GetObjectItemCaseSensitive(model, "byte_fallback");
    return build_unigram(t, scores, unk_id, cJSON_IsTrue(fallback));
}

// The id of an added token: that of the piece it repeats, or the next free one.
static vklm_status place_token(vklm_tokenizer *t, const cJSON *item, const cJSON *content,
                               size_t index, uint32_t *out_id)
{
    vklm_string text = {0};
    vklm_json_text(content, &text);
    if (text.failed) {
        vklm_string_finish(&text);
        return vklm_fail_memory("added tokens");
    }
    uint32_t id = vklm_trie_find(&t->unigram.trie, text.data, text.len), wanted;
    bool is_new = id == VKLM_TRIE_NONE;
    vklm_status status = VKLM_OK;
    if (is_new) {
        id = (uint32_t)t->n;
        status = add_piece(t, content);
    }
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(item, "id");
    if (status == VKLM_OK && (!vklm_tokenizer_read_id(given, t->n, &wanted) || wanted != id))
        status = vklm_fail(VKLM_BAD_FILE, "added_tokens[%zu] %s must have the id %u%s", index,
                           vklm_json_show(content).text, id,
                           is_new ? ", the next free one" : " of its piece in model.vocab");
    vklm_string_finish(&text);
    *out_id = id;
    return status;
}

// A flag of an added token, false when it is not there.
static vklm_status read_flag(const cJSON *item, const char *name, size_t index, bool *out_flag)
{
    const cJSON *flag = cJSON_GetObjectItemCaseSensitive(item, name);
    if (flag && !cJSON_IsBool(flag))
        return vklm_fail(VKLM_BAD_FILE, "added_tokens[%zu].%s must be a boolean, not %s", index,
                         name, vklm_json_kind(flag));
    *out_flag = cJSON_IsTrue(flag);
    return VKLM_OK;
}

static vklm_status read_flags(const cJSON *item, size_t index, vklm_added_token *token,
                              bool *out_normalized)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        {"single_word", &token->single_word}, {"lstrip", &token->lstrip},
        {"rstrip", &token->rstrip},           {"special", &token->special},
        {"normalized", out_normalized},
    };
    vklm_status status = VKLM_OK;
    for (size_t i = 0; status == VKLM_OK && i < sizeof flags / sizeof *flags; i++)
        status = read_flag(item, flags[i].name, index, flags[i].flag);
    return status;
}

static vklm_status read_added_token(vklm_tokenizer *t, const cJSON *item, size_t index)
{
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(item, "content");
    if (!cJSON_IsString(content) || !*content->valuestring)
        return vklm_fail(VKLM_BAD_FILE, "added_tokens[%zu].content must be a text, not %s", index,
                         cJSON_IsString(content) ? "empty" : vklm_json_kind(content));
    vklm_added_token token = {0};
    bool normalized = false;
    vklm_status status = read_flags(item, index, &token, &normalized);
    if (status == VKLM_OK)
        status = place_token(t, item, content, index, &token.id);
    if (status != VKLM_OK)
        return status;
    t->pieces[token.id].special |= token.special;
    vklm_json_text(content, &token.content);
    if (normalized) {
        vklm_string scratch = {0};
        vklm_normalizer_run(&t->normalizer, &token.content, &scratch);
        vklm_string_finish(&scratch);
    }
    if (token.content.failed) {
        vklm_string_finish(&token.content);
        return vklm_fail_memory("added tokens");
    }
    return vklm_added_tokens_add(normalized ? &t->normalized : &t->raw, &token);
}

static vklm_status note_special_pieces(vklm_tokenizer *t)
{
    t->special = vklm_alloc(t->n_vocab, sizeof *t->special);
    for (size_t i = 0; t->special && i < t->n_vocab; i++)
        t->special[i] = t->pieces[i].special;
    return t->special ? VKLM_OK : vklm_fail_memory("a vocabulary");
}

static vklm_status read_added_tokens(vklm_tokenizer *t, const cJSON *list)
{
    if (list && !cJSON_IsArray(list))
        return vklm_fail(VKLM_BAD_FILE, "added_tokens must be an array, not %s",
                         vklm_json_kind(list));
    vklm_status status = VKLM_OK;
    size_t index = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        status = read_added_token(t, item, index++);
        if (status != VKLM_OK)
            return status;
    }
    status = note_special_pieces(t);
    if (status == VKLM_OK)
        status = vklm_added_tokens_build(&t->raw);
    return status == VKLM_OK ? vklm_added_tokens_build(&t->normalized) : status;
}

// `truncation` and `padding` are not looked at: transformers, too, overrides them in every call.
vklm_status vklm_tokenizer_read(vklm_tokenizer *tokenizer, const cJSON *root)
{
    if (!cJSON_IsObject(root))
        return vklm_fail(VKLM_BAD_FILE, "a tokenizer must be an object, not %s",
                         vklm_json_kind(root));
    vklm_status status = read_model(tokenizer, cJSON_GetObjectItemCaseSensitive(root, "model"));
    if (status == VKLM_OK)
        status = vklm_tokenizer_read_pipeline(tokenizer, root);
    if (status == VKLM_OK)
        status =
            read_added_tokens(tokenizer, cJSON_GetObjectItemCaseSensitive(root, "added_tokens"));
    if (status == VKLM_OK)
        status = vklm_tokenizer_read_template(tokenizer, root);
    return status;
}
