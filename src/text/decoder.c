#include "text/decoder.h"

#include <string.h>

#include "base/utf8.h"
#include "text/normalizer.h"

void vklm_decoder_finish(vklm_decoder *decoder)
{
    vklm_string_finish(&decoder->from);
    vklm_string_finish(&decoder->to);
    vklm_string_finish(&decoder->strip);
    *decoder = (vklm_decoder){0};
}

void vklm_decode_state_init(vklm_decode_state *state, const vklm_decoder *decoder)
{
    *state = (vklm_decode_state){.decoder = decoder, .n_strip = decoder->n_strip};
}

void vklm_decode_state_finish(vklm_decode_state *state)
{
    vklm_string_finish(&state->run);
    vklm_string_finish(&state->out);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte that a piece such as "<0x0A>" stands for, or -1.
static int piece_byte(const char *piece, size_t len)
{
    if (len != 6 || memcmp(piece, "<0x", 3) != 0 || piece[5] != '>')
        return -1;
    int high = hex_digit(piece[3]), low = hex_digit(piece[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// Cuts what may still be cut from the text that begins at out[start]: any other text ends the
// cutting.
static void strip(vklm_decode_state *state, size_t start)
{
    const vklm_string *unwanted = &state->decoder->strip;
    vklm_string *out = &state->out;
    size_t cut = start;
    while (state->n_strip > 0 && out->len - cut >= unwanted->len &&
           memcmp(out->data + cut, unwanted->data, unwanted->len) == 0) {
        cut += unwanted->len;
        state->n_strip--;
    }
    if (cut < out->len)
        state->n_strip = 0;
    if (cut > start) {
        memmove(out->data + start, out->data + cut, out->len - cut + 1);
        out->len -= cut - start;
    }
}

static void append(vklm_decode_state *state, const char *text, size_t len, bool replace)
{
    const vklm_decoder *decoder = state->decoder;
    size_t start = state->out.len;
    if (replace && decoder->from.len > 0)
        vklm_text_replace(&state->out, text, len, &decoder->from, &decoder->to);
    else
        vklm_string_append(&state->out, text, len);
    if (state->n_strip > 0 && !state->out.failed)
        strip(state, start);
}

void vklm_decode_state_push(vklm_decode_state *state, const char *piece, size_t len)
{
    int byte = state->decoder->byte_fallback ? piece_byte(piece, len) : -1;
    if (byte >= 0) {
        char c = (char)byte;
        vklm_string_append(&state->run, &c, 1);
    } else {
        vklm_decode_state_end_run(state);
        append(state, piece, len, true);
    }
}

void vklm_decode_state_settle(vklm_decode_state *state)
{
    vklm_string *run = &state->run;
    if (run->len == 0 || state->broken)
        return;
    size_t valid = vklm_utf8_check(run->data, run->len);
    if (valid == run->len) {
        append(state, run->data, run->len, state->decoder->replace_in_bytes);
        run->len = 0;
    } else {
        // Kept short by the case above, so this is looked at once for each byte of a character
        // only.
        state->broken = valid + vklm_utf8_incomplete_tail(run->data, run->len) < run->len;
    }
}

void vklm_decode_state_end_run(vklm_decode_state *state)
{
    vklm_string *run = &state->run;
    if (run->len > 0 && vklm_utf8_check(run->data, run->len) == run->len) {
        append(state, run->data, run->len, state->decoder->replace_in_bytes);
    } else {
        for (size_t i = 0; i < run->len; i++)
            append(state, "\xEF\xBF\xBD", 3, state->decoder->replace_in_bytes);
    }
    run->len = 0;
    state->broken = false;
}
