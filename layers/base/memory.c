/* SPDX-License-Identifier: MIT */
/*
 * memory.c - how much memory is free.
 *
 * Linux grants more than there is, and kills a process that then uses it. So large sizes are
 * compared with what is free before they are asked for: by the system's own estimate, the limits of
 * control groups, and the process's limit of address space. Swap counts as free.
 */
#include "layers/base/memory.h"

#include "layers/base/cgroup.h"
#include "layers/base/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The bytes of a line "KEY:  123 kB" in a file of /proc; UINT64_MAX where there is none. */
static uint64_t read_kilobytes(const char *root, const char *path, const char *key)
{
    char line[256];
    uint64_t bytes = UINT64_MAX;
    const size_t length = strlen(key);
    if (snprintf(line, sizeof(line), "%s%s", root, path) >= (int)sizeof(line))
        return bytes;
    FILE *file = fopen(line, "re");
    if (!file)
        return bytes;
    while (bytes == UINT64_MAX && fgets(line, sizeof(line), file)) {
        if (strncmp(line, key, length) == 0 && line[length] == ':')
            bytes = strtoull(line + length + 1, NULL, 10) * 1024;
    }
    fclose(file);
    return bytes;
}

uint64_t qzi_memory_free(const char *root)
{
    const uint64_t system = read_kilobytes(root, "/proc/meminfo", "MemAvailable");
    const uint64_t groups = qzi_cgroup_memory(root);
    uint64_t swap = read_kilobytes(root, "/proc/meminfo", "SwapFree");
    const uint64_t bytes = QZI_MIN(system, groups);
    swap = swap == UINT64_MAX ? 0 : swap;
    return bytes < UINT64_MAX - swap ? bytes + swap : UINT64_MAX;
}

uint64_t qz_memory_available(void)
{
    const uint64_t bytes = qzi_memory_free("");
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return bytes;
    const uint64_t used = read_kilobytes("", "/proc/self/status", "VmSize");
    const uint64_t most = limit.rlim_cur;
    return used >= most ? (used == UINT64_MAX ? bytes : 0) : QZI_MIN(bytes, most - used);
}

qz_status qzi_check_memory(const qz_context *ctx, uint64_t bytes, const char *what,
                           const char *hint)
{
    if (ctx && ctx->own_allocator)
        return QZ_OK;
    const uint64_t available = qz_memory_available();
    if (bytes <= available)
        return QZ_OK;
    return qzi_fail(ctx, QZ_ERR_MEMORY, "%s %s, and %s of memory are free; %s", what,
                    qzi_bytes_text(bytes).text, qzi_bytes_text(available).text, hint);
}
