// text/jinja.h: the part of jinja2 that chat templates use, as transformers sets jinja2 up: an
// immutable sandbox, trim_blocks, lstrip_blocks, break and continue, {% generation %}, tojson
// without HTML escapes, raise_exception, strftime_now. What is not known is VKLM_UNSUPPORTED with
// the line and the name of the construct, never a guess. Time and memory are bounded
// (jinja_value.h).
#ifndef VKLM_TEXT_JINJA_H
#define VKLM_TEXT_JINJA_H

#include "base/json.h"

typedef struct vklm_jinja vklm_jinja;

// Parses a template. VKLM_BAD_FILE when jinja2 would refuse it, or it is not UTF-8. Immutable
// afterwards.
vklm_status vklm_jinja_create(const char *source, size_t len, vklm_jinja **out_jinja);
void vklm_jinja_destroy(vklm_jinja *jinja); // takes NULL

// Appends the rendered text to `out`. `variables` is an object; its numbers are integers where they
// are whole. VKLM_INVALID_ARGUMENT with the template's own words when it calls raise_exception().
vklm_status vklm_jinja_render(const vklm_jinja *jinja, const cJSON *variables, vklm_string *out);

#endif
