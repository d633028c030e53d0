// text/unigram.h: the most likely segmentation of a text into pieces of a Unigram vocabulary (Kudo,
// "Subword Regularization", 2018), to the bit as huggingface/tokenizers does it
// (models/unigram/model.rs: encode_optimized, tokenize).
#ifndef VKLM_TEXT_UNIGRAM_H
#define VKLM_TEXT_UNIGRAM_H

#include "text/ids.h"
#include "text/trie.h"

typedef struct {
    vklm_trie trie;   // all pieces, the special ones and "<0x0A>" too
    double *score;    // [n_pieces] log probabilities
    double unk_score; // of one character that no piece covers
    uint32_t unk_id;
    bool byte_fallback;    // spell unknown characters with byte pieces
    uint32_t byte_id[256]; // of "<0x00>" to "<0xFF>", VKLM_TRIE_NONE where there is none
} vklm_unigram;

// Takes `score` [n_pieces] over, also on failure. `entries` [n_pieces] are the pieces with their
// ids as values; sorted in place.
vklm_status vklm_unigram_init(vklm_unigram *unigram, vklm_trie_entry *entries, double *score,
                              size_t n_pieces, uint32_t unk_id, bool byte_fallback);
void vklm_unigram_finish(vklm_unigram *unigram);

// Scratch space that successive calls of vklm_unigram_encode share. All-zero is empty.
typedef struct {
    struct vklm_lattice_node *nodes;
    size_t capacity;
} vklm_lattice;
void vklm_lattice_finish(vklm_lattice *lattice);

// Appends the ids of text[0..len), valid UTF-8, to `ids`, without those that are `barred`
// [n_pieces] (NULL: none). Time and space are linear in len.
vklm_status vklm_unigram_encode(const vklm_unigram *unigram, vklm_lattice *lattice,
                                const bool *barred, const char *text, size_t len, vklm_ids *ids);

#endif
