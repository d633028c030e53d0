#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 1024 };

static _Thread_local char error_message[MESSAGE_BYTES];

static struct {
    vklm_log_function function;
    void *opaque;
    vklm_log_level most_verbose;
} logger;

const char *vklm_error_message(void)
{
    return error_message;
}

const char *vklm_status_name(vklm_status status)
{
    static const char *const names[] = {
        [VKLM_OK] = "ok",
        [VKLM_INVALID_ARGUMENT] = "invalid argument",
        [VKLM_NOT_FOUND] = "not found",
        [VKLM_IO_ERROR] = "input/output error",
        [VKLM_BAD_FILE] = "bad file",
        [VKLM_UNSUPPORTED] = "unsupported",
        [VKLM_NO_DEVICE] = "no device",
        [VKLM_OUT_OF_MEMORY] = "out of memory",
        [VKLM_OUT_OF_DEVICE_MEMORY] = "out of device memory",
        [VKLM_DEVICE_LOST] = "device lost",
        [VKLM_CONTEXT_FULL] = "context full",
        [VKLM_CANCELLED] = "cancelled",
    };
    const size_t n_names = sizeof names / sizeof *names;
    return (size_t)status < n_names && names[status] ? names[status] : "unknown status";
}

vklm_status vklm_fail(vklm_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error_message, sizeof error_message, format, args);
    va_end(args);
    return status;
}

vklm_status vklm_fail_prefix(vklm_status status, const char *format, ...)
{
    char rest[MESSAGE_BYTES];
    memcpy(rest, error_message, sizeof rest);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(error_message, sizeof error_message, format, args);
    va_end(args);
    if (n >= 0 && n < MESSAGE_BYTES - 2)
        snprintf(error_message + n, sizeof error_message - (size_t)n, ": %.*s",
                 MESSAGE_BYTES - 3 - n, rest);
    return status;
}

vklm_status vklm_fail_memory(const char *what)
{
    return vklm_fail(VKLM_OUT_OF_MEMORY, "out of memory for %s", what);
}

void vklm_log_set(vklm_log_function function, void *opaque, vklm_log_level most_verbose)
{
    logger.function = function;
    logger.opaque = opaque;
    logger.most_verbose = most_verbose;
}

void vklm_log(vklm_log_level level, const char *format, ...)
{
    if (!logger.function || level > logger.most_verbose)
        return;
    char line[2 * MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    logger.function(logger.opaque, level, line);
}

const char *vklm_version(void)
{
    return VKLM_VERSION;
}
