// Small hand-made tokenizers: the cases of huggingface/tokenizers' own unit tests, and every flag.
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "host/text_help.h"

#define UNIGRAM(fallback, vocab)                                                                   \
    "'model':{'type':'Unigram','unk_id':0,'byte_fallback':" fallback ",'vocab':[" vocab "]}"
#define FUSE "'decoder':{'type':'Fuse'},"
#define UNDERLINE                                                                                  \
    "'normalizer':{'type':'Sequence','normalizers':["                                              \
    "{'type':'Replace','pattern':{'Regex':'(?<!\\\\n)^'},'content':'▁'},"                        \
    "{'type':'Replace','pattern':{'Regex':' '},'content':'▁'}]},"
#define LETTERS "['<unk>',-9],['a',-1],['b',-1],['c',-1],[' ',-1],['▁',-1],['.',-1]"

// `wanted`: the pieces, each followed by a |.
static void check_pieces(const vklm_tokenizer *t, const char *text, const char *wanted)
{
    uint32_t *ids;
    size_t n;
    vklm_string got = {0};
    EXPECT_OK(vklm_tokenizer_encode(t, text, strlen(text), NULL, &ids, &n));
    vklm_string_append(&got, "", 0);
    for (size_t i = 0; i < n; i++)
        vklm_string_print(&got, "%s|", vklm_tokenizer_piece(t, ids[i]));
    cr_expect_str_eq(got.data, wanted, "\"%s\": %s, not %s", text, got.data, wanted);
    vklm_string_finish(&got);
    vklm_free(ids);
}

typedef struct {
    const char *text, *wanted;
} piece_case;

static void check_table(const char *json, const piece_case *cases, size_t n)
{
    vklm_tokenizer *t;
    EXPECT_OK(open_json(json, &t));
    for (size_t i = 0; i < n; i++)
        check_pieces(t, cases[i].text, cases[i].wanted);
    vklm_tokenizer_close(t);
}

#define CHECK_TABLE(json, cases) check_table(json, cases, sizeof(cases) / sizeof *(cases))

Test(unigram, unknown_characters_are_fused)
{
    static const piece_case cases[] = {{"abc", "<unk>|"}, {"", ""}, {"東京", "<unk>|"}};
    CHECK_TABLE("{" FUSE UNIGRAM("false", "['<unk>',0]") "}", cases);
}

Test(unigram, best_path)
{
    static const piece_case cases[] = {{"abc", "a|bc|"}};
    CHECK_TABLE(
        "{" FUSE UNIGRAM("false", "['<unk>',0],['a',0.1],['b',0.2],['ab',0.3],['bc',0.4]") "}",
        cases);
    static const piece_case longer[] = {{"abcd", "abcd|"}};
    CHECK_TABLE("{" FUSE UNIGRAM("false", "['<unk>',0],['a',0],['b',0],['c',0],['d',0],['cd',1],"
                                          "['ab',2],['abc',5],['abcd',10]") "}",
                longer);
}

Test(unigram, scores_of_all_kinds)
{
    static const piece_case cases[] = {
        {"abc", "abc|"},
        {"AB", "<unk>|"},
        {"abcd", "ab|cd|"},
        {"abcc", "abc|c|"},
        {"xabcabaabcdd", "<unk>|abc|ab|a|ab|cd|<unk>|"},
        {"xyz東京", "<unk>|"},
        {"ABC", "ABC|"},
        {"abABCcd", "ab|ABC|cd|"},
        {"ababcdabcdcd", "ab|abcdabcd|cd|"},
        {"abqrcd", "ab|q|r|cd|"},
    };
    CHECK_TABLE("{" FUSE UNIGRAM("false",
                                 "['<unk>',0],['ab',0],['cd',-0.1],['abc',-0.2],['a',-0.3],"
                                 "['b',-0.4],['c',-0.5],['ABC',-0.5],['abcdabcd',20],"
                                 "['q',20.5],['r',20.5],['qr',-0.5]") "}",
                cases);
}

