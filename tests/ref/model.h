// ref/model.h: a whole model in double precision, straight from the bytes of a checkpoint or of a
// packed model.
#ifndef VKLM_REF_MODEL_H
#define VKLM_REF_MODEL_H

#include "model/source.h"

// Computes n_ids tokens from position 0. hidden [n_layers + 1, n_ids, n_hidden]: the residual
// stream after the embedding and after each layer; logits [n_ids, n_vocab]. `round_kv`: keys and
// values are rounded to f16 as in the engine's cache. False when memory is short.
bool vklm_ref_forward(const vklm_source *source, const uint32_t *ids, size_t n_ids, bool round_kv,
                      double *hidden, double *logits);

#endif
