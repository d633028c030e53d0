// gpu/quirks.h: what drivers say or do that must be corrected: the one table of vendors and
// drivers.
#ifndef VKLM_GPU_QUIRKS_H
#define VKLM_GPU_QUIRKS_H

#include "gpu/caps.h"

// Corrects a snapshot, unless its no_quirks is set; once more changes nothing. Each row that
// applies is in the log.
void vklm_gpu_quirks_apply(vklm_gpu_caps *caps);

#endif
