// text/sampler.h: from logits to the next token, on the host, with Hugging Face `generate`
// semantics (transformers, generation/logits_process.py). The reference of the GPU sampler.
#ifndef VKLM_TEXT_SAMPLER_H
#define VKLM_TEXT_SAMPLER_H

#include <vklm/text.h>

typedef struct vklm_sampler vklm_sampler;

// Invariants: params are checked and their defaults filled in; scratch space for n_vocab logits is
// held, so that sampling allocates nothing.
vklm_status vklm_sampler_create(const vklm_sampling_params *params, uint32_t n_vocab,
                                vklm_sampler **out_sampler);
void vklm_sampler_destroy(vklm_sampler *sampler); // takes NULL

// The seed in use (the one that was picked when params.seed was 0).
uint64_t vklm_sampler_seed(const vklm_sampler *sampler);

// Tells what the penalties cover: each id of the prompt, then each generated one. Ids >= n_vocab
// are ignored. An id that vklm_sampler_sample has just given counts as generated; any other begins
// a new text, for which nothing was generated yet.
void vklm_sampler_accept(vklm_sampler *sampler, uint32_t id);

// Forgets all accepted tokens (not the seed or the draw counter).
void vklm_sampler_reset(vklm_sampler *sampler);

// Draws the next id from logits [n_vocab] (not modified). The n-th call of a sampler uses counter n
// of the seed's random numbers. VKLM_BAD_FILE when a logit is NaN or all are -inf: the sentence
// names the first bad one.
vklm_status vklm_sampler_sample(vklm_sampler *sampler, const float *logits, uint32_t *out_id);

// For a sampler that runs elsewhere and keeps this one in step: the parameters with their defaults
// filled in; how often each id was generated, with VKLM_SAMPLER_SEEN where it occurred at all
// (out_counts [n_vocab]); how many draws there were; and that one more gave `id`.
#define VKLM_SAMPLER_SEEN 0x80000000u
const vklm_sampling_params *vklm_sampler_params(const vklm_sampler *sampler);
void vklm_sampler_counts(const vklm_sampler *sampler, uint32_t *out_counts);
uint64_t vklm_sampler_draws(const vklm_sampler *sampler);
void vklm_sampler_drew(vklm_sampler *sampler, uint32_t id);

// The distribution that vklm_sampler_sample draws from: out_probs [n_vocab], zero where removed.
vklm_status vklm_sampler_distribution(vklm_sampler *sampler, const float *logits, float *out_probs);

#endif
