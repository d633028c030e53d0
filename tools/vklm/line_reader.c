#include "vklm/line_reader.h"

#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_LINES = 1000 };

struct vklm_line_reader {
    EditLine *editor; // NULL when the input is no terminal
    History *history;
    char *line; // of getline, without an editor
    size_t capacity;
    bool continued; // the message has begun on a line before
    bool cancelled;
};

static char *prompt(EditLine *editor)
{
    static char first[] = "> ", more[] = ". ";
    vklm_line_reader *reader;
    el_get(editor, EL_CLIENTDATA, &reader);
    return reader->continued ? more : first;
}

static unsigned char cancel(EditLine *editor, wint_t key)
{
    (void)key;
    vklm_line_reader *reader;
    el_get(editor, EL_CLIENTDATA, &reader);
    reader->cancelled = true;
    fputs("^C\n", stderr);
    return CC_NEWLINE;
}

static bool open_editor(vklm_line_reader *reader)
{
    HistEvent event;
    // libedit reads characters, not bytes, by the locale.
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    reader->editor = el_init("vklm", stdin, stderr, stderr);
    reader->history = history_init();
    if (!reader->editor || !reader->history)
        return false;
    history(reader->history, &event, H_SETSIZE, HISTORY_LINES);
    history(reader->history, &event, H_SETUNIQUE, 1);
    el_set(reader->editor, EL_CLIENTDATA, reader);
    el_set(reader->editor, EL_PROMPT, prompt);
    el_set(reader->editor, EL_EDITOR, "emacs");
    el_set(reader->editor, EL_HIST, history, reader->history);
    el_source(reader->editor, NULL); // the user's ~/.editrc
    // The wide call: the other one copies the two strings, for ever.
    el_wset(reader->editor, EL_ADDFN, L"vklm-cancel", L"give the line up", cancel);
    el_set(reader->editor, EL_BIND, "^C", "vklm-cancel", NULL);
    return true;
}

vklm_line_reader *vklm_line_reader_open(void)
{
    vklm_line_reader *reader = vklm_alloc(1, sizeof *reader);
    if (reader && isatty(STDIN_FILENO) && !open_editor(reader)) {
        vklm_line_reader_close(reader);
        return NULL;
    }
    return reader;
}

void vklm_line_reader_close(vklm_line_reader *reader)
{
    if (!reader)
        return;
    if (reader->editor)
        el_end(reader->editor);
    if (reader->history)
        history_end(reader->history);
    free(reader->line);
    free(reader);
}

bool vklm_line_reader_edits(const vklm_line_reader *reader)
{
    return reader->editor;
}

// While a line is edited Ctrl-C is a key like others, which gives the line up; otherwise it
// interrupts.
static void set_interrupt_key(bool on)
{
    static cc_t key;
    struct termios mode;
    if (tcgetattr(STDIN_FILENO, &mode) != 0)
        return;
    if (!on)
        key = mode.c_cc[VINTR];
    mode.c_cc[VINTR] = on ? key : _POSIX_VDISABLE;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
}

// One line, [*out_len] with its newline; NULL at the end.
static const char *read_line(vklm_line_reader *reader, size_t *out_len)
{
    if (!reader->editor) {
        ssize_t n = getline(&reader->line, &reader->capacity, stdin);
        *out_len = n > 0 ? (size_t)n : 0;
        return n > 0 ? reader->line : NULL;
    }
    int n = 0;
    HistEvent event;
    set_interrupt_key(false);
    const char *line = el_gets(reader->editor, &n);
    set_interrupt_key(true);
    if (n <= 0)
        fputs("\n", stderr); // behind the prompt
    if (line && n > 1 && !reader->cancelled)
        history(reader->history, &event, H_ENTER, line);
    *out_len = n > 0 ? (size_t)n : 0;
    return n > 0 ? line : NULL;
}

static bool ends_with(const vklm_string *s, const char *end)
{
    size_t len = strlen(end);
    return s->len >= len && memcmp(s->data + s->len - len, end, len) == 0;
}

// Takes one line into the message; whether more belong to it.
static bool take_line(vklm_string *out, const char *line, size_t len, bool *in_block)
{
    bool first = out->len == 0 && !*in_block;
    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (first && len >= 3 && memcmp(line, "\"\"\"", 3) == 0) {
        *in_block = true;
        line += 3, len -= 3;
    }
    vklm_string_append(out, line, len);
    if (*in_block && ends_with(out, "\"\"\"")) {
        out->len -= 3;
        return false;
    }
    bool more = *in_block || ends_with(out, "\\");
    if (!*in_block && more)
        out->len--;
    if (more)
        vklm_string_append(out, "\n", 1);
    return more;
}

vklm_line_result vklm_line_reader_read(vklm_line_reader *reader, vklm_string *out)
{
    bool in_block = false, more = true;
    out->len = 0;
    reader->continued = reader->cancelled = false;
    for (; more; reader->continued = true) {
        size_t len;
        const char *line = read_line(reader, &len);
        if (reader->cancelled)
            return VKLM_LINE_CANCELLED;
        if (!line)
            return out->len > 0 ? VKLM_LINE_TEXT : VKLM_LINE_END;
        more = take_line(out, line, len, &in_block);
    }
    vklm_string_append(out, "", 0);
    return VKLM_LINE_TEXT;
}
