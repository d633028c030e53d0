#include "text/unigram.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

#define NOT_REACHED UINT32_MAX

// The best way to write text[0..here): its last piece is `id` and begins at `start`.
struct vklm_lattice_node {
    double score;
    uint32_t start, id;
};

// What a character that no piece covers costs more than the worst piece.
static const double UNK_PENALTY = 10.0;

vklm_status vklm_unigram_init(vklm_unigram *unigram, vklm_trie_entry *entries, double *score,
                              size_t n_pieces, uint32_t unk_id, bool byte_fallback)
{
    *unigram = (vklm_unigram){.score = score, .unk_id = unk_id, .byte_fallback = byte_fallback};
    double min_score = n_pieces ? score[0] : 0;
    for (size_t i = 1; i < n_pieces; i++)
        min_score = score[i] < min_score ? score[i] : min_score;
    unigram->unk_score = min_score - UNK_PENALTY;
    vklm_status status = vklm_trie_init(&unigram->trie, entries, n_pieces);
    for (unsigned byte = 0; status == VKLM_OK && byte < 256; byte++) {
        char piece[8];
        int len = snprintf(piece, sizeof piece, "<0x%02X>", byte);
        unigram->byte_id[byte] = vklm_trie_find(&unigram->trie, piece, (size_t)len);
    }
    return status;
}

void vklm_unigram_finish(vklm_unigram *unigram)
{
    vklm_trie_finish(&unigram->trie);
    free(unigram->score);
    *unigram = (vklm_unigram){0};
}

void vklm_lattice_finish(vklm_lattice *lattice)
{
    free(lattice->nodes);
    *lattice = (vklm_lattice){0};
}

// Only a strictly better score replaces a node. Starts come in ascending order, so on a tie the
// longest last piece stays: runs of more than 16 spaces depend on it.
static void offer(struct vklm_lattice_node *node, double score, uint32_t start, uint32_t id)
{
    if (node->start == NOT_REACHED || score > node->score)
        *node = (struct vklm_lattice_node){score, start, id};
}

// Viterbi over the byte offsets of text: nodes [len + 1]. Every character boundary is reached.
static void find_best(const vklm_unigram *unigram, struct vklm_lattice_node *nodes,
                      const bool *barred, const char *text, uint32_t len)
{
    const vklm_trie *trie = &unigram->trie;
    for (uint32_t i = 0; i <= len; i++)
        nodes[i] = (struct vklm_lattice_node){0, NOT_REACHED, 0};
    uint32_t char_len;
    for (uint32_t start = 0; start < len; start += char_len) {
        char_len = (uint32_t)vklm_utf8_length(text + start, len - start);
        const double so_far = nodes[start].score;
        bool covered = false; // by a piece of exactly this character
        uint32_t trie_node = 0;
        for (uint32_t end = start; end < len;) {
            trie_node = vklm_trie_step(trie, trie_node, text[end++]);
            if (trie_node == 0)
                break;
            uint32_t id = trie->value[trie_node];
            if (id == VKLM_TRIE_NONE || (barred && barred[id]))
                continue;
            offer(&nodes[end], unigram->score[id] + so_far, start, id);
            covered |= end - start == char_len;
        }
        if (!covered)
            offer(&nodes[start + char_len], unigram->unk_score + so_far, start, unigram->unk_id);
    }
}

// Turns the chain of starts that leads back from the end into one of ends that leads forward, in
// place: afterwards `start` of a node is the next node's offset. Returns the first.
static uint32_t reverse_path(struct vklm_lattice_node *nodes, uint32_t len)
{
    uint32_t next = NOT_REACHED, here = len;
    while (here > 0) {
        uint32_t start = nodes[here].start;
        nodes[here].start = next;
        next = here;
        here = start;
    }
    return next;
}

// A stretch of unknown characters, as one string: its id, should it be a piece after all, else its
// bytes, else the unknown piece.
static void push_unknown(const vklm_unigram *unigram, const bool *barred, const char *text,
                         size_t len, vklm_ids *ids)
{
    uint32_t id = vklm_trie_find(&unigram->trie, text, len);
    if (id != VKLM_TRIE_NONE && barred && barred[id])
        id = VKLM_TRIE_NONE;
    bool as_bytes = id == VKLM_TRIE_NONE && unigram->byte_fallback;
    for (size_t i = 0; as_bytes && i < len; i++)
        as_bytes = unigram->byte_id[(unsigned char)text[i]] != VKLM_TRIE_NONE;
    for (size_t i = 0; as_bytes && i < len; i++)
        vklm_ids_push(ids, unigram->byte_id[(unsigned char)text[i]]);
    if (!as_bytes)
        vklm_ids_push(ids, id != VKLM_TRIE_NONE ? id : unigram->unk_id);
}

static void push_path(const vklm_unigram *unigram, const struct vklm_lattice_node *nodes,
                      const bool *barred, uint32_t first, const char *text, vklm_ids *ids)
{
    uint32_t start = 0;
    for (uint32_t end = first; end != NOT_REACHED; end = nodes[end].start) {
        uint32_t next = nodes[end].start;
        if (nodes[end].id != unigram->unk_id) {
            vklm_ids_push(ids, nodes[end].id);
            start = end;
        } else if (next == NOT_REACHED || nodes[next].id != unigram->unk_id) {
            push_unknown(unigram, barred, text + start, end - start, ids);
            start = end;
        } // else the next one is unknown too: one stretch
    }
}

vklm_status vklm_unigram_encode(const vklm_unigram *unigram, vklm_lattice *lattice,
                                const bool *barred, const char *text, size_t len, vklm_ids *ids)
{
    if (len == 0)
        return VKLM_OK;
    if (len >= NOT_REACHED)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "a text of %zu bytes is too long to encode", len);
    if (!vklm_array_grow(&lattice->nodes, &lattice->capacity, len + 1, sizeof *lattice->nodes))
        return vklm_fail_memory("a text's segmentation");
    find_best(unigram, lattice->nodes, barred, text, (uint32_t)len);
    uint32_t first = reverse_path(lattice->nodes, (uint32_t)len);
    push_path(unigram, lattice->nodes, barred, first, text, ids);
    return ids->failed ? vklm_fail_memory("token ids") : VKLM_OK;
}
