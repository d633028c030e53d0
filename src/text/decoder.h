// text/decoder.h: from pieces back to text, as huggingface/tokenizers' decoders ByteFallback,
// Replace, Fuse and Strip do it in one go. The whole decode and the stream share this state
// machine; they differ in what they do with a run of byte pieces that is not over yet.
#ifndef VKLM_TEXT_DECODER_H
#define VKLM_TEXT_DECODER_H

#include "base/array.h"

// What tokenizer.json's `decoder` asks for.
typedef struct {
    bool byte_fallback;    // "<0x0A>" is a byte
    vklm_string from, to;  // `from`, one character, is replaced in every piece; empty: nothing is
    bool replace_in_bytes; // also in text that byte pieces spell
    vklm_string strip;     // one character, cut from the front of the whole text …
    unsigned n_strip;      // … at most so many times
} vklm_decoder;

void vklm_decoder_finish(vklm_decoder *decoder);

// A text being decoded. `run` holds the bytes of a run of byte pieces whose text is not in `out`
// yet.
typedef struct {
    const vklm_decoder *decoder;
    vklm_string run, out;
    unsigned n_strip; // that may still be cut
    bool broken;      // `run` can no longer become valid UTF-8
} vklm_decode_state;

void vklm_decode_state_init(vklm_decode_state *state, const vklm_decoder *decoder);
void vklm_decode_state_finish(vklm_decode_state *state);

// Takes the next piece.
void vklm_decode_state_push(vklm_decode_state *state, const char *piece, size_t len);

// Moves the run to `out` if it is whole characters so far. Bytes that came out this way stay, even
// if the run turns out invalid later; without this call the whole run would be U+FFFD then.
void vklm_decode_state_settle(vklm_decode_state *state);

// Ends the run: its text goes to `out`, or one U+FFFD for each of its bytes if it is not valid
// UTF-8.
void vklm_decode_state_end_run(vklm_decode_state *state);

#endif
