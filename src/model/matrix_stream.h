// model/matrix_stream.h: one planned matrix, from the checkpoint's tensors to its device format,
// piece by piece: packed on the way where its format asks for it. Device memory and files are
// filled alike.
#ifndef VKLM_MODEL_MATRIX_STREAM_H
#define VKLM_MODEL_MATRIX_STREAM_H

#include "base/workers.h"
#include "model/weights_plan.h"

// Bytes [from, from + bytes) of a piece are bytes [to, to + bytes) of the matrix.
typedef struct {
    uint64_t from, to, bytes;
} vklm_piece_part;

// Where the matrix goes: begin gives memory for piece_bytes; end sends what is in it.
typedef struct {
    uint64_t piece_bytes;
    vklm_status (*begin)(void *opaque, unsigned char **out_memory);
    vklm_status (*end)(void *opaque, const vklm_piece_part *parts, uint32_t n_parts);
    // Called after each piece with the bytes of the checkpoint in it.
    vklm_status (*report)(void *opaque, uint64_t source_bytes);
    void *opaque;
} vklm_matrix_sink;

// `importance` and `workers` may be NULL. A weight that is not finite, or that the format cannot
// hold, is named (VKLM_BAD_FILE).
vklm_status vklm_matrix_stream(const vklm_planned_matrix *matrix, const vklm_checkpoint *checkpoint,
                               const vklm_importance *importance, vklm_workers *workers,
                               const vklm_matrix_sink *sink);

// A vector's values as f32, checked to be finite.
vklm_status vklm_vector_unpack(const vklm_planned_vector *vector, const vklm_checkpoint *checkpoint,
                               float *out);

#endif
