#include <stdlib.h>

#include "base/file.h"
#include "base/utf8.h"
#include "text/tokenizer_private.h"

enum { MAX_FILE_BYTES = 256 << 20 };

vklm_status vklm_tokenizer_open(const char *model_dir, vklm_tokenizer **out_tokenizer)
{
    *out_tokenizer = NULL;
    cJSON *root = NULL;
    vklm_string path = {0};
    vklm_tokenizer *tokenizer = vklm_alloc(1, sizeof *tokenizer);
    vklm_file_join(&path, model_dir, "tokenizer.json");
    vklm_status status = tokenizer && !path.failed ? VKLM_OK : vklm_fail_memory("a tokenizer");
    if (status == VKLM_OK)
        status = vklm_json_load(path.data, MAX_FILE_BYTES, &root);
    if (status == VKLM_OK) {
        status = vklm_tokenizer_read(tokenizer, root);
        if (status != VKLM_OK)
            vklm_fail_prefix(status, "%s", path.data);
    }
    if (status == VKLM_OK)
        *out_tokenizer = tokenizer;
    else
        vklm_tokenizer_close(tokenizer);
    cJSON_Delete(root);
    vklm_string_finish(&path);
    return status;
}

void vklm_tokenizer_close(vklm_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    vklm_string_finish(&tokenizer->text);
    free(tokenizer->pieces);
    free(tokenizer->special);
    vklm_unigram_finish(&tokenizer->unigram);
    vklm_normalizer_finish(&tokenizer->normalizer);
    vklm_added_tokens_finish(&tokenizer->raw);
    vklm_added_tokens_finish(&tokenizer->normalized);
    free(tokenizer->before.data);
    free(tokenizer->after.data);
    vklm_decoder_finish(&tokenizer->decoder);
    free(tokenizer);
}

uint32_t vklm_tokenizer_size(const vklm_tokenizer *tokenizer)
{
    return (uint32_t)tokenizer->n;
}

const char *vklm_tokenizer_piece(const vklm_tokenizer *tokenizer, uint32_t id)
{
    return id < tokenizer->n ? tokenizer->text.data + tokenizer->pieces[id].offset : NULL;
}

bool vklm_tokenizer_find(const vklm_tokenizer *tokenizer, const char *piece, uint32_t *out_id)
{
    size_t len = strlen(piece);
    uint32_t id = vklm_trie_find(&tokenizer->unigram.trie, piece, len);
    for (size_t i = tokenizer->n_vocab; id == VKLM_TRIE_NONE && i < tokenizer->n; i++)
        if (strcmp(vklm_tokenizer_piece(tokenizer, (uint32_t)i), piece) == 0)
            id = (uint32_t)i;
    if (id == VKLM_TRIE_NONE)
        return false;
    *out_id = id;
    return true;
}

// One call of vklm_tokenizer_encode.
typedef struct {
    const vklm_tokenizer *tokenizer;
    bool plain_special;
    const char *mark; // or NULL
    vklm_string normal, scratch;
    vklm_lattice lattice;
    vklm_ids ids;
} encoder;

// Cuts normalized text at the normalized added tokens and segments what is between them.
static vklm_status encode_normalized(encoder *e, const char *text, size_t len, bool plain_special)
{
    const vklm_tokenizer *t = e->tokenizer;
    vklm_added_search search = {0};
    vklm_added_match match;
    vklm_status status;
    do {
        match = vklm_added_tokens_next(&t->normalized, &search, text, len, plain_special);
        status =
            vklm_unigram_encode(&t->unigram, &e->lattice, plain_special ? t->special : NULL,
                                text + match.gap_start, match.gap_end - match.gap_start, &e->ids);
        if (match.token)
            vklm_ids_push(&e->ids, match.token->id);
    } while (match.token && status == VKLM_OK);
    return status;
}

// Appends a text without its marks; whether there were any.
static bool append_unmarked(vklm_string *out, const char *text, size_t len, const char *mark)
{
    const char *found;
    bool any = false;
    while (mark && (found = memmem(text, len, mark, VKLM_MARK_BYTES))) {
        size_t before = (size_t)(found - text);
        vklm_string_append(out, text, before);
        text += before + VKLM_MARK_BYTES;
        len -= before + VKLM_MARK_BYTES;
        any = true;
    }
    vklm_string_append(out, text, len);
    return any;
}

