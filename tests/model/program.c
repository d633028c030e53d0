// The program on a device: what a user sees.
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "host/shell.h"
#include "model/need_device.h"

#define DEMO VKLM_TEST_DATA "/demo-dense"

Test(program, runs_from_argument_file_and_stdin_alike)
{
    need_device();
    vklm_shell_result a = vklm_shell_run("vklm run %s -p '日本の首都は' --greedy -n 20", DEMO);
    cr_assert_eq(a.status, 0, "%s", a.err);
    cr_expect(strstr(a.out, "東京"), "%s", a.out);
    cr_expect(strstr(a.err, "device 0: ") && strstr(a.err, "tokens/s"), "%s", a.err);
    vklm_shell_result b =
        vklm_shell_run("printf '日本の首都は' | vklm run %s --temp 0 -n 20", DEMO);
    vklm_shell_result c = vklm_shell_run("f=$(mktemp); printf '日本の首都は' >$f; "
                                         "vklm run %s -f $f --greedy -n 20; rm $f",
                                         DEMO);
    cr_expect_str_eq(a.out, b.out);
    cr_expect_str_eq(a.out, c.out);
    vklm_shell_finish(&a);
    vklm_shell_finish(&b);
    vklm_shell_finish(&c);
}

Test(program, seeds_repeat_and_json_parses)
{
    need_device();
    vklm_shell_result r[2];
    for (int i = 0; i < 2; i++)
        r[i] =
            vklm_shell_run("vklm run %s -p 'Once upon a time,' --seed 7 -n 40 --json --bos", DEMO);
    cJSON *a = cJSON_Parse(r[0].out), *b = cJSON_Parse(r[1].out);
    cr_assert(a && b, "%s", r[0].out);
    cr_expect(cJSON_Compare(cJSON_GetObjectItem(a, "ids"), cJSON_GetObjectItem(b, "ids"), true));
    cr_expect_eq(cJSON_GetArrayItem(cJSON_GetObjectItem(a, "prompt_ids"), 0)->valueint, 1);
    cr_expect_eq(cJSON_GetObjectItem(a, "seed")->valueint, 7);
    cr_expect(cJSON_GetObjectItem(a, "timings"));
    cJSON_Delete(a);
    cJSON_Delete(b);
    vklm_shell_finish(&r[0]);
    vklm_shell_finish(&r[1]);
}

// A stop string that begins in one token and ends in another; the text ends before it, however it
// is shown.
Test(program, stops_at_a_string_across_tokens)
{
    need_device();
    vklm_shell_result whole =
        vklm_shell_run("vklm run %s -p '日本の首都は' --greedy -n 20 --json", DEMO);
    vklm_shell_result text =
        vklm_shell_run("vklm run %s -p '日本の首都は' --greedy -n 20 --stop '京で'", DEMO);
    vklm_shell_result json = vklm_shell_run(
        "vklm run %s -p '日本の首都は' --greedy -n 20 --stop zzz --stop '京で' --json", DEMO);
    cr_expect(strstr(whole.out, "\"text\":\"東京です。\""), "%s", whole.out);
    cr_expect_str_eq(text.out, "東\n");
    cr_expect(strstr(json.out, "\"text\":\"東\"") && strstr(json.out, "\"stop\":\"stop\""), "%s",
              json.out);
    vklm_shell_finish(&whole);
    vklm_shell_finish(&text);
    vklm_shell_finish(&json);
}

// Bias and penalties reach the draw: a token is forbidden, another one forced again and again until
// it is not.
Test(program, bias_and_penalties_reach_the_draw)
{
    need_device();
    vklm_shell_result r = vklm_shell_run(
        "for o in '' '--frequency-penalty 2' '--presence-penalty 2'; do vklm run %s -p a "
        "-n 6 --greedy --repeat-penalty 1 --ignore-eos --logit-bias 300:60 --logit-bias "
        "301:59 $o --json 2>/dev/null | sed 's/.*\"ids\":.\\([0-9,]*\\).*/\\1/'; done",
        DEMO);
    cr_expect_eq(strncmp(r.out, "300,300,300,300,300,300\n", 24), 0, "%s", r.out);
    cr_expect(strstr(r.out, ",301,"), "%s", r.out);
    vklm_shell_finish(&r);
}

Test(program, writes_logits_or_nothing)
{
    need_device();
    char folder[] = "/tmp/vklm-test-XXXXXX";
    cr_assert(mkdtemp(folder));
    vklm_shell_expect(0, "3 tokens, 1024 logits", "vklm logits %s --ids '5 6,7' --out %s/l", DEMO,
                      folder);
    vklm_shell_expect(1, "1024 ids", "vklm logits %s --ids '5 1024' --out %s/m", DEMO, folder);
    vklm_shell_expect(1, "/nowhere", "vklm logits %s --ids 5 --out /nowhere/m", DEMO);
    vklm_shell_result r = vklm_shell_run("ls -A %s; rm -r %s", folder, folder);
    cr_expect_str_eq(r.out, "l\n");
    vklm_shell_finish(&r);
}

