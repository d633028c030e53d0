// vklm/console.h: what goes to the terminal beside the answer: the log, progress, Ctrl-C.
#ifndef VKLM_TOOLS_CONSOLE_H
#define VKLM_TOOLS_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include <vklm/status.h>

// Sends the library's log to stderr.
void vklm_console_open(vklm_log_level most_verbose);

// Callbacks for vklm_engine_params.progress and vklm_session_params.progress: a line that rewrites
// itself, on a terminal only. They stop the work after Ctrl-C.
bool vklm_console_load_progress(void *opaque, uint64_t done, uint64_t total);
bool vklm_console_write_progress(void *opaque, uint64_t done, uint64_t total);
bool vklm_console_prompt_progress(void *opaque, uint32_t done, uint32_t total);

// From now on Ctrl-C sets a flag, once; a second one ends the program. Clears the flag.
void vklm_console_catch_interrupt(void);
bool vklm_console_interrupted(void);

// The same, but however often it comes it does not end the program; until the release, which makes
// Ctrl-C end it again.
void vklm_console_catch_every_interrupt(void);
void vklm_console_release_interrupt(void);

// Where compiled shaders are kept between runs: $XDG_CACHE_HOME/vklm or ~/.cache/vklm; NULL without
// a home. A static string.
const char *vklm_console_cache_folder(void);

#endif
