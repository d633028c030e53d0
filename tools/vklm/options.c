#include "vklm/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int vklm_options_failed(void)
{
    fprintf(stderr, "vklm: %s\n", vklm_error_message());
    return 1;
}

int vklm_options_misused(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "vklm %s: ", command);
    vfprintf(stderr, format, args);
    fprintf(stderr, "; see vklm %s --help\n", command);
    va_end(args);
    return 2;
}

bool vklm_options_whole(const char *command, const char *option, const char *text, uint64_t low,
                        uint64_t high, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (isdigit((unsigned char)*text) && !*end && !errno && value >= low && value <= high) {
        *out = value;
        return true;
    }
    vklm_options_misused(command, "%s takes a whole number from %llu to %llu, not '%s'", option,
                         (unsigned long long)low, (unsigned long long)high, text);
    return false;
}

bool vklm_options_bytes(const char *command, const char *option, const char *text, uint64_t *out)
{
    static const char units[] = "KMG";
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    bool good = isdigit((unsigned char)*text) && !errno && value > 0 && (unit ? !end[1] : !*end) &&
                value <= UINT64_MAX >> shift;
    if (good)
        *out = (uint64_t)value << shift;
    else
        vklm_options_misused(command, "%s takes a number of bytes, like 6442450944 or 6G, not '%s'",
                             option, text);
    return good;
}

bool vklm_options_weights(const char *command, const char *text, vklm_weights_kind *out)
{
    if (vklm_weights_kind_find(text, out) == VKLM_OK)
        return true;
    vklm_options_misused(command, "--weights: %s", vklm_error_message());
    return false;
}

bool vklm_options_real(const char *command, const char *option, const char *text, double low,
                       double high, float *out)
{
    char *end;
    double value = strtod(text, &end);
    if (*text && !*end && value >= low && value <= high) {
        *out = (float)value;
        return true;
    }
    vklm_options_misused(command, "%s takes a number from %g to %g, not '%s'", option, low, high,
                         text);
    return false;
}

bool vklm_options_ids(const char *command, const char *text, uint32_t **out_ids, size_t *out_n)
{
    uint32_t *ids = NULL;
    size_t n = 0, capacity = 0;
    while (*text) {
        char *end;
        if (isspace((unsigned char)*text) || *text == ',') {
            text++;
            continue;
        }
        errno = 0;
        unsigned long long id = strtoull(text, &end, 10);
        bool number = isdigit((unsigned char)*text) && !errno && id <= UINT32_MAX &&
                      (!*end || *end == ',' || isspace((unsigned char)*end));
        if (!number || !vklm_array_grow(&ids, &capacity, n + 1, sizeof *ids)) {
            if (number)
                fprintf(stderr, "vklm: out of memory for the ids\n");
            else
                vklm_options_misused(command, "'%.20s' does not begin with a token id", text);
            free(ids);
            return false;
        }
        ids[n++] = (uint32_t)id;
        text = end;
    }
    *out_ids = ids;
    *out_n = n;
    return true;
}

bool vklm_options_read_stdin(vklm_string *out)
{
    char chunk[65536];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, stdin)) > 0)
        vklm_string_append(out, chunk, n);
    if (!ferror(stdin) && !out->failed)
        return true;
    fprintf(stderr, "vklm: cannot read standard input: %s\n",
            out->failed ? "out of memory" : strerror(errno));
    return false;
}