Test(unigram, ties_go_to_the_longest_last_piece)
{
    static const piece_case cases[] = {{"aaa", "a|aa|"}, {"aaaaa", "a|aa|aa|"}, {"aa", "aa|"}};
    CHECK_TABLE("{" FUSE UNIGRAM("false", "['<unk>',-9],['a',-1],['aa',-1]") "}", cases);
}

Test(unigram, byte_fallback)
{
    static const piece_case cases[] = {
        {"é", "<0xC3>|<0xA9>|"}, {"?é", "<unk>|"}, // one stretch, and "?" has no byte piece
    };
    CHECK_TABLE("{" FUSE UNIGRAM("true", "['<unk>',0],['<0xC3>',-0.01],['<0xA9>',-0.03]") "}",
                cases);
    static const piece_case off[] = {{"é", "<unk>|"}};
    CHECK_TABLE("{" FUSE UNIGRAM("false", "['<unk>',0],['<0xC3>',-0.01],['<0xA9>',-0.03]") "}",
                off);
}

// The stretch of unknown characters "xy" is a piece, though the best path does not use it.
Test(unigram, a_fused_stretch_may_be_a_piece)
{
    static const piece_case cases[] = {{"xy", "xy|"}, {"axy", "a|xy|"}, {"x", "<unk>|"}};
    CHECK_TABLE("{" FUSE UNIGRAM("true", "['<unk>',50],['a',40],['xy',30]") "}", cases);
}

Test(normalizer, steps)
{
    static const piece_case underline[] = {
        {"a b", "▁|a|▁|b|"}, {" a", "▁|▁|a|"}, {"▁a", "▁|▁|a|"}, {"", ""}};
    CHECK_TABLE("{" FUSE UNDERLINE UNIGRAM("false", LETTERS) "}", underline);
    CHECK_TABLE("{" FUSE
                "'normalizer':{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':"
                "'▁'},{'type':'Replace','pattern':{'String':' '},'content':'▁'}]}," UNIGRAM(
                    "false", LETTERS) "}",
                underline);
    static const piece_case quotes[] = {{"a..b...", "a|c|b|c|.|"}, {"..", "c|"}, {".", ".|"}};
    CHECK_TABLE("{" FUSE
                "'normalizer':{'type':'Replace','pattern':{'String':'..'},'content':'c'}," UNIGRAM(
                    "false", LETTERS) "}",
                quotes);
    static const piece_case gone[] = {{"aab", "b|"}, {"aa", ""}, {"", ""}};
    CHECK_TABLE("{" FUSE
                "'normalizer':{'type':'Replace','pattern':{'String':'a'},'content':''}," UNIGRAM(
                    "false", LETTERS) "}",
                gone);
}

#define ADDED(tokens)             "'added_tokens':[" tokens "],"
#define TOKEN(id, content, flags) "{'id':" id ",'content':'" content "'" flags "}"

Test(added_tokens, longest_first_and_their_own_underline)
{
    static const piece_case cases[] = {
        {"<s> a </s> b", "<s>|▁|▁|a|▁|</s>|▁|▁|b|"},
        {"<s><s>>a", "<s>|<s>>|▁|a|"},
        {"<s", "▁|<unk>|"},
        {"<<s>a", "▁|<unk>|<s>|▁|a|"},
    };
    CHECK_TABLE("{" ADDED(TOKEN("7", "<s>", "") "," TOKEN("8", "</s>", "") "," TOKEN(
                    "9", "<s>>", "")) FUSE UNDERLINE UNIGRAM("false", LETTERS) "}",
                cases);
}

