// The tokenizer against the official library: the LLM-jp vocabulary where its files are at hand,
// and the committed demo vocabulary.
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "host/text_help.h"

#define DEMO_DIR   VKLM_TEST_DATA "/demo-dense"
#define DEMO_CASES VKLM_TEST_DATA "/golden/demo-tokenizer.jsonl"

static vklm_tokenizer *open_or_skip(const char *dir)
{
    vklm_tokenizer *tokenizer = NULL;
    vklm_string path = {0};
    vklm_file_join(&path, dir, "tokenizer.json");
    bool there = vklm_file_exists(path.data);
    vklm_string_finish(&path);
    if (!there)
        cr_skip_test("no tokenizer in %s", dir);
    EXPECT_OK(vklm_tokenizer_open(dir, &tokenizer));
    return tokenizer;
}

static void check_ids(const vklm_tokenizer *t, const char *text, size_t len, bool special,
                      const uint32_t *ids, size_t n, size_t number)
{
    uint32_t *got;
    size_t n_got;
    vklm_encode_params params = {.add_special_tokens = special};
    EXPECT_OK(vklm_tokenizer_encode(t, text, len, &params, &got, &n_got));
    cr_assert_eq(n_got, n + special, "line %zu: %zu ids, not %zu", number, n_got, n + special);
    cr_assert(!special || got[0] == 1, "line %zu: no <s> in front", number);
    cr_assert(n == 0 || memcmp(got + special, ids, n * sizeof *ids) == 0, "line %zu", number);
    vklm_free(got);
}

static void check_text(const vklm_tokenizer *t, const uint32_t *ids, size_t n, bool skip,
                       const vklm_string *wanted, size_t number)
{
    char *got;
    size_t len;
    EXPECT_OK(vklm_tokenizer_decode(t, ids, n, skip, &got, &len));
    cr_assert(len == wanted->len && memcmp(got, wanted->data, len) == 0,
              "line %zu: \"%s\", not \"%s\"", number, got, wanted->data);
    vklm_free(got);
}

// Piece by piece: valid UTF-8 each time, and the whole text in the end.
static void check_stream(const vklm_tokenizer *t, const uint32_t *ids, size_t n, bool skip,
                         const vklm_string *wanted, size_t number)
{
    vklm_decode_stream *stream;
    vklm_string all = {0};
    const char *part;
    size_t len;
    EXPECT_OK(vklm_decode_stream_create(t, skip, &stream));
    for (size_t i = 0; i < n; i++) {
        EXPECT_OK(vklm_decode_stream_push(stream, ids[i], &part, &len));
        vklm_string_append(&all, part, len);
    }
    EXPECT_OK(vklm_decode_stream_flush(stream, &part, &len));
    vklm_string_append(&all, part, len);
    cr_assert(all.len == wanted->len && memcmp(all.data, wanted->data, all.len) == 0,
              "line %zu: streamed \"%s\", not \"%s\"", number, all.data, wanted->data);
    vklm_string_finish(&all);
    vklm_decode_stream_destroy(stream);
}

static void check_decodes(const vklm_tokenizer *t, const cJSON *line, const char *name, bool skip,
                          const uint32_t *ids, size_t n, size_t number)
{
    const cJSON *wanted = cJSON_GetObjectItemCaseSensitive(line, name);
    if (!wanted)
        return;
    vklm_string text = {0};
    vklm_json_text(wanted, &text);
    check_text(t, ids, n, skip, &text, number);
    if (!strstr(wanted->valuestring, "\xEF\xBF\xBD")) // in an invalid run the two may differ
        check_stream(t, ids, n, skip, &text, number);
    vklm_string_finish(&text);
}

static void check_line(const cJSON *line, size_t number, void *tokenizer)
{
    size_t n;
    uint32_t *ids = json_ids(cJSON_GetObjectItemCaseSensitive(line, "ids"), &n);
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(line, "text");
    if (text) {
        vklm_string bytes = {0};
        vklm_json_text(text, &bytes);
        check_ids(tokenizer, bytes.data, bytes.len, false, ids, n, number);
        check_ids(tokenizer, bytes.data, bytes.len, true, ids, n, number);
        vklm_string_finish(&bytes);
    }
    check_decodes(tokenizer, line, "dec", false, ids, n, number);
    check_decodes(tokenizer, line, "dec_skip", true, ids, n, number);
    free(ids);
}

