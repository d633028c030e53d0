// vklm/text.h: text to token ids and back, exactly as Hugging Face's `tokenizers` library does it
// for the Unigram tokenizers with byte fallback that the LLM-jp models use.
//
// A tokenizer needs no device: it opens on any folder that holds a tokenizer.json. It is immutable
// after opening and may be used from several threads at once; a stream belongs to one thread.
#ifndef VKLM_TEXT_H
#define VKLM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vklm/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vklm_tokenizer vklm_tokenizer;

// Opens `model_dir`/tokenizer.json. VKLM_NOT_FOUND without such a file, VKLM_BAD_FILE when it is
// damaged, VKLM_UNSUPPORTED when it asks for something other than the pipeline above (the message
// names it). The caller owns *out_tokenizer and closes it.
vklm_status vklm_tokenizer_open(const char *model_dir, vklm_tokenizer **out_tokenizer);
void vklm_tokenizer_close(vklm_tokenizer *tokenizer); // takes NULL

// Number of token ids, 0 to n - 1. A model may have more rows than that: the rest is padding.
uint32_t vklm_tokenizer_size(const vklm_tokenizer *tokenizer);

// The text of one token as it stands in the vocabulary ("▁the", "<0x0A>", "</s>"); NULL for an id
// without a token. Owned by the tokenizer.
const char *vklm_tokenizer_piece(const vklm_tokenizer *tokenizer, uint32_t id);

// The id of a piece spelled exactly so; false when there is none.
bool vklm_tokenizer_find(const vklm_tokenizer *tokenizer, const char *piece, uint32_t *out_id);

typedef struct vklm_encode_params {
    bool add_special_tokens; // what tokenizer.json's post-processor adds: <s> in front. Default: no
    bool plain_special; // special tokens spelled out in the text stay text. Default: they become
                        // their ids, as in Hugging Face
} vklm_encode_params;

// Encodes text[0..len), which must be UTF-8 (VKLM_INVALID_ARGUMENT names the byte otherwise; NULs
// are text). `params` may be NULL. *out_ids belongs to the caller, who releases it with vklm_free;
// it is a valid pointer also when *out_n_ids is 0.
vklm_status vklm_tokenizer_encode(const vklm_tokenizer *tokenizer, const char *text, size_t len,
                                  const vklm_encode_params *params, uint32_t **out_ids,
                                  size_t *out_n_ids);

// Decodes ids to UTF-8. Ids without a token are dropped; `skip_special` drops the special tokens
// too. Bytes that form no character become U+FFFD. *out_text is NUL-terminated (it may hold NULs of
// its own: *out_len counts) and released with vklm_free.
vklm_status vklm_tokenizer_decode(const vklm_tokenizer *tokenizer, const uint32_t *ids,
                                  size_t n_ids, bool skip_special, char **out_text,
                                  size_t *out_len);

// Decodes token by token. What comes out is whole characters only: a character that is spread over
// several byte tokens appears with its last one.
typedef struct vklm_decode_stream vklm_decode_stream;

// The tokenizer must outlive the stream.
vklm_status vklm_decode_stream_create(const vklm_tokenizer *tokenizer, bool skip_special,
                                      vklm_decode_stream **out_stream);
void vklm_decode_stream_destroy(vklm_decode_stream *stream); // takes NULL

// Takes the next id; *out_text [*out_len bytes, maybe none] is what can be shown now. Owned by the
// stream, valid until its next call.
vklm_status vklm_decode_stream_push(vklm_decode_stream *stream, uint32_t id, const char **out_text,
                                    size_t *out_len);

// What was held back, at the end of a text: bytes that never became a character, as U+FFFD.
vklm_status vklm_decode_stream_flush(vklm_decode_stream *stream, const char **out_text,
                                     size_t *out_len);

// A model's chat template: what turns a conversation into the text that it was trained on. Holds
// the part of Jinja that such templates use, set up as transformers does; whatever else a template
// asks for is VKLM_UNSUPPORTED with its line and name, never a guess. A template is code that came
// with the model: time and memory that it takes are bounded.
typedef struct vklm_chat_template vklm_chat_template;

