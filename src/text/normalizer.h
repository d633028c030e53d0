// text/normalizer.h: what happens to a stretch of text before it is cut into pieces. Of all that
// huggingface/tokenizers can do, two steps: put a string in front, and replace one string by
// another.
#ifndef VKLM_TEXT_NORMALIZER_H
#define VKLM_TEXT_NORMALIZER_H

#include "base/array.h"

typedef struct {
    vklm_string from; // empty: put `to` in front, unless the text is empty
    vklm_string to;
} vklm_normalizer_step;

enum { VKLM_NORMALIZER_STEPS = 8 };

typedef struct {
    vklm_normalizer_step steps[VKLM_NORMALIZER_STEPS];
    size_t n_steps;
} vklm_normalizer;

void vklm_normalizer_finish(vklm_normalizer *normalizer);

// Rewrites `text`. `scratch` may hold anything; the two may change places. Failure is sticky in
// text.
void vklm_normalizer_run(const vklm_normalizer *normalizer, vklm_string *text,
                         vklm_string *scratch);

// Appends text[0..len) to `out` with every `from`, which is not empty, replaced by `to`, left to
// right.
void vklm_text_replace(vklm_string *out, const char *text, size_t len, const vklm_string *from,
                       const vklm_string *to);

#endif
