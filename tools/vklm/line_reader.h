// vklm/line_reader.h: what a person types: with line editing and history on a terminal, as it is
// elsewhere.
#ifndef VKLM_TOOLS_LINE_READER_H
#define VKLM_TOOLS_LINE_READER_H

#include "base/array.h"

typedef struct vklm_line_reader vklm_line_reader;

// Only one at a time. The prompt goes to stderr. NULL when memory is short.
vklm_line_reader *vklm_line_reader_open(void);
void vklm_line_reader_close(vklm_line_reader *reader); // takes NULL

// Whether the input is a terminal with line editing.
bool vklm_line_reader_edits(const vklm_line_reader *reader);

typedef enum {
    VKLM_LINE_TEXT,
    VKLM_LINE_CANCELLED, // Ctrl-C
    VKLM_LINE_END,       // Ctrl-D, or the end of a file
} vklm_line_result;

// Replaces *out by the next message: a line; or several, where each but the last ends with a
// backslash, or where the first begins and the last ends with """. Without the last newline.
vklm_line_result vklm_line_reader_read(vklm_line_reader *reader, vklm_string *out);

#endif