Test(added_tokens, options)
{
    static const piece_case plain[] = {{"a ab b", "a| |ab| |b|"}, {"aab", "a|ab|"}};
    CHECK_TABLE("{" ADDED(TOKEN("7", "ab", "")) FUSE UNIGRAM("false", LETTERS) "}", plain);

    static const piece_case word[] = {
        {"a ab b", "a| |ab| |b|"}, {"aab", "a|a|b|"}, {"ab", "ab|"},
        {"ab.ab", "ab|.|ab|"},     {"abc", "a|b|c|"}, {"ab日", "a|b|<unk>|"},
        {"ab。", "ab|<unk>|"},
    };
    CHECK_TABLE("{" ADDED(TOKEN("7", "ab", ",'single_word':true"))
                    FUSE UNIGRAM("false", LETTERS) "}",
                word);

    static const piece_case left[] = {{"a  ab  b", "a|ab| | |b|"},
                                      {"a\xE3\x80\x80"
                                       "ab",
                                       "a|ab|"}};
    CHECK_TABLE("{" ADDED(TOKEN("7", "ab", ",'lstrip':true")) FUSE UNIGRAM("false", LETTERS) "}",
                left);

    static const piece_case right[] = {{"a  ab  b", "a| | |ab|b|"}, {"ab \n\t", "ab|"}};
    CHECK_TABLE("{" ADDED(TOKEN("7", "ab", ",'rstrip':true")) FUSE UNIGRAM("false", LETTERS) "}",
                right);

    static const piece_case both[] = {{"ab  ab  ab b", "ab|ab|ab|b|"}};
    CHECK_TABLE("{" ADDED(TOKEN("7", "ab", ",'lstrip':true,'rstrip':true"))
                    FUSE UNIGRAM("false", LETTERS) "}",
                both);
}

Test(added_tokens, normalized_ones_are_found_in_normalized_text)
{
    static const piece_case cases[] = {
        {"a b", "a b|"}, // both become ▁a▁b
        {"c a b", "▁|c|a b|"},
        {"ca b", "▁|c|a|▁|b|"},
    };
    CHECK_TABLE("{" ADDED(TOKEN("7", "a b", ",'normalized':true"))
                    FUSE UNDERLINE UNIGRAM("false", LETTERS) "}",
                cases);
}

Test(added_tokens, template_puts_ids_on_both_sides)
{
    vklm_tokenizer *t;
    EXPECT_OK(
        open_json("{" FUSE "'post_processor':{'type':'TemplateProcessing','single':["
                  "{'SpecialToken':{'id':'x','type_id':0}},{'Sequence':{'id':'A','type_id':0}},"
                  "{'SpecialToken':{'id':'y','type_id':0}}],'special_tokens':{"
                  "'x':{'id':'x','ids':[2],'tokens':['b']},"
                  "'y':{'id':'y','ids':[3,0],'tokens':['c','u']}}}," UNIGRAM("false", LETTERS) "}",
                  &t));
    uint32_t *ids;
    size_t n;
    vklm_encode_params params = {.add_special_tokens = true};
    EXPECT_OK(vklm_tokenizer_encode(t, "a", 1, &params, &ids, &n));
    const uint32_t wanted[] = {2, 1, 3, 0};
    cr_expect(n == 4 && memcmp(ids, wanted, sizeof wanted) == 0);
    vklm_free(ids);
    vklm_tokenizer_close(t);
}

#define BYTE_VOCAB                                                                                 \
    "['<unk>',-9],['Hey',-1],[' friend!',-1],['<0x61>',-1],['<0xE5>',-1],['<0x8f>',-1],"           \
    "['<0xab>',-1],['a',-1],['▁',-1],['▁a',-1],[' ',-1],['<0x0A>',-1]"

typedef struct {
    uint32_t ids[8];
    size_t n;
    const char *wanted;
} decode_case;

static void check_decode(const char *decoder, const decode_case *cases, size_t n_cases)
{
    vklm_tokenizer *t;
    vklm_string json = {0};
    vklm_string_print(&json, "{%s%s}", decoder, UNIGRAM("true", BYTE_VOCAB));
    EXPECT_OK(open_json(json.data, &t));
    for (size_t i = 0; i < n_cases; i++) {
        char *text;
        size_t len;
        EXPECT_OK(vklm_tokenizer_decode(t, cases[i].ids, cases[i].n, false, &text, &len));
        cr_expect_str_eq(text, cases[i].wanted, "case %zu: \"%s\"", i, text);
        vklm_free(text);
    }
    vklm_tokenizer_close(t);
    vklm_string_finish(&json);
}

