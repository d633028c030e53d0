#include "host/shell.h"

#include <criterion/criterion.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/file.h"

#ifndef VKLM_PROGRAM_NAME
#define VKLM_PROGRAM_NAME "vklm"
#endif

static char *read_and_remove(const char *path)
{
    vklm_string text = {0};
    cr_assert_eq(vklm_file_read(path, 1 << 28, &text), VKLM_OK);
    vklm_string_append(&text, "", 0);
    unlink(path);
    return text.data;
}

static vklm_shell_result run(const char *command)
{
    char out[] = "/tmp/vklm-out-XXXXXX", err[] = "/tmp/vklm-err-XXXXXX";
    int fd = mkstemp(out), fd2 = mkstemp(err);
    cr_assert(fd >= 0 && fd2 >= 0);
    close(fd), close(fd2);
    vklm_string line = {0};
    vklm_string_print(&line, VKLM_PROGRAM_NAME "() { '%s' \"$@\"; }\n{ %s\n} >%s 2>%s",
                      VKLM_PROGRAM, command, out, err);
    int status = system(line.data);
    vklm_string_finish(&line);
    vklm_shell_result r = {
        .status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
        .out = read_and_remove(out),
        .err = read_and_remove(err),
    };
    return r;
}

vklm_shell_result vklm_shell_run(const char *format, ...)
{
    char command[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return run(command);
}

void vklm_shell_finish(vklm_shell_result *result)
{
    free(result->out);
    free(result->err);
}

void vklm_shell_expect(int status, const char *says, const char *format, ...)
{
    char command[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    vklm_shell_result r = run(command);
    cr_expect_eq(r.status, status, "%s: exit %d, wanted %d\n%s", command, r.status, status, r.err);
    if (says)
        cr_expect(strstr(r.err, says), "%s: says %s", command, r.err);
    if (status == 1) { // one sentence, after "vklm: "
        char *line = strstr(r.err, VKLM_PROGRAM_NAME ": ");
        cr_expect(line && strchr(line, '\n') == r.err + strlen(r.err) - 1, "%s: not one line:\n%s",
                  command, r.err);
    }
    vklm_shell_finish(&r);
}
