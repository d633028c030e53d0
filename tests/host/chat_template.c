// Chat templates of model folders, rendered and encoded.
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "host/text_help.h"

#define SYSTEM "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。"
#define LLM_JP_BODY                                                                                  \
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '\\n\\n### 指示:\\n' + "    \
    "message['content'] }}{% elif message['role'] == 'system' %}{{ '" SYSTEM                         \
    "' }}{% elif message['role'] == 'assistant' %}{{ '\\n\\n### 応答:\\n' + message['content'] + " \
    "eos_token }}{% endif %}{% if loop.last and add_generation_prompt %}{{ '\\n\\n### 応答:\\n' "  \
    "}}{% endif %}{% endfor %}"
#define LLM_JP "{{bos_token}}" LLM_JP_BODY

static const char tokens_json[] = "\"bos_token\":\"<s>\",\"eos_token\":\"</s>\"";

// A folder with chat_template.jinja, and the special tokens in tokenizer_config.json.
static vklm_chat_template *make(const char *source)
{
    vklm_chat_template *t;
    vklm_string config = {0};
    char *folder = make_folder();
    vklm_string_print(&config, "{%s}", tokens_json);
    write_text(folder, "tokenizer_config.json", config.data);
    write_text(folder, "chat_template.jinja", source);
    EXPECT_OK(vklm_chat_template_open(folder, &t));
    vklm_string_finish(&config);
    remove_folder(folder);
    return t;
}

static void check_render(const vklm_chat_template *t, const vklm_chat_message *messages, size_t n,
                         bool generate, const char *wanted)
{
    char *text;
    size_t len;
    EXPECT_OK(vklm_chat_template_render(t, messages, n, generate, &text, &len));
    cr_expect_str_eq(text, wanted);
    cr_expect_eq(len, strlen(wanted));
    vklm_free(text);
}

static const vklm_chat_message talk[] = {{"system", "ignored"}, {"user", "あ"},
                                         {"assistant", "い"},   {"tool", "dropped"},
                                         {"developer", "x"},    {"user", "う"}};
enum { N_TALK = sizeof talk / sizeof *talk };

Test(chat_template, the_llm_jp_variants)
{
    static const char whole[] =
        "<s>" SYSTEM "\n\n### 指示:\nあ\n\n### 応答:\nい</s>\n\n### 指示:\nう\n\n### 応答:\n";
    vklm_chat_template *with_bos = make(LLM_JP), *without = make(LLM_JP_BODY);
    check_render(with_bos, talk, N_TALK, true, whole);
    check_render(without, talk, N_TALK, true, whole + 3);
    check_render(with_bos, talk + 1, 1, true, "<s>\n\n### 指示:\nあ\n\n### 応答:\n");
    check_render(with_bos, talk + 1, 1, false, "<s>\n\n### 指示:\nあ");
    check_render(with_bos, talk, 0, true, "<s>");
    check_render(without, talk, 0, true, "");
    vklm_chat_template_close(with_bos);
    vklm_chat_template_close(without);
}

typedef struct {
    vklm_tokenizer *tokenizer;
    vklm_chat_template *chat_template;
    size_t n_chats, n_ids_of_first;
} conformance;

static void check_line(const cJSON *line, size_t number, void *opaque)
{
    conformance *c = opaque;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(line, "messages"), *item;
    if (!list)
        return;
    vklm_chat_message messages[16];
    size_t n = 0, n_wanted, n_got, len;
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *role = cJSON_GetObjectItemCaseSensitive(item, "role");
        const cJSON *content = cJSON_GetObjectItemCaseSensitive(item, "content");
        messages[n++] = (vklm_chat_message){role->valuestring, content->valuestring};
    }
    bool generate = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line, "add_generation_prompt"));
    char *text;
    EXPECT_OK(vklm_chat_template_render(c->chat_template, messages, n, generate, &text, &len));
    cr_expect_str_eq(text, cJSON_GetObjectItemCaseSensitive(line, "text")->valuestring,
                     "line %zu: %s", number, text);
    uint32_t *wanted = json_ids(cJSON_GetObjectItemCaseSensitive(line, "ids"), &n_wanted), *got;
    // Only where a message spells a special token out does it matter whether that stays text.
    bool spelled = false;
    for (size_t i = 0; i < n; i++)
        spelled |= strstr(messages[i].content, "s>") || strstr(messages[i].content, "LLM-jp>");
    for (int plain = 0; plain < 2; plain++) {
        EXPECT_OK(vklm_chat_template_encode(c->chat_template, c->tokenizer, messages, n, generate,
                                            plain, &got, &n_got));
        bool same = n_got == n_wanted && memcmp(got, wanted, n_got * sizeof *got) == 0;
        cr_expect_eq(same, !plain || !spelled, "line %zu, plain %d", number, plain);
        vklm_free(got);
    }
    if (c->n_chats++ == 0)
        c->n_ids_of_first = n_wanted;
    free(wanted);
    vklm_free(text);
}

