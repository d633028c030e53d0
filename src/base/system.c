#include "base/system.h"

#include <stdio.h>
#include <unistd.h>

void vklm_system_memory(uint64_t *out_total, uint64_t *out_available)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *out_total = (uint64_t)sysconf(_SC_PHYS_PAGES) * page;
    *out_available = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * page;
    // Free pages leave out the page cache, which gives way; Linux knows better.
    FILE *info = fopen("/proc/meminfo", "re");
    if (!info)
        return;
    char line[128];
    unsigned long long kib;
    while (fgets(line, sizeof line, info))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            *out_available = (uint64_t)kib * 1024;
    fclose(info);
}