Test(tokenizer, llm_jp_conformance)
{
    vklm_tokenizer *t = open_or_skip(VKLM_LLM_JP_TOKENIZER);
    cr_expect_eq(vklm_tokenizer_size(t), 99574);
    cr_expect_eq(for_each_json_line(VKLM_LLM_JP_TOKENIZER "/conformance.jsonl", check_line, t),
                 687);
    vklm_tokenizer_close(t);
}

Test(tokenizer, demo_conformance)
{
    vklm_tokenizer *t = open_or_skip(DEMO_DIR);
    cr_expect_gt(for_each_json_line(DEMO_CASES, check_line, t), 100);
    vklm_tokenizer_close(t);
}

Test(tokenizer, pieces_and_their_ids)
{
    vklm_tokenizer *t = open_or_skip(DEMO_DIR);
    uint32_t id;
    for (uint32_t i = 0; i < vklm_tokenizer_size(t); i++) {
        cr_assert(vklm_tokenizer_find(t, vklm_tokenizer_piece(t, i), &id), "id %u", i);
        cr_assert_eq(id, i);
    }
    cr_expect_null(vklm_tokenizer_piece(t, vklm_tokenizer_size(t)));
    cr_expect_null(vklm_tokenizer_piece(t, UINT32_MAX));
    cr_expect_not(vklm_tokenizer_find(t, "no such piece", &id));
    vklm_tokenizer_close(t);
}

Test(tokenizer, plain_special_tokens_stay_text)
{
    vklm_tokenizer *t = open_or_skip(DEMO_DIR);
    static const char text[] = "</s>";
    vklm_encode_params plain = {.plain_special = true};
    uint32_t *ids;
    size_t n;
    EXPECT_OK(vklm_tokenizer_encode(t, text, 4, NULL, &ids, &n));
    cr_assert(n == 1 && ids[0] == 2);
    vklm_free(ids);
    EXPECT_OK(vklm_tokenizer_encode(t, text, 4, &plain, &ids, &n));
    for (size_t i = 0; i < n; i++)
        cr_expect_gt(ids[i], 2, "also not as a piece of the vocabulary");
    char *back;
    size_t len;
    EXPECT_OK(vklm_tokenizer_decode(t, ids, n, false, &back, &len));
    cr_expect_str_eq(back, text);
    vklm_free(back);
    vklm_free(ids);
    vklm_tokenizer_close(t);
}

Test(tokenizer, text_that_is_not_utf8_is_refused)
{
    vklm_tokenizer *t = open_or_skip(DEMO_DIR);
    uint32_t *ids;
    size_t n;
    cr_assert_eq(vklm_tokenizer_encode(t, "ab\xFF", 3, NULL, &ids, &n), VKLM_INVALID_ARGUMENT);
    cr_expect(strstr(vklm_error_message(), "byte 2"), "%s", vklm_error_message());
    EXPECT_OK(vklm_tokenizer_encode(t, "", 0, NULL, &ids, &n));
    cr_expect_eq(n, 0);
    cr_expect_not_null(ids);
    vklm_free(ids);
    vklm_tokenizer_close(t);
}

// Any ids at all: valid UTF-8 comes out, also from a stream, and at the end of a stream everything
// is out.
Test(tokenizer, random_ids_decode_to_utf8)
{
    vklm_tokenizer *t = open_or_skip(DEMO_DIR);
    for (uint64_t round = 0; round < 2000; round++) {
        uint32_t ids[24], words[4];
        for (size_t i = 0; i < 24; i++) {
            vklm_rng_philox(5, round * 24 + i, words);
            ids[i] = words[0] % 3 ? 8 + words[1] % 256 : words[1] % (vklm_tokenizer_size(t) + 9);
        }
        vklm_decode_stream *stream;
        EXPECT_OK(vklm_decode_stream_create(t, round & 1, &stream));
        const char *part;
        size_t len;
        for (size_t i = 0; i <= 24; i++) {
            if (i < 24)
                EXPECT_OK(vklm_decode_stream_push(stream, ids[i], &part, &len));
            else
                EXPECT_OK(vklm_decode_stream_flush(stream, &part, &len));
            cr_assert_eq(vklm_utf8_check(part, len), len, "round %llu", (unsigned long long)round);
        }
        vklm_decode_stream_destroy(stream);
        char *text;
        EXPECT_OK(vklm_tokenizer_decode(t, ids, 24, round & 1, &text, &len));
        cr_assert_eq(vklm_utf8_check(text, len), len);
        vklm_free(text);
    }
    vklm_tokenizer_close(t);
}
