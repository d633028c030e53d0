// vkbench without a device: usage, and the verdict on reports that were written by hand.
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/shell.h"

Test(bench, help_and_version)
{
    vklm_shell_result r = vklm_shell_run("vkbench --help");
    cr_expect(r.status == 0 && strstr(r.out, "usage: vkbench") && strstr(r.out, "--compare"), "%s",
              r.out);
    vklm_shell_finish(&r);
    r = vklm_shell_run("vkbench --version");
    cr_expect(r.status == 0 && strncmp(r.out, "vkbench ", 8) == 0);
    vklm_shell_finish(&r);
}

Test(bench, wrong_usage_exits_with_2)
{
    vklm_shell_expect(2, "no command 'frobnicate'", "vkbench frobnicate");
    vklm_shell_expect(2, NULL, "vkbench mem --no-such-option");
    vklm_shell_expect(2, "mem takes no arguments", "vkbench mem 3");
    vklm_shell_expect(2, "compare takes two reports", "vkbench compare one");
    vklm_shell_expect(2, "--seconds takes", "vkbench mem --seconds 0");
    vklm_shell_expect(2, "--tiers takes", "vkbench mem --tiers fast");
    vklm_shell_expect(2, "no weight format 'q99'; there are f32", "vkbench ops --formats bf16,q99");
    vklm_shell_expect(2, "no weight format 'mixed'", "vkbench ops --formats mixed");
    vklm_shell_expect(2, "no weight format 'q5'", "vkbench model --weights mixed,q5");
    vklm_shell_expect(2, "no model '2b'", "vkbench ops --models 2b");
    vklm_shell_expect(2, "-d takes a whole number", "vkbench model -d 0,deep");
    vklm_shell_expect(2, "-p takes a whole number", "vkbench model -p -1");
    vklm_shell_expect(2, "--kv takes", "vkbench model --kv f64");
}

Test(bench, no_vulkan_is_a_sentence)
{
    vklm_shell_expect(1, "no Vulkan",
                      "VK_DRIVER_FILES=/nowhere VK_ICD_FILENAMES=/nowhere vkbench info");
}

// A report of one kernel and one model, in a temporary file.
static char *write_report(const char *device, double format, double us, double us_spread,
                          double rate)
{
    char *path = strdup("/tmp/vklm-report-XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    FILE *file = fdopen(fd, "w");
    fprintf(file,
            "{\"format\": %g, \"vkbench\": \"0.1.0\", \"device\": \"%s\","
            "\"ops\": [{\"name\": \"matvec bf16 2048x2048\", \"tier\": \"base\", \"us\": "
            "{\"median\": %g, \"p5\": %g, \"p95\": %g, \"n\": 30}}],"
            "\"results\": [{\"name\": \"m tg128 at 0\", \"tokens_per_second\": "
            "{\"median\": %g, \"p5\": %g, \"p95\": %g, \"n\": 30}}]}\n",
            format, device, us, us * (1 - us_spread), us * (1 + us_spread), rate, rate * 0.99,
            rate * 1.01);
    fclose(file);
    return path;
}

static void expect_verdict(int status, const char *says, char *old, char *now)
{
    vklm_shell_result r = vklm_shell_run("vkbench compare %s %s", old, now);
    cr_expect_eq(r.status, status, "exit %d, wanted %d: %s%s", r.status, status, r.out, r.err);
    cr_expect(strstr(r.out, says), "wanted '%s': %s", says, r.out);
    vklm_shell_finish(&r);
    unlink(old), unlink(now);
    free(old), free(now);
}

Test(bench, compare_takes_the_noise_into_account)
{
    // the same
    expect_verdict(0, "0 of 2 are worse", write_report("D", 1, 100, 0.01, 50),
                   write_report("D", 1, 100, 0.01, 50));
    // 10 % slower with little noise, and with much
    expect_verdict(1, "1 of 2 are worse", write_report("D", 1, 100, 0.01, 50),
                   write_report("D", 1, 110, 0.01, 50));
    expect_verdict(0, "0 of 2 are worse", write_report("D", 1, 100, 0.2, 50),
                   write_report("D", 1, 110, 0.01, 50));
    // a rate that falls is worse, one that rises is better; a time the other way round
    expect_verdict(1, "WORSE", write_report("D", 1, 100, 0.01, 50),
                   write_report("D", 1, 100, 0.01, 40));
    expect_verdict(0, "better", write_report("D", 1, 100, 0.01, 50),
                   write_report("D", 1, 100, 0.01, 60));
    expect_verdict(0, "better", write_report("D", 1, 100, 0.01, 50),
                   write_report("D", 1, 80, 0.01, 50));
    // steady numbers that moved by 2 %
    expect_verdict(0, "0 of 2 are worse", write_report("D", 1, 100, 0, 50),
                   write_report("D", 1, 102, 0, 50));
}

Test(bench, compare_refuses_what_cannot_be_compared)
{
    char *a = write_report("Card A", 1, 100, 0, 50), *b = write_report("Card B", 1, 100, 0, 50);
    char *other = write_report("Card A", 7, 100, 0, 50);
    vklm_shell_expect(1, "measured on Card A; this is Card B", "vkbench compare %s %s", a, b);
    vklm_shell_expect(1, "a report of format 7", "vkbench compare %s %s", other, a);
    vklm_shell_expect(1, "a report of format 7", "vkbench mem --compare %s", other);
    vklm_shell_expect(1, "/nowhere", "vkbench compare %s /nowhere", a);
    vklm_shell_expect(
        1, "not a report of vkbench",
        "f=$(mktemp) && echo '{\"a\": 1}' >$f; vkbench compare $f %s; s=$?; rm $f; exit $s", a);
    unlink(a), unlink(b), unlink(other);
    free(a), free(b), free(other);
}
