// kernels/sample.h: what the cases of sampling and the test of its distribution share.
#ifndef VKLM_TESTS_SAMPLE_H
#define VKLM_TESTS_SAMPLE_H

#include "args.h"
#include "text/sampler.h"

// Settings as the kernel reads them.
typedef struct {
    struct vklm_args_sampling sampling;
    struct vklm_args_bias biases[VKLM_SAMPLE_MOST_BIAS];
} vklm_case_settings;
vklm_case_settings vklm_case_sampling(const vklm_sampling_params *params);

#endif
