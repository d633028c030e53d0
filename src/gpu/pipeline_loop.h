// gpu/pipeline_loop.h: the loop that a kernel spends its time in, found in a driver's assembly
// text. No Vulkan here, so that it can be tested on text alone.
#ifndef VKLM_GPU_PIPELINE_LOOP_H
#define VKLM_GPU_PIPELINE_LOOP_H

#include <stdint.h>

typedef struct {
    uint32_t instructions; // 0: no such loop was found
    uint32_t loads;        // of those, from buffers in memory
} vklm_gpu_loop;

// The first loop with no other loop inside that loads from memory at least four times, in the
// assembly of RADV ("Assembly"), ANV ("GEN Assembly") or NVK ("NAK assembly"): in a decode product
// the one over the weights. Every instruction of its blocks counts, also what only some lanes take.
vklm_gpu_loop vklm_gpu_loop_find(const char *assembly);

// Instructions of matrix units: v_wmma (AMD), dpas (Intel), hmma (NVIDIA).
uint32_t vklm_gpu_matrix_instructions(const char *assembly);

#endif