// Each stretch between added tokens is normalized on its own, so each gets its own "▁" in front.
static vklm_status encode_text(encoder *e, const char *text, size_t len)
{
    const vklm_tokenizer *t = e->tokenizer;
    vklm_added_search search = {0};
    vklm_added_match match;
    vklm_status status = VKLM_OK;
    do {
        match = vklm_added_tokens_next(&t->raw, &search, text, len, e->plain_special);
        e->normal.len = 0;
        bool marked = append_unmarked(&e->normal, text + match.gap_start,
                                      match.gap_end - match.gap_start, e->mark);
        vklm_normalizer_run(&t->normalizer, &e->normal, &e->scratch);
        if (e->normal.failed)
            return vklm_fail_memory("a normalized text");
        status = encode_normalized(e, e->normal.data, e->normal.len, e->plain_special || marked);
        if (match.token)
            vklm_ids_push(&e->ids, match.token->id);
    } while (match.token && status == VKLM_OK);
    return status;
}

static void push_all(vklm_ids *to, const vklm_ids *from)
{
    for (size_t i = 0; i < from->n; i++)
        vklm_ids_push(to, from->data[i]);
}

static vklm_status encode(encoder *e, const char *text, size_t len, bool add_special_tokens,
                          uint32_t **out_ids, size_t *out_n_ids)
{
    const vklm_tokenizer *t = e->tokenizer;
    *out_ids = NULL;
    *out_n_ids = 0;
    size_t good = vklm_utf8_check(text, len);
    if (good < len)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "the text is not valid UTF-8 at byte %zu", good);
    if (!vklm_array_grow(&e->ids.data, &e->ids.capacity, 1, sizeof *e->ids.data))
        e->ids.failed = true;
    if (add_special_tokens)
        push_all(&e->ids, &t->before);
    vklm_status status = encode_text(e, text, len);
    if (add_special_tokens)
        push_all(&e->ids, &t->after);
    if (status == VKLM_OK && e->ids.failed)
        status = vklm_fail_memory("token ids");
    if (status == VKLM_OK) {
        *out_ids = e->ids.data;
        *out_n_ids = e->ids.n;
    } else {
        free(e->ids.data);
    }
    vklm_lattice_finish(&e->lattice);
    vklm_string_finish(&e->normal);
    vklm_string_finish(&e->scratch);
    return status;
}

vklm_status vklm_tokenizer_encode(const vklm_tokenizer *tokenizer, const char *text, size_t len,
                                  const vklm_encode_params *params, uint32_t **out_ids,
                                  size_t *out_n_ids)
{
    encoder e = {.tokenizer = tokenizer, .plain_special = params && params->plain_special};
    return encode(&e, text, len, params && params->add_special_tokens, out_ids, out_n_ids);
}

vklm_status vklm_tokenizer_encode_marked(const vklm_tokenizer *tokenizer, const char *text,
                                         size_t len, const char *mark, uint32_t **out_ids,
                                         size_t *out_n_ids)
{
    encoder e = {.tokenizer = tokenizer, .mark = mark};
    return encode(&e, text, len, false, out_ids, out_n_ids);
}

static void mark_tokens(const vklm_added_tokens *set, const char *text, size_t len,
                        const char *mark, vklm_string *out)
{
    for (size_t at = 0, n; at < len; at += n) {
        n = vklm_utf8_length(text + at, len - at);
        size_t whole;
        uint32_t i = vklm_trie_find_longest(&set->trie, text + at, len - at, &whole);
        vklm_string_append(out, text + at, n);
        if (i != VKLM_TRIE_NONE && set->tokens[i].special)
            vklm_string_append(out, mark, VKLM_MARK_BYTES);
    }
}

void vklm_tokenizer_mark(const vklm_tokenizer *tokenizer, const char *text, size_t len,
                         const char *mark, vklm_string *out)
{
    if (tokenizer->raw.n == 0)
        vklm_string_append(out, text, len);
    else
        mark_tokens(&tokenizer->raw, text, len, mark, out);
}

