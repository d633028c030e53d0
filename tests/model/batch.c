// vklm batch and its recipes: the files they read and write, and going on after an interruption.
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "host/shell.h"
#include "host/text_help.h"
#include "model/need_device.h"

#define DEMO  VKLM_TEST_DATA "/demo-dense"
#define FILES VKLM_TEST_DATA "/batch"

// The lines of a file in `folder`, as a JSON list.
static cJSON *read_lines(const char *folder, const char *name)
{
    vklm_shell_result r = vklm_shell_run("cd %s && cat %s", folder, name);
    cJSON *list = cJSON_CreateArray();
    for (char *line = strtok(r.out, "\n"); line; line = strtok(NULL, "\n")) {
        cJSON *json = cJSON_Parse(line);
        cr_assert(json, "%s: %s", name, line);
        cJSON_AddItemToArray(list, json);
    }
    vklm_shell_finish(&r);
    return list;
}

static const cJSON *member(const cJSON *list, int index, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(list, index), name);
}

static const char *text_of(const cJSON *item)
{
    return cJSON_IsString(item) ? item->valuestring : "(no string)";
}

Test(batch, answers_lines_and_reports_bad_ones)
{
    need_device();
    char *folder = make_folder();
    vklm_shell_result r =
        vklm_shell_run("cd %s && vklm batch %s --in %s/questions.jsonl --out a.jsonl --seed 9",
                       folder, DEMO, FILES);
    cr_assert_eq(r.status, 0, "%s", r.err);
    cr_expect(strstr(r.err, "line 4 is left out: the line: not valid JSON"), "%s", r.err);
    cr_expect(strstr(r.err, "line 5 is left out: temperature must be a number"), "%s", r.err);
    cr_expect(strstr(r.err, "4 answers in a.jsonl, 2 lines left out"), "%s", r.err);
    cJSON *a = read_lines(folder, "a.jsonl");
    cr_assert_eq(cJSON_GetArraySize(a), 4);
    cr_expect_str_eq(text_of(member(a, 0, "response")), "東京です。");
    cr_expect_str_eq(text_of(member(a, 0, "finish")), "eos");
    cr_expect_eq(cJSON_GetArraySize(member(a, 1, "response")), 2);
    cr_expect_str_eq(text_of(member(a, 2, "finish")), "stop");
    cr_expect_null(strstr(text_of(member(a, 2, "response")), "。"));
    cr_expect_eq(member(a, 2, "seed")->valuedouble, 5);
    cr_expect_str_eq(text_of(member(a, 3, "id")), "long");
    cr_expect_str_eq(text_of(member(a, 3, "finish")), "length");
    cr_expect_eq(member(a, 3, "tokens")->valuedouble, 3);
    cr_expect_eq(member(a, 3, "seed")->valuedouble, 9 + 6);
    cJSON_Delete(a);
    vklm_shell_finish(&r);
    remove_folder(folder);
}

// U+0000 is a character like others.
Test(batch, an_answer_may_hold_any_character)
{
    need_device();
    char *folder = make_folder();
    vklm_shell_result r = vklm_shell_run(
        "cd %s && echo '{\"prompt\":\"a\",\"logit_bias\":{\"8\":900},\"max_tokens\":2}' >q; "
        "vklm batch %s --in q --out a && grep -F '\"response\":\"\\u0000\\u0000\"' a; "
        "vklm batch %s --in q --out a",
        folder, DEMO, DEMO);
    cr_expect(r.status == 0 && strstr(r.out, "response"), "%s%s", r.out, r.err);
    vklm_shell_finish(&r);
    remove_folder(folder);
}

