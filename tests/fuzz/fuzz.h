// fuzz/fuzz.h: one target for each kind of file that comes from strangers. A target must take any
// bytes without a crash, a leak or a hang; it may refuse them.
#ifndef VKLM_TESTS_FUZZ_H
#define VKLM_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); // libFuzzer's name; always 0

#endif