// NULL for what the decoder must not see, so that it does not end a run of bytes either.
static const vklm_piece *shown_piece(const vklm_tokenizer *tokenizer, uint32_t id,
                                     bool skip_special)
{
    const vklm_piece *piece = id < tokenizer->n ? &tokenizer->pieces[id] : NULL;
    return piece && !(skip_special && piece->special) ? piece : NULL;
}

vklm_status vklm_tokenizer_decode(const vklm_tokenizer *tokenizer, const uint32_t *ids,
                                  size_t n_ids, bool skip_special, char **out_text, size_t *out_len)
{
    *out_text = NULL;
    *out_len = 0;
    vklm_decode_state state;
    vklm_decode_state_init(&state, &tokenizer->decoder);
    for (size_t i = 0; i < n_ids; i++) {
        const vklm_piece *piece = shown_piece(tokenizer, ids[i], skip_special);
        if (piece)
            vklm_decode_state_push(&state, tokenizer->text.data + piece->offset, piece->len);
    }
    vklm_decode_state_end_run(&state);
    vklm_string_append(&state.out, "", 0);
    if (state.out.failed || state.run.failed) {
        vklm_decode_state_finish(&state);
        return vklm_fail_memory("a decoded text");
    }
    *out_text = state.out.data;
    *out_len = state.out.len;
    state.out = (vklm_string){0};
    vklm_decode_state_finish(&state);
    return VKLM_OK;
}

struct vklm_decode_stream {
    const vklm_tokenizer *tokenizer;
    vklm_decode_state state;
    bool skip_special;
    bool handed_out; // the caller has state.out; the next call clears it
};

vklm_status vklm_decode_stream_create(const vklm_tokenizer *tokenizer, bool skip_special,
                                      vklm_decode_stream **out_stream)
{
    vklm_decode_stream *stream = vklm_alloc(1, sizeof *stream);
    *out_stream = stream;
    if (!stream)
        return vklm_fail_memory("a decode stream");
    stream->tokenizer = tokenizer;
    stream->skip_special = skip_special;
    vklm_decode_state_init(&stream->state, &tokenizer->decoder);
    return VKLM_OK;
}

void vklm_decode_stream_destroy(vklm_decode_stream *stream)
{
    if (!stream)
        return;
    vklm_decode_state_finish(&stream->state);
    free(stream);
}

static void begin_call(vklm_decode_stream *stream)
{
    if (stream->handed_out)
        stream->state.out.len = 0;
    stream->handed_out = false;
}

static vklm_status hand_out(vklm_decode_stream *stream, const char **out_text, size_t *out_len)
{
    vklm_string *out = &stream->state.out;
    vklm_string_append(out, "", 0);
    if (out->failed || stream->state.run.failed)
        return vklm_fail_memory("a decoded text");
    stream->handed_out = true;
    *out_text = out->data;
    *out_len = out->len;
    return VKLM_OK;
}

// huggingface/tokenizers' stream decodes its last few ids anew for each id and holds back all text
// that ends in U+FFFD, because a character may still come of it. The same comes out here without
// decoding anything twice: whole characters of a run are settled at once, and a literal U+FFFD
// waits.
vklm_status vklm_decode_stream_push(vklm_decode_stream *stream, uint32_t id, const char **out_text,
                                    size_t *out_len)
{
    const vklm_tokenizer *tokenizer = stream->tokenizer;
    vklm_decode_state *state = &stream->state;
    *out_text = "";
    *out_len = 0;
    begin_call(stream);
    const vklm_piece *piece = shown_piece(tokenizer, id, stream->skip_special);
    if (!piece)
        return VKLM_OK;
    vklm_decode_state_push(state, tokenizer->text.data + piece->offset, piece->len);
    vklm_decode_state_settle(state);
    const vklm_string *out = &state->out;
    bool unsure = out->len >= 3 && memcmp(out->data + out->len - 3, "\xEF\xBF\xBD", 3) == 0;
    return state->run.len > 0 || unsure ? VKLM_OK : hand_out(stream, out_text, out_len);
}

vklm_status vklm_decode_stream_flush(vklm_decode_stream *stream, const char **out_text,
                                     size_t *out_len)
{
    *out_text = "";
    *out_len = 0;
    begin_call(stream);
    vklm_decode_state_end_run(&stream->state);
    return hand_out(stream, out_text, out_len);
}

void vklm_free(void *memory)
{
    free(memory);
}
