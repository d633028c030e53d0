// text/trie.h: a set of byte strings to be matched from the front, built once.
//
// Nodes are numbered in breadth-first order, so the children of a node are neighbours: no pointers,
// and 9 bytes a node. Node 0 is the root.
#ifndef VKLM_TEXT_TRIE_H
#define VKLM_TEXT_TRIE_H

#include <string.h>

#include "base/array.h"

#define VKLM_TRIE_NONE UINT32_MAX

typedef struct {
    uint32_t n_nodes;
    unsigned char *label;  // [n_nodes] the byte that leads to the node; those of siblings ascend
    uint32_t *first_child; // [n_nodes + 1] children of i: first_child[i] up to first_child[i + 1]
    uint32_t *value;       // [n_nodes] of the string that ends here, or VKLM_TRIE_NONE
} vklm_trie;

typedef struct {
    const char *text;
    size_t len;
    uint32_t value;
} vklm_trie_entry;

// Builds the trie of n entries, which are sorted in place by text, then value. Of equal texts the
// lowest value counts; empty ones are left out. Finish a trie whose init failed, too.
vklm_status vklm_trie_init(vklm_trie *trie, vklm_trie_entry *entries, size_t n);
void vklm_trie_finish(vklm_trie *trie);

// The child of `node` along `byte`; 0 when there is none.
static inline uint32_t vklm_trie_step(const vklm_trie *trie, uint32_t node, char byte)
{
    uint32_t first = trie->first_child[node];
    const unsigned char *labels = trie->label + first;
    const unsigned char *found =
        memchr(labels, (unsigned char)byte, trie->first_child[node + 1] - first);
    return found ? first + (uint32_t)(found - labels) : 0;
}

// The value of exactly text[0..len).
uint32_t vklm_trie_find(const vklm_trie *trie, const char *text, size_t len);

// The value of the longest string that text[0..len) begins with, and its bytes.
uint32_t vklm_trie_find_longest(const vklm_trie *trie, const char *text, size_t len,
                                size_t *out_len);

#endif
