// The template language against jinja2, its bounds, and what it says when it refuses.
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "host/text_help.h"
#include "text/jinja.h"

// Parses and renders with an object of variables; `out` is a new string.
static vklm_status render(const char *source, size_t len, const cJSON *variables, vklm_string *out)
{
    vklm_jinja *jinja;
    *out = (vklm_string){0};
    vklm_string_append(out, "", 0);
    vklm_status status = vklm_jinja_create(source, len, &jinja);
    if (status == VKLM_OK)
        status = vklm_jinja_render(jinja, variables, out);
    vklm_jinja_destroy(jinja);
    return status;
}

// The first line holds the sets of variables. What jinja2 refuses we refuse, and what it renders
// comes out the same.
static void check_golden(const cJSON *line, size_t number, void *opaque)
{
    cJSON **sets = opaque;
    if (number == 1) {
        *sets = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(line, "sets"), true);
        return;
    }
    vklm_string source = {0}, wanted = {0}, got;
    int set = cJSON_GetObjectItemCaseSensitive(line, "set")->valueint;
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(line, "text");
    vklm_json_text(cJSON_GetObjectItemCaseSensitive(line, "template"), &source);
    vklm_string_append(&source, "", 0);
    vklm_status status = render(source.data, source.len, cJSON_GetArrayItem(*sets, set), &got);
    if (!text) {
        cr_expect_neq(status, VKLM_OK, "line %zu: %s gives '%s'; jinja2 refuses it", number,
                      source.data, got.data);
    } else {
        vklm_json_text(text, &wanted);
        cr_expect_eq(status, VKLM_OK, "line %zu: %s: %s", number, source.data,
                     vklm_error_message());
        cr_expect(got.len == wanted.len && memcmp(got.data, wanted.data, got.len) == 0,
                  "line %zu: %s gives '%s', not '%s'", number, source.data, got.data, wanted.data);
    }
    vklm_string_finish(&source);
    vklm_string_finish(&wanted);
    vklm_string_finish(&got);
}

Test(jinja, renders_as_jinja2_does)
{
    cJSON *sets = NULL;
    cr_expect_eq(for_each_json_line(VKLM_TEST_DATA "/golden/templates.jsonl", check_golden, &sets),
                 679);
    cJSON_Delete(sets);
}

static vklm_status render_with(const char *source, const char *variables, vklm_string *out)
{
    cJSON *json = cJSON_Parse(variables);
    cr_assert(json);
    vklm_status status = render(source, strlen(source), json, out);
    cJSON_Delete(json);
    return status;
}

