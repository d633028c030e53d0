// base/status.h: how the library's own code fails and logs.
#ifndef VKLM_BASE_STATUS_H
#define VKLM_BASE_STATUS_H

#include <stdint.h>

#include <vklm/status.h>

#if defined(__GNUC__)
#define VKLM_PRINTF(string, first) __attribute__((format(printf, string, first)))
#else
#define VKLM_PRINTF(string, first)
#endif

// Stores the sentence for vklm_error_message() and returns `status`, so that a failing function can
// `return vklm_fail(...)`. Messages: lower case, name the object, wanted and got.
vklm_status vklm_fail(vklm_status status, const char *format, ...) VKLM_PRINTF(2, 3);

// Puts "prefix: " before the stored sentence and returns `status`: a caller adds the file it was
// at.
vklm_status vklm_fail_prefix(vklm_status status, const char *format, ...) VKLM_PRINTF(2, 3);

// Out of host memory while making `what`.
vklm_status vklm_fail_memory(const char *what);

void vklm_log(vklm_log_level level, const char *format, ...) VKLM_PRINTF(2, 3);

#endif
