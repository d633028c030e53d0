// vkbench/options.h: the command line.
#ifndef VKLM_BENCH_OPTIONS_H
#define VKLM_BENCH_OPTIONS_H

#include "vkbench/bench.h"

// Fills in the defaults and reads argv (argv[0] is the command). Returns the number of arguments
// that are no options, which stand at argv[*out_first]; -1 after saying on stderr what is wrong.
int vklm_bench_options_read(int argc, char **argv, vklm_bench_options *out_options, int *out_first,
                            bool *out_help);

// The options' part of the help.
extern const char vklm_bench_options_help[];

#endif