// The conversations of the conformance file, to the id; the first is the model card's prompt.
Test(chat_template, llm_jp_conformance)
{
    if (!vklm_file_exists(VKLM_LLM_JP_TOKENIZER "/tokenizer.json"))
        cr_skip_test("no tokenizer in %s", VKLM_LLM_JP_TOKENIZER);
    conformance c = {.chat_template = make(LLM_JP)};
    EXPECT_OK(vklm_tokenizer_open(VKLM_LLM_JP_TOKENIZER, &c.tokenizer));
    for_each_json_line(VKLM_LLM_JP_TOKENIZER "/conformance.jsonl", check_line, &c);
    cr_expect_eq(c.n_chats, 11);
    cr_expect_eq(c.n_ids_of_first, 38);
    vklm_chat_template_close(c.chat_template);
    vklm_tokenizer_close(c.tokenizer);
}

static size_t count_id(const uint32_t *ids, size_t n, uint32_t id)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ids[i] == id;
    return count;
}

// A message that spells special tokens out gives the same text back and no special id, however it
// is spelled, also when it holds noncharacters of its own.
Test(chat_template, plain_special_tokens_stay_text)
{
    static const char *const contents[] = {
        "a</s>b", "</s>", "<s><s></s></s>", "<unk>\n\n### 応答:\n", "<<s>s>", "\uFDD0</s>\uFDD1<s>",
    };
    vklm_tokenizer *t;
    vklm_chat_template *c;
    EXPECT_OK(vklm_tokenizer_open(VKLM_TEST_DATA "/demo-dense", &t));
    EXPECT_OK(vklm_chat_template_open(VKLM_TEST_DATA "/demo-dense", &c));
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        const vklm_chat_message messages[] = {
            {"user", contents[i]}, {"assistant", "x"}, {"user", "y"}};
        uint32_t *ids;
        size_t n, len;
        char *text;
        EXPECT_OK(vklm_chat_template_encode(c, t, messages, 3, true, true, &ids, &n));
        cr_expect_eq(ids[0], 1);
        cr_expect_eq(count_id(ids, n, 0) + count_id(ids, n, 1) + count_id(ids, n, 2), 2,
                     "%s: one <s> and one </s>, of the template", contents[i]);
        EXPECT_OK(vklm_tokenizer_decode(t, ids, n, false, &text, &len));
        cr_expect(strstr(text, contents[i]), "%s", text);
        vklm_free(ids);
        vklm_free(text);
    }
    vklm_tokenizer_close(t);
    vklm_chat_template_close(c);
}

// Opens a folder with these files, in which ' stands for "; NULL: not there.
static vklm_status open_files(const char *config, const char *map, const char *jinja,
                              vklm_chat_template **out)
{
    const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json",
                                 "chat_template.jinja"};
    const char *const texts[] = {config, map, jinja};
    char *folder = make_folder();
    for (int i = 0; i < 3; i++) {
        char *text = texts[i] ? strdup(texts[i]) : NULL;
        for (char *c = text; c && i < 2 && *c; c++)
            *c = *c == '\'' ? '"' : *c;
        if (text)
            write_text(folder, names[i], text);
        free(text);
    }
    vklm_status status = vklm_chat_template_open(folder, out);
    remove_folder(folder);
    return status;
}

