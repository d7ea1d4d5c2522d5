/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - quotas of processors and limits of memory, of control groups version 1 and 2.
 *
 * /proc/self/cgroup names the process's group in each hierarchy, and /proc/self/mountinfo where the
 * hierarchies are mounted, and which part of them: a container often sees its own group as the
 * mount's root. A group is bound by all groups above it, so the folders from the group up to the
 * mount point are read, and the tightest counts. On a machine with both versions (hybrid) a
 * controller belongs to one of them; the files of the other are not there.
 */
#include "layers/base/cgroup.h"

#include "layers/base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 4096
#define LINE_SIZE 8192

typedef struct group {
    char path[PATH_SIZE];   /* in its hierarchy, as /proc/self/cgroup has it */
    char folder[PATH_SIZE]; /* where it is mounted */
    size_t mount;           /* length of the mount point at the folder's begin */
} group;

/* Opens root + folder + "/" + name for reading; NULL where there is none. */
static FILE *open_file(const char *root, const char *folder, const char *name)
{
    char path[2 * PATH_SIZE];
    const int length = snprintf(path, sizeof(path), "%s%s/%s", root, folder, name);
    return length > 0 && (size_t)length < sizeof(path) ? fopen(path, "re") : NULL;
}

/* The first line; false where there is none. */
static bool read_line(const char *root, const char *folder, const char *name, char *line,
                      size_t size)
{
    FILE *file = open_file(root, folder, name);
    if (!file)
        return false;
    const bool found = fgets(line, (int)size, file) != NULL;
    fclose(file);
    return found;
}

/* A number of one line. "max" and -1, which say that there is no limit, are false. */
static bool read_number(const char *root, const char *folder, const char *name, uint64_t *value)
{
    char line[64], *end;
    if (!read_line(root, folder, name, line, sizeof(line)) || line[0] < '0' || line[0] > '9')
        return false;
    *value = strtoull(line, &end, 10);
    return end != line;
}

/* Whether the comma-separated list has the word. */
static bool has_word(const char *list, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = list; *at; at += strcspn(at, ",\n")) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && strchr(",\n", at[length]))
            return true;
        if (*at == '\n')
            break;
    }
    return false;
}

/* The path of the process's group. controller NULL: in version 2. */
static bool find_path(const char *root, const char *controller, group *g)
{
    FILE *file = open_file(root, "/proc/self", "cgroup");
    if (!file)
        return false;
    char line[LINE_SIZE];
    bool found = false;
    while (!found && fgets(line, sizeof(line), file)) {
        /* id:controllers:path */
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        list++;
        found = controller ? has_word(list, controller) : *list == 0;
        if (found)
            snprintf(g->path, sizeof(g->path), "%.*s", (int)strcspn(path, "\n"), path);
    }
    fclose(file);
    return found;
}

/* mountinfo writes blanks and backslashes of names as \ooo. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
            from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = 0;
}

/* What is left of path below top; NULL where it is not below. */
static const char *below(const char *path, const char *top)
{
    size_t length = strlen(top);
    if (strcmp(top, "/") == 0)
        length = 0;
    if (strncmp(path, top, length) != 0 || (path[length] != 0 && path[length] != '/'))
        return NULL;
    return strcmp(path + length, "/") == 0 ? "" : path + length;
}

/* Reads "id parent device top point options ... - type source super" of a mount of the hierarchy.
 */
static bool is_mount(char *line, const char *controller, const char **top, char **point)
{
    char *words[5], *save = NULL;
    char *tail = strstr(line, " - ");
    if (!tail)
        return false;
    *tail = 0;
    char *type = strtok_r(tail + 3, " \n", &save);
    char *source = type ? strtok_r(NULL, " \n", &save) : NULL;
    const char *super = source ? strtok_r(NULL, " \n", &save) : NULL;
    if (!super || strcmp(type, controller ? "cgroup" : "cgroup2") != 0 ||
        (controller && !has_word(super, controller)))
        return false;
    save = NULL;
    for (size_t i = 0; i < QZI_ARRAY_LEN(words); i++) {
        words[i] = strtok_r(i ? NULL : line, " ", &save);
        if (!words[i])
            return false;
    }
    unescape(words[3]);
    unescape(words[4]);
    *top = words[3];
    *point = words[4];
    return true;
}