Test(program, runs_and_routes_a_model_with_experts)
{
    need_device();
    vklm_shell_result r =
        vklm_shell_run("vklm run %s/demo-moe -p '日本の首都は' --greedy -n 20", VKLM_TEST_DATA);
    cr_assert_eq(r.status, 0, "%s", r.err);
    cr_expect(strstr(r.out, "東京"), "%s", r.out);
    vklm_shell_finish(&r);
    r = vklm_shell_run(
        "f=$(mktemp); vklm logits %s/random-moe-top4 --ids '5 6,7' --router --out $f; s=$?; "
        "strings $f | head -1; rm $f; exit $s",
        VKLM_TEST_DATA);
    cr_expect_eq(r.status, 0, "%s", r.err);
    cr_expect(strstr(r.out, "\"experts\":{\"dtype\":\"I32\",\"shape\":[2,3,4]"), "%s", r.out);
    vklm_shell_finish(&r);
    vklm_shell_expect(1, "no experts", "vklm logits %s --ids 5 --router --out /tmp/vklm-never",
                      DEMO);
}

Test(program, says_what_is_wrong_with_the_device)
{
    need_device();
    vklm_shell_expect(1, "no device 'Voodoo'",
                      "vklm run %s -p a --device Voodoo 2>&1 >/dev/null | "
                      "tee /dev/stderr | grep -q 'no device' && exit 1",
                      DEMO);
    vklm_shell_expect(1, "GiB", "vklm run %s -p a --vram 1M 2>&1 | grep '^vklm:' >&2; exit 1",
                      DEMO);
    vklm_shell_result r = vklm_shell_run("vklm devices --json");
    cJSON *list = cJSON_Parse(r.out);
    cr_expect(cJSON_GetArraySize(list) >= 1);
    cr_expect(cJSON_GetObjectItem(cJSON_GetArrayItem(list, 0), "tiers"));
    cJSON_Delete(list);
    vklm_shell_finish(&r);
}

// What a token costs, for people and for programs.
Test(program, plans_a_token)
{
    need_device();
    vklm_shell_result r = vklm_shell_run("vklm plan --commands %s --ctx 100 --weights q8", DEMO);
    cr_expect_eq(r.status, 0, "%s", r.err);
    cr_expect(strstr(r.out, "5 a layer") && strstr(r.out, "attention out"), "%s", r.out);
    vklm_shell_finish(&r);
    r = vklm_shell_run("vklm plan --commands %s --ctx 100 --kv f16 --json", DEMO);
    cJSON *o = cJSON_Parse(r.out);
    cr_assert(o, "%s%s", r.out, r.err);
    static const char *const keys[] = {"dispatches", "barriers", "dispatches_per_layer",
                                       "barriers_per_layer", "weight_bytes"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        cr_expect(cJSON_GetNumberValue(cJSON_GetObjectItem(o, keys[i])) > 0, "%s", keys[i]);
    // 2 layers of 4 heads of 64, k and v in 2 bytes
    cr_expect_eq(cJSON_GetNumberValue(cJSON_GetObjectItem(o, "kv_bytes")), 2 * 2 * 256 * 2 * 100);
    const cJSON *ops = cJSON_GetObjectItem(o, "ops");
    cr_expect_eq(cJSON_GetArraySize(ops), 2 * 5 + 3);
    cr_expect_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(ops, 1), "op")),
                     "qkv");
    cJSON_Delete(o);
    vklm_shell_finish(&r);
}

// The pipeline cache is written, used, and ignored when damaged.
Test(program, damaged_pipeline_caches_are_ignored)
{
    need_device();
    vklm_shell_result r = vklm_shell_run(
        "d=$(mktemp -d); export XDG_CACHE_HOME=$d; vklm run %s -p a -n 2 --greedy && ls $d/vklm && "
        "for f in $d/vklm/*; do truncate -s -7 $f; done; vklm run %s -p a -n 2 --greedy; s=$?; "
        "rm -r $d; exit $s",
        DEMO, DEMO);
    cr_expect_eq(r.status, 0, "%s", r.err);
    cr_expect(strstr(r.out, "pipelines-"), "%s", r.out);
    cr_expect(strstr(r.err, "ignored, it is damaged"), "%s", r.err);
    vklm_shell_finish(&r);
}

// From a text to a packed copy that answers.
Test(program, importance_feeds_pack)
{
    need_device();
    vklm_shell_result r = vklm_shell_run(
        "d=$(mktemp -d); head -c 900 %s/calibration.txt >$d/t; vklm importance %s -f $d/t --out "
        "$d/i && "
        "vklm pack %s --weights q4 --importance $d/i --out $d/p && vklm info $d/p --verify >&2 && "
        "vklm run $d/p -p '日本の首都は' --greedy -n 20; s=$?; rm -r $d; exit $s",
        VKLM_TEST_DATA, DEMO, DEMO);
    cr_expect_eq(r.status, 0, "%s", r.err);
    cr_expect(strstr(r.out, "東京"), "%s", r.out);
    cr_expect(strstr(r.err, "weights         q4"), "%s", r.err);
    vklm_shell_finish(&r);
    vklm_shell_expect(1, "there is no text",
                      "f=$(mktemp); vklm importance %s -f $f --out /tmp/x; s=$?; rm $f; exit $s",
                      DEMO);
}