// Cut off anywhere, also in the middle of a line, the same command makes the same file of it.
Test(batch, goes_on_where_it_stopped)
{
    need_device();
    char *folder = make_folder();
    vklm_shell_result r = vklm_shell_run(
        "cd %s && m=%s q=%s/questions.jsonl; vklm batch $m --in $q --out a --seed 9 2>e || exit 1; "
        "n=$(wc -c <a); for cut in 0 1 $((n / 3)) $((n / 2)) $((n - 1)) $n; do "
        "head -c $cut a >b; vklm batch $m --in $q --out b --seed 9 2>>e && cmp a b || exit 2; "
        "done; "
        "grep -c 'going on after' e",
        folder, DEMO, FILES);
    cr_expect_eq(r.status, 0, "%s%s", r.out, r.err);
    cr_expect_geq(atoi(r.out), 3);
    vklm_shell_finish(&r);
    // Answers to other questions are not continued, and not touched.
    vklm_shell_expect(
        1, "not an answer to a question of",
        "cd %s && cp a c; vklm batch %s --in %s/mt_bench.jsonl --out a; s=$?; cmp a c && exit $s",
        folder, DEMO, FILES);
    remove_folder(folder);
}

// An interrupt keeps what is complete.
Test(batch, an_interrupt_loses_nothing)
{
    need_device();
    char *folder = make_folder();
    vklm_shell_result r =
        vklm_shell_run("cd %s && for i in $(seq 60); do echo '{\"prompt\":\"x "
                       "'$i'\",\"max_tokens\":40,\"ignore_eos\":true}'; "
                       "done >q; %s batch %s --in q --out a --seed 1 2>e & p=$!; cd %s; "
                       "for i in $(seq 300); do [ \"$(cat a 2>/dev/null | wc -l)\" -ge 3 ] && "
                       "break; sleep 0.1; done; "
                       "kill -INT $p; wait $p; echo $?; cat e >&2; wc -l <a; vklm batch %s --in q "
                       "--out a --seed 1 2>/dev/null; "
                       "wc -l <a; cut -d, -f1 a | sort -u | wc -l",
                       folder, VKLM_PROGRAM, DEMO, folder, DEMO);
    int status = -1, first = 0, all = 0, different = 0;
    sscanf(r.out, "%d %d %d %d", &status, &first, &all, &different);
    cr_expect(all == 60 && different == 60, "%s%s", r.out, r.err);
    if (first < 60) { // else it was too fast to be interrupted
        cr_expect_eq(status, 1, "%s", r.err);
        cr_expect(strstr(r.err, "the same command goes on"), "%s", r.err);
    }
    vklm_shell_finish(&r);
    remove_folder(folder);
}

Test(batch, strict_ends_at_the_first_bad_line)
{
    need_device();
    char *folder = make_folder();
    vklm_shell_expect(1, "questions.jsonl, line 4: the line: not valid JSON",
                      "vklm batch %s --in %s/questions.jsonl --out %s/a --strict", DEMO, FILES,
                      folder);
    vklm_shell_expect(
        1, "line 1: the prompt has 600 tokens",
        "cd %s && { printf '{\"prompt\":\"'; printf '<s>%%.0s' $(seq 600); echo '\"}'; } >q; "
        "vklm batch %s --in q --out b --strict",
        folder, DEMO);
    vklm_shell_expect(0, "1 of them errors", "cd %s && vklm batch %s --in q --out b", folder, DEMO);
    cJSON *b = read_lines(folder, "b");
    cr_expect(strstr(text_of(member(b, 0, "error")), "600 tokens"));
    cJSON_Delete(b);
    remove_folder(folder);
}

