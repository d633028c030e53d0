#include "gpu/pipeline_loop.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_BLOCKS = 512, MAX_SUCCESSORS = 8 };

// A label, and what follows it up to the next one. Where it goes: by names, which may be of blocks
// still to come, and by numbers where the driver lists them (NVK).
typedef struct {
    unsigned name; // the number in BB7, L7
    uint32_t instructions, loads;
    unsigned names[MAX_SUCCESSORS];
    uint32_t numbers[MAX_SUCCESSORS];
    uint32_t n_names, n_numbers;
    bool listed; // its successors are all in `numbers`
    bool ends;   // never goes on to the next
    bool full;   // what follows without a label is another
} block;

typedef struct {
    block blocks[MAX_BLOCKS];
    uint32_t n;
} listing;

static bool mentions(const char *line, size_t length, const char *word)
{
    const size_t n = strlen(word);
    for (size_t i = 0; i + n <= length; i++)
        if (memcmp(line + i, word, n) == 0)
            return true;
    return false;
}

// "BB7:" and "L7:" at a line's beginning, "block.u 1 L7 [0] -> {" of NVK.
static bool read_label(const char *line, unsigned *out_name)
{
    char colon = 0;
    if (sscanf(line, "BB%u%c", out_name, &colon) == 2 ||
        sscanf(line, "L%u%c", out_name, &colon) == 2)
        return colon == ':';
    return sscanf(line, "block.u %*u L%u", out_name) == 1 ||
           sscanf(line, "block %*u L%u", out_name) == 1;
}

// NVK's "} -> [1, 27]".
static bool read_successors(const char *line, block *b)
{
    const char *at = strchr(line, '[');
    unsigned number;
    int used;
    if (*line != '}' || !at)
        return false;
    b->listed = true;
    for (at++; sscanf(at, " %u%n", &number, &used) == 1; at += *at == ',') {
        if (b->n_numbers < MAX_SUCCESSORS)
            b->numbers[b->n_numbers++] = number + 1; // behind what comes before the first label
        at += used;
    }
    return true;
}

// Where a comment begins, or the end.
static size_t code_length(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (line[i] == ';' || (line[i] == '/' && i + 1 < length && line[i + 1] == '/'))
            return i;
    return length;
}

// The labels that an instruction names, each a word of its own or behind "jip:" and "uip:" (ANV).
static void add_targets(const char *line, size_t length, block *b)
{
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && !isspace((unsigned char)line[end]))
            end++;
        char text[24], more;
        unsigned name;
        if (end > at && end - at < sizeof text) {
            snprintf(text, sizeof text, "%.*s", (int)(end - at), line + at);
            const char *word =
                strncmp(text, "jip:", 4) == 0 || strncmp(text, "uip:", 4) == 0 ? text + 4 : text;
            if ((sscanf(word, "BB%u%c", &name, &more) == 1 ||
                 sscanf(word, "L%u%c", &name, &more) == 1) &&
                b->n_names < MAX_SUCCESSORS)
                b->names[b->n_names++] = name;
        }
        at = end + 1;
    }
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

static void read_line(listing *l, const char *line, size_t length)
{
    unsigned name;
    if (read_label(line, &name) && l->n < MAX_BLOCKS) {
        l->blocks[l->n++] = (block){.name = name};
        return;
    }
    block *b = &l->blocks[l->n - 1];
    const size_t code = code_length(line, length);
    size_t first = 0;
    while (first < code && isspace((unsigned char)line[first]))
        first++;
    if (first == code || read_successors(line, b))
        return;
    if (b->full && l->n < MAX_BLOCKS) {
        b = &l->blocks[l->n++];
        *b = (block){.name = UINT_MAX};
    }
    b->instructions++;
    b->loads += is_load(line, length);
    add_targets(line, code, b);
    b->ends |= mentions(line, code, "s_branch ") || mentions(line, code, "s_endpgm");
    b->full = mentions(line, code, "branch") || mentions(line, code, "while ");
}

// Names become numbers, in the program's order.
static void resolve(listing *l)
{
    for (uint32_t i = 0; i < l->n; i++) {
        block *b = &l->blocks[i];
        if (b->listed)
            continue;
        for (uint32_t s = 0; s < b->n_names; s++)
            for (uint32_t j = 0; j < l->n && b->n_numbers < MAX_SUCCESSORS; j++)
                if (l->blocks[j].name == b->names[s] && j > 0)
                    b->numbers[b->n_numbers++] = j;
        if (!b->ends && i + 1 < l->n && b->n_numbers < MAX_SUCCESSORS)
            b->numbers[b->n_numbers++] = i + 1;
    }
}

// Blocks from which `last` is reached without passing `head`: the loop of that edge.
static void find_body(const listing *l, uint32_t head, uint32_t last, bool body[MAX_BLOCKS])
{
    memset(body, 0, MAX_BLOCKS * sizeof *body);
    body[head] = body[last] = true;
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = head + 1; i < l->n; i++)
            for (uint32_t s = 0; s < l->blocks[i].n_numbers && !body[i]; s++)
                if (l->blocks[i].numbers[s] > head && l->blocks[i].numbers[s] < l->n &&
                    body[l->blocks[i].numbers[s]])
                    more = body[i] = true;
    }
}

static bool has_loop_inside(const listing *l, uint32_t head, const bool body[MAX_BLOCKS])
{
    for (uint32_t i = 0; i < l->n; i++)
        for (uint32_t s = 0; s < l->blocks[i].n_numbers && body[i]; s++)
            if (l->blocks[i].numbers[s] <= i && l->blocks[i].numbers[s] > head)
                return true;
    return false;
}

static vklm_gpu_loop find(const listing *l)
{
    enum { LOADS = 4 };
    bool body[MAX_BLOCKS];
    for (uint32_t head = 0; head < l->n; head++)
        for (uint32_t i = l->n; i-- > head;) // the last edge back: a `continue` may come before
            for (uint32_t s = 0; s < l->blocks[i].n_numbers; s++) {
                if (l->blocks[i].numbers[s] != head)
                    continue;
                vklm_gpu_loop loop = {0};
                find_body(l, head, i, body);
                for (uint32_t j = 0; j < l->n; j++)
                    if (body[j]) {
                        loop.instructions += l->blocks[j].instructions;
                        loop.loads += l->blocks[j].loads;
                    }
                if (loop.loads >= LOADS && !has_loop_inside(l, head, body))
                    return loop;
            }
    return (vklm_gpu_loop){0};
}

vklm_gpu_loop vklm_gpu_loop_find(const char *assembly)
{
    listing l;
    l.blocks[0] = (block){0}; // what comes before the first label
    l.n = 1;
    while (*assembly) {
        const size_t length = strcspn(assembly, "\n");
        char line[256];
        snprintf(line, sizeof line, "%.*s", (int)(length < 255 ? length : 255), assembly);
        read_line(&l, line, strlen(line));
        assembly += length + (assembly[length] == '\n');
    }
    resolve(&l);
    return find(&l);
}

uint32_t vklm_gpu_matrix_instructions(const char *assembly)
{
    static const char *const names[] = {"v_wmma_", "dpas.", "hmma."};
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (const char *at = assembly; (at = strstr(at, names[i])); at += strlen(names[i]))
            n++;
    return n;
}
