// Runs a target on files: the seed corpus in an ordinary build, or what the fuzzer found.
//
//   fuzz_TARGET FILE...
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        vklm_string file = {0};
        if (vklm_file_read(argv[i], 1 << 24, &file) != VKLM_OK) {
            fprintf(stderr, "%s\n", vklm_error_message());
            return 1;
        }
        uint8_t *exact = malloc(file.len ? file.len : 1); // so that a read past the end is noticed
        for (size_t n = 0; exact && n < file.len; n++)
            exact[n] = (uint8_t)file.data[n];
        LLVMFuzzerTestOneInput(exact, file.len);
        free(exact);
        vklm_string_finish(&file);
    }
    printf("%d files\n", argc - 1);
    return argc > 1 ? 0 : 2;
}
