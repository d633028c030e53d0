// The program without a device: usage, help, and models that are wrong.
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/shell.h"

#define DEMO VKLM_TEST_DATA "/demo-dense"
#define GQA  VKLM_TEST_DATA "/random-gqa"

Test(program, help_and_version)
{
    static const char *const commands[] = {"run",  "chat",       "batch",      "score",  "devices",
                                           "info", "tokenize",   "detokenize", "logits", "plan",
                                           "pack", "importance", "synth"};
    vklm_shell_expect(2, "usage:", "vklm");
    vklm_shell_expect(2, "no command 'frobnicate'", "vklm frobnicate");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        vklm_shell_result r = vklm_shell_run("vklm %s --help", commands[i]);
        cr_expect_eq(r.status, 0);
        cr_expect(strstr(r.out, "usage: vklm"), "%s: %s", commands[i], r.out);
        vklm_shell_finish(&r);
        vklm_shell_expect(2, NULL, "vklm %s --no-such-option", commands[i]);
    }
    vklm_shell_result r = vklm_shell_run("vklm --version");
    cr_expect(r.status == 0 && strncmp(r.out, "vklm ", 5) == 0);
    vklm_shell_finish(&r);
}

Test(program, wrong_usage_exits_with_2)
{
    vklm_shell_expect(2, "one model folder", "vklm run");
    vklm_shell_expect(2, "-p or -f", "vklm run %s -p a -f b", DEMO);
    vklm_shell_expect(2, "-n takes", "vklm run %s -p a -n zero", DEMO);
    vklm_shell_expect(2, "--temp takes", "vklm run %s -p a --temp warm", DEMO);
    vklm_shell_expect(2, "--temp takes", "vklm run %s -p a --temp nan", DEMO);
    vklm_shell_expect(2, "--top-k takes", "vklm run %s -p a --top-k -4", DEMO);
    vklm_shell_expect(2, "--top-p takes", "vklm run %s -p a --top-p 1.5", DEMO);
    vklm_shell_expect(2, "--seed takes", "vklm run %s -p a --seed 99999999999999999999999", DEMO);
    vklm_shell_expect(2, "--ctx takes", "vklm run %s -p a --ctx 0", DEMO);
    vklm_shell_expect(2, "--frequency-penalty takes", "vklm run %s -p a --frequency-penalty 3",
                      DEMO);
    vklm_shell_expect(2, "--presence-penalty takes", "vklm run %s -p a --presence-penalty x", DEMO);
    vklm_shell_expect(2, "--logit-bias takes", "vklm run %s -p a --logit-bias 5", DEMO);
    vklm_shell_expect(2, "--logit-bias takes", "vklm run %s -p a --logit-bias 5:nan", DEMO);
    vklm_shell_expect(2, "'lanes=3' is no limit", "vklm run %s -p a --limit lanes=3", DEMO);
    vklm_shell_expect(2, "a power of two", "vklm run %s -p a --limit push=128,subgroup=6", DEMO);
    vklm_shell_expect(2, "'fast' is none of base", "vklm run %s -p a --tiers base,fast", DEMO);
    vklm_shell_expect(2, "must not be empty", "vklm run %s -p a --stop ''", DEMO);
    vklm_shell_expect(2, "-n takes", "vklm run %s -p a -n -5", DEMO);
    vklm_shell_expect(2, "--ids and --out", "vklm logits %s --ids '1 2'", DEMO);
    vklm_shell_expect(2, "token id", "vklm logits %s --ids '1 x' --out /tmp/x", DEMO);
    vklm_shell_expect(2, "one model folder", "vklm info");
    vklm_shell_expect(2, "no weight format 'q5'", "vklm run %s -p a --weights q5", DEMO);
    vklm_shell_expect(2, "no KV format 'q4'", "vklm run %s -p a --kv q4", DEMO);
    vklm_shell_expect(2, "--vram takes", "vklm plan %s --vram 6GB", DEMO);
    vklm_shell_expect(2, "--out", "vklm pack %s", DEMO);
    vklm_shell_expect(2, "--preset and --out", "vklm synth --out /tmp/x");
    vklm_shell_expect(2, "-f and --out", "vklm importance %s --out /tmp/x", DEMO);
}

