// model/packer.h: writing VKLM_PACKED_FILE (model/packed.h).
#ifndef VKLM_MODEL_PACKER_H
#define VKLM_MODEL_PACKER_H

#include "model/weights.h"

// Carries out a plan of a checkpoint into a file, which appears complete. Its room on the disk is
// taken first. `params` as for vklm_weights_load.
vklm_status vklm_packed_write(const vklm_weights_plan *plan, const vklm_load_params *params,
                              const char *path);

#endif