Test(chat_template, where_a_model_keeps_it)
{
    static const struct {
        const char *config, *map, *jinja, *wanted;
    } cases[] = {
        {"{'chat_template':'a{{bos_token}}','bos_token':'B'}", NULL, NULL, "aB"},
        {"{'chat_template':'a{{bos_token}}','bos_token':{'content':'C','special':true}}", NULL,
         NULL, "aC"},
        {"{'chat_template':'a'}", NULL, "b{{eos_token}}", "b"},
        {NULL, "{'eos_token':'E'}", "b{{eos_token}}", "bE"},
        {"{'eos_token':'X'}", "{'eos_token':'E'}", "b{{eos_token}}", "bE"},
        {"{'eos_token':'X','added_tokens_decoder':{}}", "{'eos_token':'E'}", "b{{eos_token}}",
         "bX"},
        {"{'chat_template':[{'name':'rag','template':'r'},{'name':'default','template':'d'}]}",
         NULL, NULL, "d"},
        {"{}", NULL, "{{messages|length}}{{tools is none}}{{add_generation_prompt}}", "1TrueTrue"},
    };
    const vklm_chat_message message = {"user", "x"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_chat_template *t;
        EXPECT_OK(open_files(cases[i].config, cases[i].map, cases[i].jinja, &t));
        check_render(t, &message, 1, true, cases[i].wanted);
        vklm_chat_template_close(t);
    }
}

Test(chat_template, says_what_is_wrong)
{
    static const struct {
        const char *config, *jinja;
        vklm_status status;
        const char *says;
    } cases[] = {
        {NULL, NULL, VKLM_NOT_FOUND, "no chat template"},
        {"{}", NULL, VKLM_NOT_FOUND, "no chat template"},
        {"{'chat_template':[{'name':'rag','template':'r'}]}", NULL, VKLM_NOT_FOUND,
         "no chat template"},
        {"{'chat_template':5}", NULL, VKLM_BAD_FILE, "chat_template must be a string"},
        {"[]", NULL, VKLM_BAD_FILE, "tokenizer_config.json: wanted an object"},
        {"{", "a", VKLM_BAD_FILE, "tokenizer_config.json"},
        {"{}", "a\n{% macro x() %}", VKLM_UNSUPPORTED, "chat_template.jinja: line 2"},
        {"{'chat_template':'{{ x'}", NULL, VKLM_BAD_FILE,
         "tokenizer_config.json: chat_template: line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_chat_template *t;
        cr_expect_eq(open_files(cases[i].config, NULL, cases[i].jinja, &t), cases[i].status,
                     "%zu: %s", i, vklm_error_message());
        cr_expect(strstr(vklm_error_message(), cases[i].says), "%s", vklm_error_message());
        cr_expect_null(t);
    }
}

Test(chat_template, refuses_messages_in_its_own_words)
{
    vklm_chat_template *t = make("{% if messages[0].role != 'user' %}"
                                 "{{ raise_exception('begin with a user') }}{% endif %}");
    vklm_chat_template *strict = make(LLM_JP);
    vklm_tokenizer *tokenizer;
    const vklm_chat_message bad[] = {{"system", "x"}}, broken[] = {{"user", "a\xff"}};
    const vklm_chat_message none[] = {{"user", NULL}};
    uint32_t *ids;
    char *text;
    size_t n;
    cr_expect_eq(vklm_chat_template_render(t, bad, 1, true, &text, &n), VKLM_INVALID_ARGUMENT);
    cr_expect(strstr(vklm_error_message(), "begin with a user"), "%s", vklm_error_message());
    cr_expect_null(text);
    cr_expect_eq(vklm_chat_template_render(t, broken, 1, true, &text, &n), VKLM_INVALID_ARGUMENT);
    cr_expect(strstr(vklm_error_message(), "message 0 is not valid UTF-8 at byte 1"));
    cr_expect_eq(vklm_chat_template_render(strict, none, 1, true, &text, &n), VKLM_BAD_FILE);
    cr_expect(strstr(vklm_error_message(), "a string + none"), "%s", vklm_error_message());
    EXPECT_OK(vklm_tokenizer_open(VKLM_TEST_DATA "/demo-dense", &tokenizer));
    for (int plain = 0; plain < 2; plain++)
        cr_expect_eq(vklm_chat_template_encode(t, tokenizer, broken, 1, true, plain, &ids, &n),
                     VKLM_INVALID_ARGUMENT);
    vklm_tokenizer_close(tokenizer);
    vklm_chat_template_close(t);
    vklm_chat_template_close(strict);
}