/* Finds the group's folder. A group outside of what is mounted is the mount's root, as seen. */
static bool find_group(const char *root, const char *controller, group *g)
{
    if (!find_path(root, controller, g))
        return false;
    FILE *file = open_file(root, "/proc/self", "mountinfo");
    if (!file)
        return false;
    char line[LINE_SIZE];
    bool found = false, within = false;
    while (!within && fgets(line, sizeof(line), file)) {
        const char *top;
        char *point;
        if (!is_mount(line, controller, &top, &point))
            continue;
        const char *rest = below(g->path, top);
        within = rest != NULL;
        const int length = snprintf(g->folder, sizeof(g->folder), "%s%s", point, rest ? rest : "");
        g->mount = strlen(point);
        found = length > 0 && (size_t)length < sizeof(g->folder);
    }
    fclose(file);
    return found;
}

/* From the group to the mount point: cuts the last folder; false at the end. */
static bool go_up(group *g)
{
    char *slash = strrchr(g->folder, '/');
    if (!slash || strlen(g->folder) <= g->mount)
        return false;
    *slash = 0;
    return true;
}

/* ---- processors ---- */

static void least_quota(const char *root, const char *folder, bool v2, uint32_t *cpus)
{
    uint64_t quota = 0, period = 0;
    if (v2) {
        char line[64], *end;
        if (!read_line(root, folder, "cpu.max", line, sizeof(line)))
            return;
        quota = strtoull(line, &end, 10); /* or "max" */
        period = end != line ? strtoull(end, NULL, 10) : 0;
    } else if (!read_number(root, folder, "cpu.cfs_quota_us", &quota) ||
               !read_number(root, folder, "cpu.cfs_period_us", &period)) {
        return;
    }
    if (quota == 0 || period == 0)
        return;
    const uint32_t worth = (uint32_t)QZI_MIN((quota - 1) / period + 1, (uint64_t)1 << 16);
    *cpus = *cpus ? QZI_MIN(*cpus, worth) : worth;
}

uint32_t qzi_cgroup_cpus(const char *root)
{
    uint32_t cpus = 0;
    for (int v2 = 0; v2 < 2; v2++) {
        group g;
        if (!find_group(root, v2 ? NULL : "cpu", &g))
            continue;
        do
            least_quota(root, g.folder, v2, &cpus);
        while (go_up(&g));
    }
    return cpus;
}

/* ---- memory ---- */

/* A line "name value" of memory.stat; 0 where there is none. */
static uint64_t read_stat(const char *root, const char *folder, const char *name)
{
    FILE *file = open_file(root, folder, "memory.stat");
    if (!file)
        return 0;
    char line[256];
    uint64_t value = 0;
    const size_t length = strlen(name);
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            value = strtoull(line + length, NULL, 10);
            break;
        }
    }
    fclose(file);
    return value;
}

static void least_memory(const char *root, const char *folder, bool v2, uint64_t *bytes)
{
    uint64_t limit = 0, used = 0;
    if (!read_number(root, folder, v2 ? "memory.max" : "memory.limit_in_bytes", &limit) ||
        !read_number(root, folder, v2 ? "memory.current" : "memory.usage_in_bytes", &used))
        return;
    /* pages of files go when memory is wanted */
    const uint64_t files = read_stat(root, folder, v2 ? "inactive_file" : "total_inactive_file") +
                           read_stat(root, folder, v2 ? "active_file" : "total_active_file");
    used -= QZI_MIN(files, used);
    const uint64_t left = limit > used ? limit - used : 0;
    *bytes = QZI_MIN(*bytes, left);
}

uint64_t qzi_cgroup_memory(const char *root)
{
    uint64_t bytes = UINT64_MAX;
    for (int v2 = 0; v2 < 2; v2++) {
        group g;
        if (!find_group(root, v2 ? NULL : "memory", &g))
            continue;
        do
            least_memory(root, g.folder, v2, &bytes);
        while (go_up(&g));
    }
    return bytes;
}
