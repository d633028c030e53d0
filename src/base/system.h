// base/system.h: the machine.
#ifndef VKLM_BASE_SYSTEM_H
#define VKLM_BASE_SYSTEM_H

#include <stdint.h>

// Bytes of physical memory, and of those that a program could still take.
void vklm_system_memory(uint64_t *out_total, uint64_t *out_available);

#endif