// What transformers adds to jinja2.
Test(jinja, transformers_additions)
{
    static const char *const cases[][2] = {
        {"{{ strftime_now('%Y') | length }}", "4"},
        {"{{ strftime_now('%d %b %Y') | length }}", "11"},
        {"{{ strftime_now('100%%') }}", "100%"},
        {"{% generation %}a{{ s }}{% endgeneration %}", "atext"},
        {"{{ '<é>' | tojson }}", "\"<é>\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_string out;
        EXPECT_OK(render_with(cases[i][0], "{\"s\":\"text\"}", &out));
        cr_expect_str_eq(out.data, cases[i][1]);
        vklm_string_finish(&out);
    }
}

// What is not done says what it is, and where; what jinja2 refuses as well says why.
Test(jinja, refusals_name_the_construct_and_the_line)
{
    static const struct {
        const char *source;
        vklm_status status;
        const char *says[2];
    } cases[] = {
        {"a\n{% macro m() %}{% endmacro %}", VKLM_UNSUPPORTED, {"line 2", "macro"}},
        {"{% include 'x' %}", VKLM_UNSUPPORTED, {"line 1", "include"}},
        {"{% for a in b recursive %}{% endfor %}", VKLM_UNSUPPORTED, {"line 1", "recursive for"}},
        {"\n\n{{ 2 ** 3 }}", VKLM_UNSUPPORTED, {"line 3", "**"}},
        {"\n{{ s | wordwrap }}", VKLM_UNSUPPORTED, {"line 2", "filter 'wordwrap'"}},
        {"{{ s is callable }}", VKLM_UNSUPPORTED, {"line 1", "test 'callable'"}},
        {"{{ s.swapcase() }}", VKLM_UNSUPPORTED, {"line 1", "'swapcase' of a string"}},
        {"{{ s % 3 }}", VKLM_UNSUPPORTED, {"line 1", "format operator %"}},
        {"{{ [1, 2] }}", VKLM_UNSUPPORTED, {"line 1", "a list as text"}},
        {"{{ cycler }}", VKLM_UNSUPPORTED, {"line 1", "cycler"}},
        {"{{ strftime_now('%Q') }}", VKLM_UNSUPPORTED, {"line 1", "strftime_now"}},
        {"{{ '\xc3\xa9' | upper }}", VKLM_UNSUPPORTED, {"line 1", "upper or lower case of"}},
        {"{{ f(*s) }}", VKLM_UNSUPPORTED, {"line 1", "* or **"}},
        {"{{ 99999999999999999999 }}", VKLM_UNSUPPORTED, {"line 1", "the number"}},
        {"{{ 9223372036854775807 + 1 }}", VKLM_UNSUPPORTED, {"line 1", "64 bits"}},
        {"x\n{{ s", VKLM_BAD_FILE, {"line 2", "end of the template"}},
        {"x\n{% if s %}\n\n", VKLM_BAD_FILE, {"wanted endif", "end of the template"}},
        {"{% nonsense %}", VKLM_BAD_FILE, {"line 1", "nonsense"}},
        {"{{ 1 / 0 }}", VKLM_BAD_FILE, {"line 1", "division by zero"}},
        {"{{ s + 1 }}", VKLM_BAD_FILE, {"line 1", "a string + a number"}},
        {"{{ nothing.there }}", VKLM_BAD_FILE, {"line 1", "'there' of something undefined"}},
        {"{{ nothing() }}", VKLM_BAD_FILE, {"line 1", "nothing is undefined"}},
        {"\n{{ raise_exception('only\nthese ' ~ s) }}",
         VKLM_INVALID_ARGUMENT,
         {"line 2", "refuses these messages: only these text"}},
        {"a\xff", VKLM_BAD_FILE, {"UTF-8", "byte 1"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_string out;
        cr_expect_eq(render_with(cases[i].source, "{\"s\":\"text\"}", &out), cases[i].status,
                     "%s: %s", cases[i].source, vklm_error_message());
        for (int k = 0; k < 2; k++)
            cr_expect(strstr(vklm_error_message(), cases[i].says[k]), "%s says: %s",
                      cases[i].source, vklm_error_message());
        cr_expect_null(strchr(vklm_error_message(), '\n'));
        vklm_string_finish(&out);
    }
}

// Templates that would take for ever, or all memory. Each ends within seconds, with a sentence.
Test(jinja, hostile_templates_are_bounded, .timeout = 300)
{
    static const char *const cases[] = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for a in range(99) %}"
        "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{{ 'aaaaaaaaaaaaaaaaaaaaaaaa' * 9999999999 }}",
        "{% for a in range(99999) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' * 9999 }}{% endfor %}",
        "{% set ns = namespace(l=[0]) %}{% for a in range(99) %}{% set ns.l = ns.l + ns.l %}{% "
        "endfor %}",
        "{% set ns = namespace(l=[]) %}{% for a in range(9999) %}{% set ns.l = [ns.l] %}{% endfor "
        "%}",
        "{% set ns = namespace(l=[]) %}{% for a in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% "
        "endfor %}"
        "{{ ns.l == ns.l ~ '' }}{{ ns.l | tojson }}",
        "{% set ns = namespace(s='ab') %}{% for a in range(20) %}{% set ns.s = ns.s ~ ns.s %}{% "
        "endfor %}"
        "{% for a in range(99999) %}{{ ns.s.replace('a', ns.s) }}{% endfor %}",
        "{% set ns = namespace(s='a') %}{% for a in range(22) %}{% set ns.s = ns.s ~ ns.s %}{% "
        "endfor %}"
        "{% for a in range(99999) %}{{ ns.s.count(ns.s[1:] ~ 'b') }}{% endfor %}",
        "{% set ns = namespace(s='a') %}{% for a in range(22) %}{% set ns.s = ns.s ~ ns.s %}{% "
        "endfor %}"
        "{% for a in range(99999) %}{% set x = ns.s[-1] ~ ns.s | trim('bc') ~ ns.s.split('a') | "
        "length %}"
        "{% endfor %}",
        "{% for a in range(99999) %}{{ range(99999) | list | reverse | join | length }}{% endfor "
        "%}",
        "{% for a in range(99999) %}{{ [[], {}] | tojson(indent=64) | length }}"
        "{% for b in range(99999) if b in range(99999) %}{% endfor %}{% endfor %}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_string out;
        double begin = vklm_clock_seconds();
        cr_expect_eq(render_with(cases[i], "{}", &out), VKLM_UNSUPPORTED, "case %zu: %s", i,
                     vklm_error_message());
        cr_expect_lt(vklm_clock_seconds() - begin, 20, "case %zu took too long", i);
        vklm_string_finish(&out);
    }
}

// `n` times `part`, between `before` and `after`.
static void check_repeated(const char *before, const char *part, const char *after, size_t n)
{
    vklm_string source = {0}, out;
    vklm_string_append(&source, before, strlen(before));
    for (size_t i = 0; i < n; i++)
        vklm_string_append(&source, part, strlen(part));
    vklm_string_append(&source, after, strlen(after));
    vklm_status status = render_with(source.data, "{\"s\":\"x\"}", &out);
    cr_expect_neq(status, VKLM_OK, "%s%s...", before, part);
    vklm_string_finish(&source);
    vklm_string_finish(&out);
}

Test(jinja, deep_syntax_does_not_use_the_stack_up)
{
    enum { N = 100000 };
    check_repeated("{{ ", "(", "", N);
    check_repeated("{{ ", "[", "", N);
    check_repeated("{{ ", "{1:", "", N);
    check_repeated("{{ ", "-", "1 }}", N);
    check_repeated("{{ ", "not ", "s }}", N);
    check_repeated("{{ s", " ~ s", " }}", N);
    check_repeated("{{ s", " and s", " }}", N);
    check_repeated("{{ s", ".x", " }}", N);
    check_repeated("{{ s", "[0]", " }}", N);
    check_repeated("{{ s", "()", " }}", N);
    check_repeated("{{ s", " | trim", " }}", N);
    check_repeated("{{ s", " is string", " }}", N);
    check_repeated("{{ s", " if s else s", " }}", N);
    check_repeated("{{ 1", " if 0 else 1", " }}", N);
    check_repeated("", "{% if s %}", "", N / 2);
    check_repeated("", "{% for a in s %}", "", N / 2);
    check_repeated("", "{% set a %}", "", N / 2);
    check_repeated("{% set ", "(", "a", N);
    check_repeated("{% if s %}", "{% elif s %}", "", N / 2);
}

// Templates of the golden file with bytes changed, dropped or doubled: rendered or refused, and no
// harm done (sanitizers watch).
static void check_damaged(const cJSON *line, size_t number, void *opaque)
{
    cJSON **sets = opaque;
    if (number == 1) {
        *sets = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(line, "sets"), true);
        return;
    }
    static const char likely[] = "{}%#-+|()[]'\"\\ .,:=<>~*/0a_\n";
    const char *source = cJSON_GetObjectItemCaseSensitive(line, "template")->valuestring;
    int set = cJSON_GetObjectItemCaseSensitive(line, "set")->valueint;
    size_t len = strlen(source);
    for (uint32_t round = 0; len > 0 && round < 30; round++) {
        vklm_string damaged = {0}, out;
        uint32_t words[4];
        for (size_t i = 0; i < len; i++) {
            vklm_rng_philox(number, (uint64_t)round << 32 | i, words);
            bool hit = words[0] % len == 0 || words[0] % 40 == 0;
            char other = words[2] % 9 ? likely[words[2] % (sizeof likely - 1)] : (char)words[2];
            if (!hit || words[1] % 3 == 0)
                vklm_string_append(&damaged, source + i, 1);
            if (hit && words[1] % 3 != 1)
                vklm_string_append(&damaged, &other, 1);
        }
        vklm_string_append(&damaged, "", 0);
        if (render(damaged.data, damaged.len, cJSON_GetArrayItem(*sets, set), &out) != VKLM_OK)
            cr_expect(*vklm_error_message() && !strchr(vklm_error_message(), '\n'));
        vklm_string_finish(&damaged);
        vklm_string_finish(&out);
    }
}

Test(jinja, damaged_templates_do_no_harm, .timeout = 300)
{
    cJSON *sets = NULL;
    for_each_json_line(VKLM_TEST_DATA "/golden/templates.jsonl", check_damaged, &sets);
    cJSON_Delete(sets);
}
