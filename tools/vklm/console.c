#include "vklm/console.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void print_log(void *opaque, vklm_log_level level, const char *message)
{
    (void)opaque;
    fprintf(stderr, "%s%s\n",
            level == VKLM_LOG_ERROR     ? "error: "
            : level == VKLM_LOG_WARNING ? "warning: "
                                        : "",
            message);
}

void vklm_console_open(vklm_log_level most_verbose)
{
    vklm_log_set(print_log, NULL, most_verbose);
}

// Rewrites one line on a terminal; erases it when done.
static bool show(const char *what, uint64_t done, uint64_t total, const char *unit, uint64_t scale)
{
    static uint64_t last = UINT64_MAX;
    uint64_t percent = total ? done * 100 / total : 100;
    if (isatty(STDERR_FILENO) && percent != last) {
        fprintf(stderr, "\r%s %llu of %llu %s (%llu %%)", what, (unsigned long long)(done / scale),
                (unsigned long long)(total / scale), unit, (unsigned long long)percent);
        if (done >= total)
            fprintf(stderr, "\r\033[K");
        fflush(stderr);
        last = done >= total ? UINT64_MAX : percent;
    }
    return !vklm_console_interrupted();
}

bool vklm_console_load_progress(void *opaque, uint64_t done, uint64_t total)
{
    (void)opaque;
    return show("loading", done, total, "MiB", 1 << 20);
}

bool vklm_console_write_progress(void *opaque, uint64_t done, uint64_t total)
{
    (void)opaque;
    return show("writing", done, total, "MiB", 1 << 20);
}

bool vklm_console_prompt_progress(void *opaque, uint32_t done, uint32_t total)
{
    (void)opaque;
    // Short prompts are over before the line could be read.
    return total < 256 ? !vklm_console_interrupted() : show("prompt", done, total, "tokens", 1);
}

static void on_interrupt(int signal_number)
{
    interrupted = 1;
    signal(signal_number, SIG_DFL);
}

static void on_every_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void vklm_console_catch_interrupt(void)
{
    interrupted = 0;
    signal(SIGINT, on_interrupt);
}

void vklm_console_catch_every_interrupt(void)
{
    interrupted = 0;
    signal(SIGINT, on_every_interrupt);
}

void vklm_console_release_interrupt(void)
{
    signal(SIGINT, SIG_DFL);
}

bool vklm_console_interrupted(void)
{
    return interrupted;
}

const char *vklm_console_cache_folder(void)
{
    static char folder[4096];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (cache && *cache)
        n = snprintf(folder, sizeof folder, "%s/vklm", cache);
    else if (home && *home)
        n = snprintf(folder, sizeof folder, "%s/.cache/vklm", home);
    return n > 0 && (size_t)n < sizeof folder ? folder : NULL;
}
