// vkbench/report.h: the report as text, Markdown, CSV and JSON, and the comparison of two.
#ifndef VKLM_BENCH_REPORT_H
#define VKLM_BENCH_REPORT_H

#include <stdio.h>

#include "vkbench/bench.h"

// What has values to compare: a section, where its value lies, and which way is better.
typedef struct {
    const char *section, *value, *unit;
    bool higher_is_better;
} vklm_bench_quantity;
const vklm_bench_quantity *vklm_bench_quantities(size_t *out_n);

// A member by its path, "us.median"; NULL when there is none.
const cJSON *vklm_bench_member(const cJSON *row, const char *path);

// The head of a report: device, driver, label, warnings come at the end.
void vklm_bench_print_head(FILE *to, const cJSON *report, vklm_bench_output output);

// A section as an aligned table, Markdown, or CSV; nothing when the report lacks it.
void vklm_bench_print_section(FILE *to, const cJSON *report, const char *section,
                              vklm_bench_output output);

// All sections.
void vklm_bench_print(FILE *to, const cJSON *report, vklm_bench_output output);

// Warnings, and one line to share.
void vklm_bench_print_tail(FILE *to, const cJSON *report, vklm_bench_output output);

// Judges `now` by `old`: a line for each number that both have, in the output's manner. *out_worse
// counts those that are worse beyond the noise of both. Fails, naming both, when they are of other
// formats or devices.
vklm_status vklm_bench_compare(FILE *to, const cJSON *old, const char *old_name, const cJSON *now,
                               vklm_bench_output output, unsigned *out_worse);

// Reads a report; says what is wrong with it.
vklm_status vklm_bench_load(const char *path, cJSON **out_report);

// Draws the roofline with the kernels, and bandwidth against the size of the working set.
vklm_status vklm_bench_draw(const cJSON *report, const char *path);

#endif
