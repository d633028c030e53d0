// host/shell.h: running the program as a user does.
#ifndef VKLM_TESTS_SHELL_H
#define VKLM_TESTS_SHELL_H

typedef struct {
    int status; // exit status; 128 + n after signal n
    char *out, *err;
} vklm_shell_result;

// Runs a command line with /bin/sh; "vklm" (or "vkbench", see VKLM_PROGRAM_NAME) in it is the
// program of this build. Release with finish.
vklm_shell_result vklm_shell_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
void vklm_shell_finish(vklm_shell_result *result);

// The command exits with `status` and its stderr has `says` in it (NULL: anything); the test fails
// if not.
void vklm_shell_expect(int status, const char *says, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