#define CHECK_DECODE(decoder, cases) check_decode(decoder, cases, sizeof(cases) / sizeof *(cases))

Test(decoder, byte_fallback)
{
    static const decode_case cases[] = {
        {{1, 2}, 2, "Hey friend!"},
        {{3}, 1, "a"},
        {{4}, 1, "\uFFFD"},
        {{4, 5}, 2, "\uFFFD\uFFFD"},
        {{4, 5, 6}, 3, "叫"},
        {{4, 5, 6, 7}, 4, "叫a"},
        {{4, 5, 7}, 3, "\uFFFD\uFFFDa"},
        {{11, 4, 11}, 3, "\uFFFD\uFFFD\uFFFD"}, // the whole run, its newlines too
        {{4, 99, 5, 6}, 4, "叫"},               // an id without a piece does not end a run
        {{0}, 0, ""},
    };
    CHECK_DECODE("'decoder':{'type':'ByteFallback'},", cases);
}

Test(decoder, fuse_and_strip)
{
    static const decode_case fuse[] = {{{1, 2}, 2, "Hey friend!"}, {{3}, 1, "<0x61>"}};
    CHECK_DECODE("'decoder':{'type':'Fuse'},", fuse);
    static const decode_case strip[] = {{{9, 9}, 2, "a a"},
                                        {{8, 8, 9}, 3, "  a"},
                                        {{8}, 1, ""},
                                        {{7, 9}, 2, "a a"},
                                        {{8, 11}, 2, "\n"}};
    CHECK_DECODE(
        "'decoder':{'type':'Sequence','decoders':[{'type':'ByteFallback'},{'type':'Replace',"
        "'pattern':{'Regex':'▁'},'content':' '},{'type':'Fuse'},{'type':'Replace','pattern':"
        "{'Regex':'(?<!\\\\n)^ '},'content':''}]},",
        strip);
    CHECK_DECODE(
        "'decoder':{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'▁'},"
        "'content':' '},{'type':'ByteFallback'},{'type':'Fuse'},{'type':'Strip','content':' ',"
        "'start':1,'stop':0}]},",
        strip);
    static const decode_case two[] = {{{8, 8, 8, 7}, 4, " a"}, {{8, 7, 8, 8}, 4, "a  "}};
    CHECK_DECODE(
        "'decoder':{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'▁'},"
        "'content':' '},{'type':'Fuse'},{'type':'Strip','content':' ','start':2,'stop':0}]},",
        two);
}

// What a stream shows after each id.
Test(decoder, stream_shows_whole_characters)
{
    static const struct {
        uint32_t id;
        const char *shown;
    } steps[] = {
        {1, "Hey"},
        {4, ""},
        {5, ""},
        {6, "叫"},
        {4, ""},
        {5, ""},
        {7, "\uFFFD\uFFFDa"},
        {11, "\n"},
        {99, ""},
        {5, ""},
        {4, ""},
        {5, ""},
        {6, ""},
        {1, "\uFFFD\uFFFD\uFFFD\uFFFDHey"},
        {4, ""},
    };
    vklm_tokenizer *t;
    vklm_decode_stream *stream;
    const char *text;
    size_t len;
    EXPECT_OK(open_json("{'decoder':{'type':'ByteFallback'}," UNIGRAM("true", BYTE_VOCAB) "}", &t));
    EXPECT_OK(vklm_decode_stream_create(t, false, &stream));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        EXPECT_OK(vklm_decode_stream_push(stream, steps[i].id, &text, &len));
        cr_expect(len == strlen(steps[i].shown) && memcmp(text, steps[i].shown, len) == 0,
                  "step %zu", i);
    }
    EXPECT_OK(vklm_decode_stream_flush(stream, &text, &len));
    cr_expect(len == 3 && memcmp(text, "\uFFFD", 3) == 0);
    vklm_decode_stream_destroy(stream);
    vklm_tokenizer_close(t);
}
