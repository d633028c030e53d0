#include "text/trie.h"

#include <stdint.h>
#include <stdlib.h>

static int compare_entries(const void *pa, const void *pb)
{
    const vklm_trie_entry *a = pa, *b = pb;
    size_t shorter = a->len < b->len ? a->len : b->len;
    int order = shorter ? memcmp(a->text, b->text, shorter) : 0;
    if (order == 0)
        order = (a->len > b->len) - (a->len < b->len);
    return order ? order : (a->value > b->value) - (a->value < b->value);
}

// A sorted string adds one node for each byte that it does not share with the one before it.
static size_t count_nodes(const vklm_trie_entry *entries, size_t n)
{
    size_t n_nodes = 1;
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        while (i > 0 && same < entries[i].len && same < entries[i - 1].len &&
               entries[i].text[same] == entries[i - 1].text[same])
            same++;
        n_nodes += entries[i].len - same;
    }
    return n_nodes;
}

// Breadth first: the entries that share the path to a node are the neighbours span[node]. Those
// that end there come first; the rest falls apart by its next byte, one child each.
static void add_nodes(vklm_trie *trie, const vklm_trie_entry *entries, uint32_t (*span)[2])
{
    uint32_t n_nodes = 1, level_end = 1;
    size_t depth = 0;
    for (uint32_t node = 0; node < n_nodes; node++) {
        if (node == level_end) {
            depth++;
            level_end = n_nodes;
        }
        uint32_t low = span[node][0], high = span[node][1];
        trie->first_child[node] = n_nodes;
        trie->value[node] =
            depth > 0 && entries[low].len == depth ? entries[low].value : VKLM_TRIE_NONE;
        while (low < high && entries[low].len == depth)
            low++;
        while (low < high) {
            uint32_t end = low;
            while (end < high && entries[end].text[depth] == entries[low].text[depth])
                end++;
            trie->label[n_nodes] = (unsigned char)entries[low].text[depth];
            span[n_nodes][0] = low;
            span[n_nodes][1] = end;
            n_nodes++;
            low = end;
        }
    }
    trie->first_child[n_nodes] = n_nodes;
    trie->n_nodes = n_nodes;
}

vklm_status vklm_trie_init(vklm_trie *trie, vklm_trie_entry *entries, size_t n)
{
    *trie = (vklm_trie){0};
    if (n > 0)
        qsort(entries, n, sizeof *entries, compare_entries);
    size_t n_nodes = count_nodes(entries, n);
    if (n >= UINT32_MAX || n_nodes >= UINT32_MAX)
        return vklm_fail(VKLM_UNSUPPORTED, "%zu strings are too many for one vocabulary", n);
    uint32_t(*span)[2] = vklm_alloc(n_nodes, sizeof *span);
    trie->label = vklm_alloc(n_nodes, sizeof *trie->label);
    trie->first_child = vklm_alloc(n_nodes + 1, sizeof *trie->first_child);
    trie->value = vklm_alloc(n_nodes, sizeof *trie->value);
    vklm_status status = VKLM_OK;
    if (span && trie->label && trie->first_child && trie->value) {
        span[0][1] = (uint32_t)n;
        add_nodes(trie, entries, span);
    } else {
        status = vklm_fail_memory("the vocabulary");
    }
    free(span);
    return status;
}

void vklm_trie_finish(vklm_trie *trie)
{
    free(trie->label);
    free(trie->first_child);
    free(trie->value);
    *trie = (vklm_trie){0};
}

uint32_t vklm_trie_find(const vklm_trie *trie, const char *text, size_t len)
{
    uint32_t node = 0;
    for (size_t i = 0; i < len; i++) {
        node = vklm_trie_step(trie, node, text[i]);
        if (node == 0)
            return VKLM_TRIE_NONE;
    }
    return trie->value[node];
}

uint32_t vklm_trie_find_longest(const vklm_trie *trie, const char *text, size_t len,
                                size_t *out_len)
{
    uint32_t value = VKLM_TRIE_NONE, node = 0;
    *out_len = 0;
    for (size_t i = 0; i < len && (node = vklm_trie_step(trie, node, text[i])) != 0; i++) {
        if (trie->value[node] != VKLM_TRIE_NONE) {
            value = trie->value[node];
            *out_len = i + 1;
        }
    }
    return value;
}