Test(program, says_what_is_wrong_with_a_model)
{
    vklm_shell_expect(1, "/nowhere: no such folder", "vklm run /nowhere -p a");
    vklm_shell_expect(1, "/nowhere: no such folder", "vklm info /nowhere");
    vklm_shell_expect(1, "config.json", "vklm info %s", VKLM_TEST_DATA);
    vklm_shell_expect(1, "tokenizer.json", "vklm run %s -p a", GQA);
    vklm_shell_expect(1, "tokenizer.json", "vklm tokenize %s a", GQA);
    vklm_shell_expect(
        1, "truncated",
        "d=$(mktemp -d) && cp %s/* $d && chmod u+w $d/* && truncate -s -5 $d/model.safetensors; "
        "vklm info $d; s=$?; rm -r $d; exit $s",
        DEMO);
}

// A disk without room is found before any work, and nothing is left. (A limit on file sizes stands
// for it.)
Test(program, a_full_disk_leaves_nothing)
{
    vklm_shell_expect(
        1, "bytes are wanted, the disk has",
        "d=$(mktemp -d); trap '' XFSZ; (ulimit -f 1000; vklm pack %s --out $d/p); s=$?; "
        "[ -z \"$(ls -A $d)\" ] || s=7; rm -r $d; exit $s",
        DEMO);
    vklm_shell_expect(
        1, "bytes are wanted, the disk has",
        "d=$(mktemp -d); trap '' XFSZ; (ulimit -f 1000; vklm synth --preset tiny --out $d/p); "
        "s=$?; [ -z \"$(ls -A $d)\" ] || s=7; rm -r $d; exit $s");
    vklm_shell_expect(1, "no preset 'huge'", "vklm synth --preset huge --out /tmp/vklm-never-made");
}

// Plans need neither weights nor, with --vram, a device.
Test(program, plans_from_a_config_alone)
{
    vklm_shell_result r = vklm_shell_run("d=$(mktemp -d) && cp %s/config.json $d && export "
                                         "VK_DRIVER_FILES=/nowhere VK_ICD_FILENAMES=/nowhere; "
                                         "vklm plan $d --vram 1G --weights q4 --json; s=$?; vklm "
                                         "plan $d --vram 1M; vklm plan $d >&2; rm -r $d; "
                                         "exit $s",
                                         DEMO);
    cr_expect_eq(r.status, 0, "%s", r.err);
    static const char *const keys[] = {"weights_bytes",    "kv_bytes",
                                       "activation_bytes", "staging_bytes",
                                       "total_bytes",      "budget_bytes\":\t1073741824",
                                       "fits\":\ttrue"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        cr_expect(strstr(r.out, keys[i]), "no %s: %s", keys[i], r.out);
    cr_expect(strstr(r.out, "does not fit"), "%s", r.out);
    cr_expect(strstr(r.err, "no Vulkan"), "%s", r.err);
    vklm_shell_finish(&r);
}

Test(program, says_what_is_wrong_with_a_prompt)
{
    vklm_shell_expect(1, "UTF-8", "printf 'a\\377b' | vklm run %s", DEMO);
    vklm_shell_expect(1, "empty", "vklm run %s -p ''", DEMO);
    vklm_shell_expect(1, "empty", "vklm run %s </dev/null", DEMO);
    vklm_shell_expect(1, "/nowhere", "vklm run %s -f /nowhere", DEMO);
    vklm_shell_expect(1, "the context has room for 512",
                      "head -c 20000 /dev/zero | tr '\\0' x | vklm run %s", DEMO);
    vklm_shell_expect(1, "line 1: the template refuses these messages: no questions",
                      "d=$(mktemp -d) && cp %s/* $d && chmod u+w $d/*; "
                      "echo \"{{ raise_exception('no questions') }}\" >$d/chat_template.jinja; "
                      "vklm run $d --chat -p a; s=$?; rm -r $d; exit $s",
                      DEMO);
    vklm_shell_expect(1, "room for 3", "vklm run %s -p 'one two three four' --ctx 3", DEMO);
}

Test(program, info_counts)
{
    vklm_shell_result r = vklm_shell_run("vklm info %s --json", GQA);
    cr_expect_eq(r.status, 0);
    cr_expect(strstr(r.out, "\"kv_heads\":\t2") && strstr(r.out, "\"tied_embeddings\":\ttrue"),
              "%s", r.out);
    vklm_shell_finish(&r);
}

Test(program, tokenizes_both_ways)
{
    vklm_shell_result ids = vklm_shell_run("vklm tokenize %s 'Once upon a time' --bos", DEMO);
    cr_expect_eq(ids.status, 0);
    cr_expect_eq(strncmp(ids.out, "1 ", 2), 0);
    vklm_shell_result text = vklm_shell_run("vklm detokenize %s --skip-special %s", DEMO, ids.out);
    cr_expect_str_eq(text.out, "Once upon a time\n");
    vklm_shell_finish(&ids);
    vklm_shell_finish(&text);
}

// Lines of messages, and lines that fail.
Test(program, tokenizes_messages)
{
    vklm_shell_result r = vklm_shell_run(
        "printf '%%s\\n' "
        "'{\"messages\":[{\"role\":\"user\",\"content\":\"a</"
        "s>\"}],\"add_generation_prompt\":true}' "
        "'{\"messages\":[{\"role\":\"user\"}]}' '{\"messages\":5}' 'oops' '{}' "
        "'{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
        "{\"type\":\"text\",\"text\":\"b\"}]}]}' '{\"text\":\"a\"}' | vklm tokenize %s --jsonl",
        DEMO);
    static const char *const wanted[] = {
        "{\"text\":\"<s>\\n\\n### 指示:\\na</s>\\n\\n### 応答:\\n\",\"ids\":[1,",
        "{\"error\":\"messages[0].content must be a string, not nothing\"}",
        "{\"error\":\"messages must be an array, not a number\"}",
        "{\"error\":\"line 4: not valid JSON",
        "{\"error\":\"line 5: wanted a text, ids or messages\"}",
        "{\"text\":\"<s>\\n\\n### 指示:\\nab\",\"ids\":[1,",
        "{\"ids\":[267,",
    };
    cr_expect_eq(r.status, 0, "%s", r.err);
    char *line = strtok(r.out, "\n");
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++, line = strtok(NULL, "\n"))
        cr_expect(line && strncmp(line, wanted[i], strlen(wanted[i])) == 0, "%s, not %s", line,
                  wanted[i]);
    cr_expect_null(line);
    vklm_shell_finish(&r);
    r = vklm_shell_run("d=$(mktemp -d); cp %s/tokenizer.json $d; echo '{\"messages\":[]}' | vklm "
                       "tokenize $d --jsonl; "
                       "rm -r $d",
                       DEMO);
    cr_expect(strstr(r.out, "the model has no chat template"), "%s", r.out);
    vklm_shell_finish(&r);
}

