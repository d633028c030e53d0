// vklm/status.h: how calls fail, and how the library speaks.
//
// Every fallible function returns a vklm_status; zero is success. After a failure
// vklm_error_message() gives one sentence for the user: what object, what was wanted, what was
// found. The library never prints, exits, aborts on input or reads the environment.
#ifndef VKLM_STATUS_H
#define VKLM_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vklm_status {
    VKLM_OK = 0,
    VKLM_INVALID_ARGUMENT,     // the caller's fault: a value out of its range
    VKLM_NOT_FOUND,            // a file, folder, device or name that is not there
    VKLM_IO_ERROR,             // the operating system refused a read or a write
    VKLM_BAD_FILE,             // a file is damaged or contradicts another one
    VKLM_UNSUPPORTED,          // valid, but not something this build or this device can do
    VKLM_NO_DEVICE,            // no Vulkan loader, or no usable device
    VKLM_OUT_OF_MEMORY,        // host memory
    VKLM_OUT_OF_DEVICE_MEMORY, // device memory; the message carries the numbers
    VKLM_DEVICE_LOST,          // the device went away; reopen the engine to go on
    VKLM_CONTEXT_FULL,         // the session has no room for that many tokens
    VKLM_CANCELLED,            // a progress callback asked to stop
} vklm_status;

// The sentence of the last failure on the calling thread; "" before the first. Valid until the next
// failing call on that thread. Lower case, no full stop, no newline.
const char *vklm_error_message(void);

// A short name of a status, such as "bad file". Never NULL.
const char *vklm_status_name(vklm_status status);

typedef enum vklm_log_level {
    VKLM_LOG_ERROR = 0, // something is wrong and a call has failed or will fail
    VKLM_LOG_WARNING,   // works, but the user should know (a CPU device, say)
    VKLM_LOG_INFO,      // one line per event of interest (which device was chosen)
    VKLM_LOG_DEBUG,     // for whoever works on vklm
} vklm_log_level;

// Receives one line without newline. May be called from any thread that calls the library.
typedef void (*vklm_log_function)(void *opaque, vklm_log_level level, const char *message);

// Sets where log lines go, for the whole process; NULL (the default) drops them. Not thread-safe:
// set it once, before anything else.
void vklm_log_set(vklm_log_function function, void *opaque, vklm_log_level most_verbose);

// The version of the library, "MAJOR.MINOR.PATCH".
const char *vklm_version(void);

#ifdef __cplusplus
}
#endif

#endif
