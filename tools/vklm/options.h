// vklm/options.h: what the subcommands' option parsing shares.
#ifndef VKLM_TOOLS_OPTIONS_H
#define VKLM_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vklm/engine.h>

#include "base/array.h"

// "vklm: " and the last failed call's sentence on stderr; returns 1.
int vklm_options_failed(void);

// "vklm COMMAND: ..." on stderr, and where help is; returns 2.
int vklm_options_misused(const char *command, const char *format, ...) VKLM_PRINTF(2, 3);

// A number in [low, high]; false, after saying so on stderr, when `text` is not one.
bool vklm_options_whole(const char *command, const char *option, const char *text, uint64_t low,
                        uint64_t high, uint64_t *out);
// A number of bytes, at least 1, with K, M or G (of 1024) behind it or not.
bool vklm_options_bytes(const char *command, const char *option, const char *text, uint64_t *out);
// A kind of weights by its name.
bool vklm_options_weights(const char *command, const char *text, vklm_weights_kind *out);
bool vklm_options_real(const char *command, const char *option, const char *text, double low,
                       double high, float *out);

// A list of ids separated by spaces or commas. *out_ids is freed by the caller; false after saying
// why.
bool vklm_options_ids(const char *command, const char *text, uint32_t **out_ids, size_t *out_n);

// Appends all of standard input. False, after saying why, when it cannot be read.
bool vklm_options_read_stdin(vklm_string *out);

#endif