// Without a loader there is a sentence and no crash. The dynamic linker finds none in an empty
// folder only where the system has none, so an unusable one is put in its place.
Test(program, no_vulkan_loader_is_a_sentence)
{
    vklm_shell_expect(1, "no Vulkan loader found",
                      "d=$(mktemp -d); echo x >$d/libvulkan.so.1; echo x >$d/libvulkan.so; "
                      "LD_LIBRARY_PATH=$d vklm devices; s=$?; rm -r $d; exit $s");
    vklm_shell_expect(1, "no Vulkan",
                      "VK_DRIVER_FILES=/nowhere VK_ICD_FILENAMES=/nowhere vklm devices");
    vklm_shell_expect(1, "no Vulkan",
                      "VK_DRIVER_FILES=/nowhere VK_ICD_FILENAMES=/nowhere vklm run %s -p a", DEMO);
}

Test(program, info_counts_experts)
{
    vklm_shell_result r =
        vklm_shell_run("vklm info %s/random-moe-hd128; vklm info %s/random-moe-hd128 --json",
                       VKLM_TEST_DATA, VKLM_TEST_DATA);
    cr_expect_eq(r.status, 0, "%s", r.err);
    // each of 2 layers: 8 experts of 3 * 32 * 128, of which 2 are active; and all that is not an
    // expert
    static const char *const wanted[] = {
        "MixtralForCausalLM",      "experts         8 a layer, 2 for each token, of size 32\n",
        "parameters      494976 ", "active          347520 ",
        "\"parameters\":\t494976", "\"active_parameters\":\t347520",
        "\"experts\":\t8",         "\"experts_per_token\":\t2"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        cr_expect(strstr(r.out, wanted[i]), "no '%s' in %s", wanted[i], r.out);
    vklm_shell_finish(&r);
}
