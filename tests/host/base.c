// Tests of src/base: UTF-8, half floats, JSON text, files, random numbers.
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/utf8.h"

Test(utf8, finds_the_first_bad_byte)
{
    static const struct {
        const char *text;
        size_t len, good;
    } cases[] = {
        {"", 0, 0},
        {"a\0b", 3, 3},
        {"日本", 6, 6},
        {"\xF0\x9F\x98\x80", 4, 4},
        {"a\xC0\x80", 3, 1},        // overlong
        {"\xED\xA0\x80", 3, 0},     // surrogate
        {"\xF4\x90\x80\x80", 4, 0}, // above U+10FFFF
        {"ab\xE6\x97", 4, 2},       // cut off
        {"\x80", 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(vklm_utf8_check(cases[i].text, cases[i].len), cases[i].good, "case %zu", i);
}

Test(utf8, counts_an_incomplete_tail)
{
    cr_expect_eq(vklm_utf8_incomplete_tail("a\xE6\x97", 3), 2);
    cr_expect_eq(vklm_utf8_incomplete_tail("a\xE6", 2), 1);
    cr_expect_eq(vklm_utf8_incomplete_tail("\xF0\x9F\x98", 3), 3);
    cr_expect_eq(vklm_utf8_incomplete_tail("\xE6\x97\xA5", 3), 0);
    cr_expect_eq(vklm_utf8_incomplete_tail("a\x97", 2), 0); // can never become a character
    cr_expect_eq(vklm_utf8_incomplete_tail("", 0), 0);
}

Test(half, every_value_makes_the_round_trip)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = vklm_half_from_f16((uint16_t)h), b = vklm_half_from_bf16((uint16_t)h);
        if (!isnan(f))
            cr_assert_eq(vklm_half_to_f16(f), h, "f16 %04x", h);
        else
            cr_assert(isnan(vklm_half_from_f16(vklm_half_to_f16(f))));
        if (!isnan(b))
            cr_assert_eq(vklm_half_to_bf16(b), h, "bf16 %04x", h);
        else
            cr_assert(isnan(vklm_half_from_bf16(vklm_half_to_bf16(b))));
    }
}

Test(half, rounds_to_the_nearest_even)
{
    for (uint32_t h = 0; h < 0x7BFF; h++) { // between every two finite neighbours
        float low = vklm_half_from_f16((uint16_t)h), high = vklm_half_from_f16((uint16_t)(h + 1));
        float middle = low + (high - low) / 2;
        cr_assert_eq(vklm_half_to_f16(middle), h & 1 ? h + 1 : h, "tie above %04x", h);
        cr_assert_eq(vklm_half_to_f16(nextafterf(middle, INFINITY)), h + 1);
        cr_assert_eq(vklm_half_to_f16(-nextafterf(middle, 0)), 0x8000 | h);
    }
    cr_expect_eq(vklm_half_to_f16(65519.0f), 0x7BFF);
    cr_expect_eq(vklm_half_to_f16(65520.0f), 0x7C00);
    cr_expect_eq(vklm_half_to_bf16(0x1.01p0f), 0x3F80);
    cr_expect_eq(vklm_half_to_bf16(0x1.03p0f), 0x3F82);
}

Test(json, keeps_nul_and_rejects_bad_utf8)
{
    cJSON *json;
    const char text[] = "{\"t\":\"a\\u0000b\\\\u0000\"}";
    cr_assert_eq(vklm_json_parse(text, sizeof text - 1, "line", &json), VKLM_OK);
    vklm_string s = {0};
    vklm_json_text(cJSON_GetObjectItem(json, "t"), &s);
    cr_expect_eq(s.len, 9);
    cr_expect_eq(memcmp(s.data, "a\0b\\u0000", 9), 0);
    vklm_string quoted = {0};
    vklm_json_quote(&quoted, s.data, s.len);
    cr_expect_str_eq(quoted.data, "\"a\\u0000b\\\\u0000\"");
    vklm_string_finish(&s);
    vklm_string_finish(&quoted);
    cJSON_Delete(json);
    cr_expect_eq(vklm_json_parse("\"\xC0\x80\"", 4, "line", &json), VKLM_BAD_FILE);
    cr_expect(strstr(vklm_error_message(), "UTF-8"));
    cr_expect_eq(vklm_json_parse("{\"a\":", 5, "line", &json), VKLM_BAD_FILE);
    cr_expect_eq(vklm_json_parse("", 0, "line", &json), VKLM_BAD_FILE);
}

Test(file, appears_whole_or_not_at_all)
{
    char folder[] = "/tmp/vklm-test-XXXXXX";
    cr_assert(mkdtemp(folder));
    vklm_string path = {0};
    vklm_file_join(&path, folder, "f");
    vklm_file_writer *w;
    cr_assert_eq(vklm_file_writer_open(path.data, &w), VKLM_OK);
    vklm_file_writer_write(w, "abc", 3);
    vklm_file_writer_close(w); // not committed
    cr_expect(!vklm_file_exists(path.data));
    cr_expect_eq(rmdir(folder), 0, "the temporary file is gone too");
    cr_assert_eq(vklm_file_make_folders(folder), VKLM_OK);
    cr_assert_eq(vklm_file_writer_open(path.data, &w), VKLM_OK);
    vklm_file_writer_write(w, "abc", 3);
    cr_expect_eq(vklm_file_writer_commit(w), VKLM_OK);
    vklm_file_writer_close(w);
    vklm_string text = {0};
    cr_expect_eq(vklm_file_read(path.data, 3, &text), VKLM_OK);
    cr_expect_str_eq(text.data, "abc");
    cr_expect_eq(vklm_file_read(path.data, 2, &text), VKLM_BAD_FILE);
    cr_expect_eq(vklm_file_read(folder, 100, &text), VKLM_BAD_FILE);
    unlink(path.data);
    rmdir(folder);
    vklm_string_finish(&text);
    vklm_string_finish(&path);
}

Test(status, keeps_the_sentence)
{
    cr_expect_eq(vklm_fail(VKLM_BAD_FILE, "wanted %d, got %d", 1, 2), VKLM_BAD_FILE);
    vklm_fail_prefix(VKLM_BAD_FILE, "file %s", "x");
    cr_expect_str_eq(vklm_error_message(), "file x: wanted 1, got 2");
    cr_expect_str_eq(vklm_status_name(VKLM_DEVICE_LOST), "device lost");
}

// Known answers of Random123's kat_vectors for philox4x32 with 10 rounds.
Test(rng, philox_known_answers)
{
    uint32_t out[4];
    vklm_rng_philox(0, 0, out);
    static const uint32_t zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    cr_expect_eq(memcmp(out, zero, sizeof out), 0);
    double sum = 0; // a mean of a million has a standard error of 0.0003
    for (uint64_t i = 0; i < 1000000; i++)
        sum += (double)vklm_rng_uniform(7, i);
    cr_expect(fabs(sum / 1e6 - 0.5) < 0.0015, "the mean is %g", sum / 1e6);
}

Test(bytes, are_readable)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0.00 KiB"},
                 {512, "0.50 KiB"},
                 {1 << 20, "1.00 MiB"},
                 {3731570688, "3.48 GiB"},
                 {UINT64_MAX, "17179869184.00 GiB"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[VKLM_BYTES_TEXT];
        cr_expect_str_eq(vklm_bytes_text(cases[i].bytes, text), cases[i].text);
    }
}