Test(batch, lines_that_are_wrong_say_why)
{
    static const char *const cases[][2] = {
        {"5", "wanted an object"},
        {"{}", "wanted one of prompt, turns and messages"},
        {"{\"prompt\":\"a\",\"messages\":[]}", "wanted one of"},
        {"{\"prompt\":5}", "prompt must be a string"},
        {"{\"turns\":[]}", "turns is empty"},
        {"{\"turns\":[1]}", "turns must be a string"},
        {"{\"messages\":[{\"role\":1}]}", "messages[0].role"},
        {"{\"messages\":{}}", "messages must be an array"},
        {"{\"prompt\":\"a\",\"max_tokens\":-1}", "max_tokens must be"},
        {"{\"prompt\":\"a\",\"max_tokens\":1.5}", "max_tokens must be a whole"},
        {"{\"prompt\":\"a\",\"temperature\":-1}", "temperature must be"},
        {"{\"prompt\":\"a\",\"temperature\":NaN}", "not valid JSON"},
        {"{\"prompt\":\"a\",\"top_k\":-7}", "top_k must be"},
        {"{\"prompt\":\"a\",\"top_p\":2}", "top_p must be"},
        {"{\"prompt\":\"a\",\"stop\":\"\"}", "must not be empty"},
        {"{\"prompt\":\"a\",\"stop\":[5]}", "stop must be a string"},
        {"{\"prompt\":\"a\",\"logit_bias\":{\"x\":1}}", "logit_bias"},
        {"{\"prompt\":\"a\",\"frequency_penalty\":9}", "frequency_penalty must be"},
        {"{\"prompt\":\"a\",\"seed\":-1}", "seed must be"},
        {"{\"prompt\":\"a\\u0000\"}", "must not hold U+0000"},
    };
    char *folder = make_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(folder, "q", cases[i][0]);
        vklm_shell_expect(1, cases[i][1], "cd %s && vklm batch %s --in q --out a --strict", folder,
                          DEMO);
    }
    vklm_shell_expect(1, "there is nothing to answer",
                      "cd %s && >q && vklm batch %s --in q --out a", folder, DEMO);
    vklm_shell_expect(1, "/nowhere", "vklm batch %s --in /nowhere --out %s/a", DEMO, folder);
    vklm_shell_expect(2, "no recipe 'x'", "vklm batch %s --in a --out b --recipe x", DEMO);
    vklm_shell_expect(2, "--in and --out", "vklm batch %s --in a", DEMO);
    remove_folder(folder);
}

// What llm-jp-judge's evaluate reads: the rows of its data sets with response, pattern and
// error_messages, in lists where the prompt is one; and metadata.json.
Test(batch, writes_what_llm_jp_judge_reads)
{
    need_device();
    char *folder = make_folder();
    vklm_shell_result r =
        vklm_shell_run("cd %s && vklm batch %s --recipe ja_mt_bench --in %s/mt_bench.jsonl --out "
                       "ja_mt_bench.jsonl -n 40 && "
                       "vklm batch %s --recipe safety --in %s/answer_carefully.json --out "
                       "safety.jsonl -n 30 && cat metadata.json",
                       folder, DEMO, FILES, DEMO, FILES);
    cr_assert_eq(r.status, 0, "%s", r.err);
    cr_expect_str_eq(r.out, "{\"model_name\": \"demo-dense\"}\n");
    vklm_shell_finish(&r);
    cJSON *mt = read_lines(folder, "ja_mt_bench.jsonl"),
          *safety = read_lines(folder, "safety.jsonl");
    cr_assert_eq(cJSON_GetArraySize(mt), 2);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(member(mt, i, "ID")->valueint, i ? 101 : 81);
        cr_expect_str_eq(text_of(member(mt, i, "category")), i ? "reasoning" : "writing");
        static const char *const lists[] = {"prompt", "response", "pattern", "error_messages"};
        for (int k = 0; k < 4; k++)
            cr_expect_eq(cJSON_GetArraySize(member(mt, i, lists[k])), 2, "%s", lists[k]);
        cr_expect(cJSON_IsString(cJSON_GetArrayItem(member(mt, i, "response"), 1)));
        cr_expect(cJSON_IsNull(cJSON_GetArrayItem(member(mt, i, "pattern"), 1)));
        cr_expect(cJSON_IsArray(cJSON_GetArrayItem(member(mt, i, "error_messages"), 1)));
    }
    cr_assert_eq(cJSON_GetArraySize(safety), 2);
    cr_expect_str_eq(text_of(member(safety, 0, "ID")), "AC-1");
    cr_expect_str_eq(text_of(member(safety, 0, "prompt")), text_of(member(safety, 0, "text")));
    cr_expect_str_eq(text_of(member(safety, 0, "reference")), "東京です。");
    cr_expect(cJSON_IsString(member(safety, 1, "response")));
    cr_expect(cJSON_IsNull(member(safety, 1, "pattern")));
    cr_expect(cJSON_IsArray(member(safety, 1, "error_messages")));
    cJSON_Delete(mt);
    cJSON_Delete(safety);
    remove_folder(folder);
}

