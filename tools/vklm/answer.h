// vklm/answer.h: from a prompt to an answer: the tokens, the text as it comes, stop strings,
// Ctrl-C.
#ifndef VKLM_TOOLS_ANSWER_H
#define VKLM_TOOLS_ANSWER_H

#include "vklm/generation.h"

typedef struct {
    vklm_string text;
    uint32_t *ids; // [n_ids] with the end-of-text token, and with tokens of a stop string
    size_t n_ids, capacity;
    uint32_t n_computed; // tokens of the prompt that were not in the session already
    double prompt_seconds, seconds;
    const char *stop; // why it ended: "eos", "stop", "length", "context", "interrupted"
} vklm_answer;

void vklm_answer_finish(vklm_answer *answer); // takes an all-zero one

typedef void (*vklm_answer_text)(void *opaque, const char *text, size_t len);

typedef struct {
    const vklm_tokenizer *tokenizer;
    const vklm_generation *generation; // but for the sampling, which the session has
    vklm_engine *engine;               // to be opened again, once, when the device is lost …
    const vklm_engine_params *engine_params; // … as it was opened. NULL: a lost device is a failure
    vklm_answer_text on_text;                // gets the text as it comes, too; NULL: nobody does
    void *opaque;
} vklm_answer_params;

// Makes the session hold exactly `prompt` [n > 0]: what it has in common with the tokens that it
// holds stays, the rest is computed. Then generates. VKLM_CONTEXT_FULL when the prompt does not
// fit: the session is then as it was. Ctrl-C (vklm_console_interrupted) while the prompt is
// computed is VKLM_CANCELLED. The caller finishes *out_answer, also after a failure.
vklm_status vklm_answer_generate(vklm_session *session, const uint32_t *prompt, size_t n,
                                 const vklm_answer_params *params, vklm_answer *out_answer);

#endif
