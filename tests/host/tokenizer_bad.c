// Damaged and unsupported tokenizer.json files: one clear sentence each, and nothing leaks.
#include <criterion/criterion.h>

#include <string.h>

#include "host/text_help.h"

#define VOCAB "['<unk>',0],['a',-1],['b',-2]"
#define MODEL_OF(vocab)                                                                            \
    "'model':{'type':'Unigram','unk_id':0,'byte_fallback':true,'vocab':[" vocab "]}"
#define MODEL            MODEL_OF(VOCAB)
#define FUSE             "'decoder':{'type':'Fuse'},"
#define WITH(part)       "{" FUSE part "," MODEL "}"
#define DECODER(decoder) "{'decoder':" decoder "," MODEL "}"

static const struct {
    const char *json, *says; // a part of the sentence
    vklm_status status;
} cases[] = {
    {"", "not valid JSON", VKLM_BAD_FILE},
    {"{'model':{'type':'Unig", "not valid JSON", VKLM_BAD_FILE},
    {"{'a':'\xFF'}", "not UTF-8 at byte 6", VKLM_BAD_FILE},
    {"[1]", "must be an object, not an array", VKLM_BAD_FILE},
    {"{}", "model must be an object, not nothing", VKLM_BAD_FILE},
    {"{'model':7}", "model must be an object, not a number", VKLM_BAD_FILE},
    {"{'model':{}}", "model.type must be a string, not nothing", VKLM_BAD_FILE},
    {"{'model':{'type':'BPE'}}", "model.type is \"BPE\"", VKLM_UNSUPPORTED},
    {"{'model':{'type':'B\\n\\u0000PE'}}", "only \"Unigram\" is supported", VKLM_UNSUPPORTED},
    {"{'model':{'type':'Unigram'}}", "model.vocab must be an array of pieces, not nothing",
     VKLM_BAD_FILE},
    {"{'model':{'type':'Unigram','vocab':[]}}", "not empty", VKLM_BAD_FILE},
    {"{'model':{'type':'Unigram','vocab':[" VOCAB "]}}", "model.unk_id must be the id",
     VKLM_UNSUPPORTED},
    {"{'model':{'type':'Unigram','unk_id':null,'vocab':[" VOCAB "]}}", "not null",
     VKLM_UNSUPPORTED},
    {"{'model':{'type':'Unigram','unk_id':3,'vocab':[" VOCAB "]}}", "0 to 2, not another number",
     VKLM_BAD_FILE},
    {"{'model':{'type':'Unigram','unk_id':-1,'vocab':[" VOCAB "]}}", "unk_id", VKLM_BAD_FILE},
    {"{'model':{'type':'Unigram','unk_id':0.5,'vocab':[" VOCAB "]}}", "unk_id", VKLM_BAD_FILE},
    {"{'model':{'type':'Unigram','unk_id':'0','vocab':[" VOCAB "]}}", "not a string",
     VKLM_BAD_FILE},
    {"{'model':{'type':'Unigram','unk_id':0,'byte_fallback':1,'vocab':[" VOCAB "]}}",
     "byte_fallback must be a boolean", VKLM_BAD_FILE},
    {"{" MODEL_OF("['<unk>',0],['a']") "}", "model.vocab[1] must be [piece, score]", VKLM_BAD_FILE},
    {"{" MODEL_OF("['<unk>',0],'a'") "}", "model.vocab[1]", VKLM_BAD_FILE},
    {"{" MODEL_OF("['<unk>',0],['a',1,2]") "}", "model.vocab[1]", VKLM_BAD_FILE},
    {"{" MODEL_OF("['<unk>',0],['a','1']") "}", "model.vocab[1]", VKLM_BAD_FILE},
    {"{" MODEL_OF("['<unk>',0],['a',NaN]") "}", "not valid JSON", VKLM_BAD_FILE},
    {"{" MODEL_OF("['<unk>',0],['a',-1e999]") "}", "\"a\" has a score that is not finite",
     VKLM_BAD_FILE},
    {"{" MODEL_OF("['<unk>',0],['a',0],['b',0],['a',1]") "}",
     "model.vocab[1] and [3] are the same piece", VKLM_BAD_FILE},
    {"{" MODEL "}", "without a decoder", VKLM_UNSUPPORTED},
    {WITH("'pre_tokenizer':{'type':'Metaspace'}"), "pre_tokenizer: \"Metaspace\"",
     VKLM_UNSUPPORTED},
    {WITH("'normalizer':{'type':'NFKC'}"), "normalizer: \"NFKC\"", VKLM_UNSUPPORTED},
    {WITH("'normalizer':{}"), "normalizer: nothing", VKLM_UNSUPPORTED},
    {WITH("'normalizer':{'type':'Sequence'}"), "normalizer.normalizers must be an array",
     VKLM_BAD_FILE},
    {WITH("'normalizer':{'type':'Replace','pattern':{'Regex':'\\\\s+'},'content':' '}"),
     "regular expression \"\\s+\"", VKLM_UNSUPPORTED},
    {WITH("'normalizer':{'type':'Replace','pattern':' ','content':' '}"),
     "must be a String or a Regex", VKLM_BAD_FILE},
    {WITH("'normalizer':{'type':'Replace','pattern':{'String':''},'content':' '}"), "empty pattern",
     VKLM_UNSUPPORTED},
    {WITH("'normalizer':{'type':'Replace','pattern':{'String':'a'}}"), "content must be a string",
     VKLM_BAD_FILE},
    {WITH("'normalizer':{'type':'Prepend'}"), "prepend must be a string", VKLM_BAD_FILE},
    {WITH("'normalizer':{'type':'Replace','pattern':{'Regex':'(?<!\\\\n)^x'},'content':''}"),
     "at the start", VKLM_UNSUPPORTED},
    {WITH("'post_processor':{'type':'BertProcessing'}"), "\"BertProcessing\"", VKLM_UNSUPPORTED},
    {WITH("'post_processor':{'type':'TemplateProcessing'}"), "must hold a sequence", VKLM_BAD_FILE},
    {WITH("'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'x'}}]}"),
     "no ids for \"x\"", VKLM_BAD_FILE},
    {WITH("'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'x'}}],"
          "'special_tokens':{'x':{'ids':[3]}}}"),
     "must have ids from 0 to 2", VKLM_BAD_FILE},
    {WITH("'added_tokens':{}"), "added_tokens must be an array", VKLM_BAD_FILE},
    {WITH("'added_tokens':[5]"), "added_tokens[0].content must be a text, not nothing",
     VKLM_BAD_FILE},
    {WITH("'added_tokens':[{'id':0,'content':''}]"), "not empty", VKLM_BAD_FILE},
    {WITH("'added_tokens':[{'id':0,'content':'a'}]"), "\"a\" must have the id 1", VKLM_BAD_FILE},
    {WITH("'added_tokens':[{'id':4e9,'content':'x'}]"), "must have the id 3, the next free one",
     VKLM_BAD_FILE},
    {WITH("'added_tokens':[{'id':1,'content':'a','special':'yes'}]"),
     "added_tokens[0].special must be a boolean", VKLM_BAD_FILE},
    {DECODER("{'type':'Metaspace'}"), "decoder: \"Metaspace\"", VKLM_UNSUPPORTED},
    {DECODER("{'type':'Sequence','decoders':3}"), "decoder.decoders must be an array",
     VKLM_BAD_FILE},
    {DECODER("{'type':'Strip','content':' ','start':1,'stop':0}"), "after Fuse", VKLM_UNSUPPORTED},
    {DECODER("{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'ByteFallback'}]}"),
     "\"ByteFallback\"", VKLM_UNSUPPORTED},
    {DECODER("{'type':'Replace','pattern':{'String':'ab'},'content':' '}"), "this Replace",
     VKLM_UNSUPPORTED},
};

