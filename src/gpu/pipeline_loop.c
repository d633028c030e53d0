#include "gpu/pipeline_loop.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LABELS = 1024, MAX_LOOPS = 256 };

// Places are numbers of instructions before them.
typedef struct {
    struct {
        unsigned name; // the number in BB7, L7
        uint32_t place, loads;
    } labels[MAX_LABELS];
    struct {
        uint32_t first, last, loads;
    } loops[MAX_LOOPS];
    uint32_t n_labels, n_loops, n, n_loads;
    unsigned next_pass; // NVK before Volta: pcnt names the label that cont goes to
} listing;

// "BB7:" and "L7:" at a line's beginning, "block.u 1 L7 [0] -> {" of NVK.
static bool read_label(const char *line, unsigned *out_name)
{
    char colon = 0;
    if (sscanf(line, "BB%u%c", out_name, &colon) == 2 ||
        sscanf(line, "L%u%c", out_name, &colon) == 2)
        return colon == ':';
    return sscanf(line, "block%*s %*u L%u", out_name) == 1 ||
           sscanf(line, "block %*u L%u", out_name) == 1;
}

// Where a comment begins, or the end.
static size_t code_length(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (line[i] == ';' || (line[i] == '/' && i + 1 < length && line[i + 1] == '/'))
            return i;
    return length;
}

// The label that an instruction goes to: a word of its own.
static bool read_target(const char *line, size_t length, unsigned *out_name)
{
    length = code_length(line, length);
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && !isspace((unsigned char)line[end]))
            end++;
        char word[16], more;
        if (end > at && end - at < sizeof word) {
            snprintf(word, sizeof word, "%.*s", (int)(end - at), line + at);
            if (sscanf(word, "BB%u%c", out_name, &more) == 1 ||
                sscanf(word, "L%u%c", out_name, &more) == 1)
                return true;
        }
        at = end + 1;
    }
    return false;
}

static bool mentions(const char *line, size_t length, const char *word)
{
    const size_t n = strlen(word);
    for (size_t i = 0; i + n <= length; i++)
        if (memcmp(line + i, word, n) == 0)
            return true;
    return false;
}

// Of AMD, of NVK, and of ANV, whose comments name what a send does.
static bool is_load(const char *line, size_t length)
{
    static const char *const words[] = {"buffer_load_", "global_load_", "flat_load_",
                                        "ld.global.",   "load.ugm.",    "a64_untyped_read"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (mentions(line, length, words[i]))
            return true;
    return false;
}

// NVK's blocks end with "} -> [1, 27]"; a line without a letter is no instruction.
static bool is_instruction(const char *line, size_t length)
{
    size_t i = 0;
    while (i < length && isspace((unsigned char)line[i]))
        i++;
    return i < length && line[i] != '}' && line[i] != ';' && line[i] != '/';
}

static void add_loop(listing *l, unsigned label)
{
    for (uint32_t i = 0; i < l->n_labels; i++)
        if (l->labels[i].name == label && l->n_loops < MAX_LOOPS) {
            l->loops[l->n_loops].first = l->labels[i].place;
            l->loops[l->n_loops].last = l->n;
            l->loops[l->n_loops++].loads = l->n_loads - l->labels[i].loads;
            return;
        }
}

static void add_instruction(listing *l, const char *line, size_t length)
{
    unsigned name;
    l->n++;
    l->n_loads += is_load(line, length);
    if (mentions(line, length, " cont "))
        add_loop(l, l->next_pass);
    else if (!read_target(line, length, &name))
        return;
    else if (mentions(line, length, " pcnt "))
        l->next_pass = name;
    else
        add_loop(l, name); // unless it goes on to a label that is still to come
}

static bool is_innermost(const listing *l, uint32_t loop)
{
    for (uint32_t i = 0; i < l->n_loops; i++)
        if ((l->loops[i].first != l->loops[loop].first ||
             l->loops[i].last != l->loops[loop].last) &&
            l->loops[i].first >= l->loops[loop].first && l->loops[i].last <= l->loops[loop].last)
            return false;
    return true;
}

vklm_gpu_loop vklm_gpu_loop_find(const char *assembly)
{
    listing l = {.n = 0};
    vklm_gpu_loop longest = {0};
    while (*assembly) {
        const size_t length = strcspn(assembly, "\n");
        unsigned name;
        if (read_label(assembly, &name)) {
            if (l.n_labels < MAX_LABELS) {
                l.labels[l.n_labels].name = name;
                l.labels[l.n_labels].place = l.n;
                l.labels[l.n_labels++].loads = l.n_loads;
            }
        } else if (is_instruction(assembly, length)) {
            add_instruction(&l, assembly, length);
        }
        assembly += length + (assembly[length] == '\n');
    }
    for (uint32_t i = 0; i < l.n_loops; i++) {
        const uint32_t n = l.loops[i].last - l.loops[i].first;
        if (is_innermost(&l, i) && n > longest.instructions)
            longest = (vklm_gpu_loop){.instructions = n, .loads = l.loops[i].loads};
    }
    return longest;
}