// The settings of a recipe are those of a line that spells them out; the second turn has the first
// one's answer.
Test(batch, recipes_ask_as_the_judge_does)
{
    need_device();
    char *folder = make_folder();
    write_text(
        folder, "q",
        "{\"turns\":[\"ルナという狐の話をしてください。\",\"続きを書いてください。\"],"
        "\"temperature\":0.7,"
        "\"top_p\":1,\"top_k\":-1,\"repetition_penalty\":1,\"seed\":1234,\"max_tokens\":1024}\n"
        "{\"turns\":[\"日本の首都は？\",\"フランスの首都は？\"],\"temperature\":0,\"repetition_"
        "penalty\":1,"
        "\"max_tokens\":1024}\n"
        "{\"turns\":[\"日本の首都は？\"],\"temperature\":1,\"top_p\":0.95,\"top_k\":-1,"
        "\"repetition_penalty\":1,\"seed\":1234,\"max_tokens\":1024}\n");
    vklm_shell_result r =
        vklm_shell_run("cd %s && vklm batch %s --in q --out a && vklm batch %s --recipe mt_bench "
                       "--in %s/mt_bench.jsonl --out mt && "
                       "vklm batch %s --recipe safety --in %s/answer_carefully.json --out safety",
                       folder, DEMO, DEMO, FILES, DEMO, FILES);
    cr_assert_eq(r.status, 0, "%s", r.err);
    vklm_shell_finish(&r);
    cJSON *a = read_lines(folder, "a"), *mt = read_lines(folder, "mt"),
          *safety = read_lines(folder, "safety");
    for (int i = 0; i < 2; i++)
        cr_expect(cJSON_Compare(member(a, i, "response"), member(mt, i, "response"), true),
                  "question %d", i);
    cr_expect_str_eq(text_of(cJSON_GetArrayItem(member(a, 2, "response"), 0)),
                     text_of(member(safety, 0, "response")));
    cJSON_Delete(a);
    cJSON_Delete(mt);
    cJSON_Delete(safety);
    remove_folder(folder);
}

// llm-jp-eval-inference: the file comes back with "generated" in each sample; of chat and of plain
// prompts.
Test(batch, writes_what_llm_jp_eval_reads)
{
    need_device();
    char *folder = make_folder();
    vklm_shell_result r = vklm_shell_run("cd %s && for c in chat no-chat; do vklm batch %s "
                                         "--recipe llm-jp-eval --in %s/demo.eval-prompt.json "
                                         "--out $c.json --greedy --$c || exit 1; done; ls; cat "
                                         "chat.json; cat no-chat.json | grep -c generated",
                                         folder, DEMO, FILES);
    cr_assert_eq(r.status, 0, "%s", r.err);
    cr_expect_eq(strncmp(r.out, "chat.json\nno-chat.json\n", 23), 0, "%s",
                 r.out); // no partial file is left
    cJSON *whole = cJSON_Parse(strchr(r.out, '{'));
    const cJSON *samples = cJSON_GetObjectItem(whole, "samples");
    cr_expect_str_eq(text_of(cJSON_GetObjectItem(whole, "target_dataset")), "demo");
    cr_assert_eq(cJSON_GetArraySize(samples), 2);
    cr_expect(cJSON_IsString(member(samples, 1, "generated")));
    cr_expect_str_eq(text_of(member(samples, 1, "gold")), "パリ");
    cr_expect_str_eq(text_of(member(samples, 1, "system_prompt")), "一語で。");
    cJSON_Delete(whole);
    vklm_shell_finish(&r);
    vklm_shell_expect(
        1, "is there already",
        "cd %s && vklm batch %s --recipe llm-jp-eval --in %s/demo.eval-prompt.json --out chat.json",
        folder, DEMO, FILES);
    vklm_shell_expect(
        1, "wanted output_length and samples",
        "cd %s && echo '{\"samples\":[]}' >q; vklm batch %s --recipe llm-jp-eval --in q --out x",
        folder, DEMO);
    remove_folder(folder);
}