Test(tokenizer_bad, each_gets_one_sentence)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_tokenizer *t;
        vklm_status status = open_json(cases[i].json, &t);
        const char *message = vklm_error_message();
        cr_expect_eq(status, cases[i].status, "case %zu: %s: %s", i, vklm_status_name(status),
                     message);
        cr_expect_null(t);
        cr_expect(strstr(message, cases[i].says), "case %zu: %s", i, message);
        cr_expect(strstr(message, "tokenizer.json"), "case %zu: %s", i, message);
        cr_expect_not(strchr(message, '\n'), "case %zu", i);
    }
}

Test(tokenizer_bad, no_file)
{
    vklm_tokenizer *t;
    cr_expect_eq(vklm_tokenizer_open("/no/such/folder", &t), VKLM_NOT_FOUND);
    cr_expect_null(t);
}

// Every prefix of a good file is refused or, cut inside white space, good.
Test(tokenizer_bad, cut_off_anywhere)
{
    static const char whole[] =
        WITH("'added_tokens':[{'id':3,'content':'x','special':true}],'post_processor':{'type':"
             "'TemplateProcessing','single':[{'Sequence':{'id':'A'}}]}");
    char part[sizeof whole];
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        memcpy(part, whole, len);
        part[len] = '\0';
        vklm_tokenizer *t;
        cr_expect_eq(open_json(part, &t), VKLM_BAD_FILE, "%zu bytes", len);
    }
    vklm_tokenizer *t;
    EXPECT_OK(open_json(whole, &t));
    cr_expect_eq(vklm_tokenizer_size(t), 4);
    vklm_tokenizer_close(t);
}