// Reads chat_template.jinja of a model folder or else chat_template of its tokenizer_config.json
// (the one named "default" where there are several), and the special tokens' texts. VKLM_NOT_FOUND
// when the model has no template. The caller owns *out_template. Immutable, so several threads may
// render at once.
vklm_status vklm_chat_template_open(const char *model_dir, vklm_chat_template **out_template);
void vklm_chat_template_close(vklm_chat_template *chat_template); // takes NULL

typedef struct vklm_chat_message {
    const char *role;    // "system", "user", "assistant", …
    const char *content; // NULL is the template's none
} vklm_chat_message;

// Renders n messages; with `add_generation_prompt` the text ends where the assistant's answer
// begins. The text brings its own <s>: encode it without add_special_tokens. Special tokens that
// are spelled out in a message become real ones when it is encoded, as in Hugging Face.
// VKLM_INVALID_ARGUMENT, in the template's own words, when it refuses the messages. *out_text is
// NUL-terminated, released with vklm_free.
vklm_status vklm_chat_template_render(const vklm_chat_template *chat_template,
                                      const vklm_chat_message *messages, size_t n,
                                      bool add_generation_prompt, char **out_text, size_t *out_len);

// Renders and encodes. With `plain_special` special tokens that are spelled out in a message stay
// text, so that a user cannot end a turn or begin one; those of the template itself are always
// real. (A template that looks for a special token inside a message does not find it then.)
// *out_ids is released with vklm_free.
vklm_status vklm_chat_template_encode(const vklm_chat_template *chat_template,
                                      const vklm_tokenizer *tokenizer,
                                      const vklm_chat_message *messages, size_t n,
                                      bool add_generation_prompt, bool plain_special,
                                      uint32_t **out_ids, size_t *out_n_ids);

// What is added to the logit of one token, before everything else.
typedef struct vklm_logit_bias {
    uint32_t id;
    float bias;
} vklm_logit_bias;

// How the next token is drawn: Hugging Face `generate`'s processors in its order: logit bias,
// repetition penalty, frequency and presence penalty (which are OpenAI's, as vLLM applies them),
// temperature, top-k, top-p, min-p, then the draw. All-zero is the LLM-jp model card's setting.
typedef struct vklm_sampling_params {
    bool greedy;              // the most likely token (lowest id on ties), after bias and penalties
    float temperature;        // default 0.7
    int top_k;                // default 50; -1: off
    float top_p;              // default 0.95; 1: off
    float min_p;              // default 0: off
    float repetition_penalty; // default 1.05; 1: off. Over the prompt and what was generated
    float frequency_penalty;  // -2 to 2, default 0: off. Subtracted for each time a token was
                              // generated
    float presence_penalty;   // -2 to 2, default 0: off. Subtracted if a token was generated at all
    const vklm_logit_bias *bias; // [n_bias], copied where they are used
    size_t n_bias;
    uint64_t seed; // default 0: a new seed each time
} vklm_sampling_params;

// VKLM_INVALID_ARGUMENT, naming the parameter and its range, when one is out of it (NaN included).
vklm_status vklm_sampling_check(const vklm_sampling_params *params);

// Looks for stop strings in a text that comes in pieces, and holds back what may be the beginning
// of one.
typedef struct vklm_stop_filter vklm_stop_filter;

// Copies the strings. VKLM_INVALID_ARGUMENT when one is empty. With none at all text passes as it
// comes.
vklm_status vklm_stop_filter_create(const char *const *strings, size_t n,
                                    vklm_stop_filter **out_filter);
void vklm_stop_filter_destroy(vklm_stop_filter *filter); // takes NULL

// Takes the next piece; *out_text [*out_len bytes, maybe none] is what can be shown now.
// *out_stopped becomes true, and stays so, when a stop string is complete: the text ends before it,
// and nothing comes after it. The text is owned by the filter, valid until its next call.
vklm_status vklm_stop_filter_push(vklm_stop_filter *filter, const char *text, size_t len,
                                  const char **out_text, size_t *out_len, bool *out_stopped);

// What was held back, at the end of a text that no stop string ended.
vklm_status vklm_stop_filter_flush(vklm_stop_filter *filter, const char **out_text,
                                   size_t *out_len);

// Releases what the library handed out. Takes NULL.
void vklm_free(void *memory);

#ifdef __cplusplus
}
#endif

#endif
