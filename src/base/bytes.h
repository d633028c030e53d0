// base/bytes.h: sizes for people.
#ifndef VKLM_BASE_BYTES_H
#define VKLM_BASE_BYTES_H

#include <stdint.h>

enum { VKLM_BYTES_TEXT = 24 };

// "3.70 GiB", "12.31 MiB", "0.50 KiB": written into `out`, which it returns.
const char *vklm_bytes_text(uint64_t bytes, char out[VKLM_BYTES_TEXT]);

#endif
