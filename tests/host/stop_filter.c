// Stop strings, however the text is cut into pieces.
#include <criterion/criterion.h>

#include <string.h>

#include "base/array.h"
#include "host/text_help.h"

// Pushes the text in pieces of `step` bytes; what comes out.
static vklm_string filter(const char *const *strings, size_t n, const char *text, size_t step,
                          bool *out_stopped)
{
    vklm_stop_filter *f;
    vklm_string all = {0};
    const char *part;
    size_t len;
    *out_stopped = false;
    EXPECT_OK(vklm_stop_filter_create(strings, n, &f));
    for (size_t at = 0, total = strlen(text); at < total; at += step) {
        size_t piece = total - at < step ? total - at : step;
        EXPECT_OK(vklm_stop_filter_push(f, text + at, piece, &part, &len, out_stopped));
        vklm_string_append(&all, part, len);
    }
    EXPECT_OK(vklm_stop_filter_flush(f, &part, &len));
    vklm_string_append(&all, part, len);
    vklm_stop_filter_destroy(f);
    return all;
}

Test(stop_filter, stops_across_pieces)
{
    static const struct {
        const char *strings[3], *text, *wanted;
    } cases[] = {
        {{0}, "anything", "anything"},
        {{"\n\n"}, "one\n two\n\nthree", "one\n two"},
        {{"\n\n"}, "one\n", "one\n"},
        {{"aab"}, "aaaab", "aa"},
        {{"aab"}, "aaaa", "aaaa"},
        {{"###", "応答"}, "これは応答です###", "これは"},
        {{"応答"}, "これは応", "これは応"},
        {{"abcdef", "bc"}, "xabcdef", "xa"},
        {{"stop"}, "stop", ""},
        {{"x", "y", "z"}, "abc", "abc"},
        {{"END"}, "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0, whole = strlen(cases[i].text);
        while (n < 3 && cases[i].strings[n])
            n++;
        for (size_t step = 1; step <= whole + 1; step++) {
            bool stopped;
            vklm_string got = filter(cases[i].strings, n, cases[i].text, step, &stopped);
            if (step < 6 || strcmp(cases[i].text, "xabcdef") != 0) // there two are complete at once
                cr_expect(got.len == strlen(cases[i].wanted) &&
                              memcmp(got.data ? got.data : "", cases[i].wanted, got.len) == 0,
                          "case %zu, pieces of %zu: '%.*s'", i, step, (int)got.len, got.data);
            cr_expect_eq(stopped, strlen(cases[i].wanted) < whole, "case %zu, pieces of %zu", i,
                         step);
            vklm_string_finish(&got);
        }
    }
}

// What cannot be part of a stop string is shown at once.
Test(stop_filter, holds_back_no_more_than_it_must)
{
    static const char *const strings[] = {"\n\n#"};
    vklm_stop_filter *f;
    const char *part;
    size_t len;
    bool stopped;
    EXPECT_OK(vklm_stop_filter_create(strings, 1, &f));
    EXPECT_OK(vklm_stop_filter_push(f, "abc", 3, &part, &len, &stopped));
    cr_expect_eq(len, 3);
    EXPECT_OK(vklm_stop_filter_push(f, "d\n\n", 3, &part, &len, &stopped));
    cr_expect_eq(len, 1);
    EXPECT_OK(vklm_stop_filter_push(f, "e", 1, &part, &len, &stopped));
    cr_expect(len == 3 && memcmp(part, "\n\ne", 3) == 0);
    vklm_stop_filter_destroy(f);
}

Test(stop_filter, empty_strings_are_refused)
{
    static const char *const strings[] = {"a", ""};
    vklm_stop_filter *f;
    cr_expect_eq(vklm_stop_filter_create(strings, 2, &f), VKLM_INVALID_ARGUMENT);
    cr_expect(strstr(vklm_error_message(), "must not be empty"));
    cr_expect_null(f);
    vklm_stop_filter_destroy(NULL);
}
