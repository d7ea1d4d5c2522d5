/* SPDX-License-Identifier: MIT */
/* file_target.c - what a path that will be written names, and whether it can be written. */
#include "weights/file_target.h"

#include "weights/files.h"
#include "weights/qzoo_weights.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As many as Linux follows. */
#define LINKS_MAX 40

/* Where the link `path` points; a relative target is below the link's folder. NULL: no memory or
 * unreadable. */
static char *follow(const qz_context *ctx, const char *path)
{
    char text[PATH_MAX];
    ssize_t length = readlink(path, text, sizeof(text) - 1);
    if (length <= 0)
        return NULL;
    text[length] = '\0';
    const char *slash = strrchr(path, '/');
    const int folder = text[0] != '/' && slash ? (int)(slash - path) + 1 : 0;
    return qzi_format(ctx, "%.*s%s", folder, path, text);
}

static qz_status classify(const qz_context *ctx, const char *path, const struct stat *info,
                          enum qzi_target *kind)
{
    if (S_ISDIR(info->st_mode))
        return qzi_fail_errno(ctx, path, "cannot be written", EISDIR);
    if (S_ISSOCK(info->st_mode))
        return qzi_fail(ctx, QZ_ERR_IO, "%s: is a socket; choose another name", path);
    *kind = S_ISREG(info->st_mode) ? QZI_TARGET_FILE : QZI_TARGET_IN_PLACE;
    return QZ_OK;
}

qz_status qzi_target_find(const qz_context *ctx, const char *path, enum qzi_target *kind,
                          char **target)
{
    struct stat info;
    *kind = QZI_TARGET_FILE;
    *target = NULL;
    if (strcmp(path, "/dev/stdout") == 0 || strcmp(path, "/dev/fd/1") == 0 ||
        strcmp(path, "/proc/self/fd/1") == 0) {
        *kind = QZI_TARGET_STDOUT;
        return QZ_OK;
    }
    char *at = qzi_strdup(ctx, path);
    if (!at)
        return QZ_ERR_MEMORY;
    for (int links = 0;; links++) {
        if (lstat(at, &info) != 0) {
            const int error = errno;
            *target = at;
            if (error == ENOENT) /* new, unless its folder is missing: opening it shows that */
                return QZ_OK;
            qzi_free(ctx, at);
            *target = NULL;
            return qzi_fail_errno(ctx, path, "cannot be created", error);
        }
        if (!S_ISLNK(info.st_mode))
            break;
        /* links of /proc are no paths: open follows them */
        if (stat(at, &info) == 0 && !S_ISREG(info.st_mode))
            break;
        char *next = links < LINKS_MAX ? follow(ctx, at) : NULL;
        qzi_free(ctx, at);
        if (!next)
            return qzi_fail_errno(ctx, path, "cannot be created", ELOOP);
        at = next;
    }
    qz_status st = classify(ctx, path, &info, kind);
    if (st == QZ_OK)
        *target = at;
    else
        qzi_free(ctx, at);
    return st;
}

qz_status qz_file_check(qz_context *context, const char *path)
{
    enum qzi_target kind;
    char *target = NULL;
    if (!path)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_file_check: path is NULL");
    QZI_TRY(qzi_target_find(context, path, &kind, &target));
    if (kind == QZI_TARGET_STDOUT)
        return QZ_OK;
    qz_status st = QZ_OK;
    if (access(target, W_OK) != 0 && errno != ENOENT)
        st = qzi_fail_errno(context, path, "cannot be written", errno);
    if (st == QZ_OK && kind == QZI_TARGET_FILE) {
        char *folder = qzi_folder_of(context, target);
        const char *slash = strrchr(target, '/');
        if (!folder)
            st = QZ_ERR_MEMORY;
        else if (access(folder, W_OK | X_OK) != 0)
            st = qzi_fail_errno(context, path, "cannot be created", errno);
        else if (*(slash ? slash + 1 : target) == '\0')
            st = qzi_fail_errno(context, path, "cannot be created", EISDIR);
        qzi_free(context, folder);
    }
    qzi_free(context, target);
    return st;
}

qz_status qz_file_same(qz_context *context, const char *a, const char *b, bool *same)
{
    enum qzi_target kinds[2];
    char *targets[2] = {NULL, NULL};
    struct stat info[2], folder[2];
    *same = false;
    qz_status st = qzi_target_find(context, a, &kinds[0], &targets[0]);
    if (st == QZ_OK)
        st = qzi_target_find(context, b, &kinds[1], &targets[1]);
    if (st == QZ_OK && kinds[0] == kinds[1] && kinds[0] == QZI_TARGET_STDOUT) {
        *same = true;
    } else if (st == QZ_OK && kinds[0] == kinds[1] && kinds[0] == QZI_TARGET_IN_PLACE) {
        *same = stat(targets[0], &info[0]) == 0 && stat(targets[1], &info[1]) == 0 &&
                S_ISFIFO(info[0].st_mode) && info[0].st_dev == info[1].st_dev &&
                info[0].st_ino == info[1].st_ino;
    } else if (st == QZ_OK && kinds[0] == QZI_TARGET_FILE && kinds[1] == QZI_TARGET_FILE) {
        bool there[2], known = true;
        const char *base[2];
        for (int i = 0; i < 2; i++) {
            const char *slash = strrchr(targets[i], '/');
            char *name = qzi_folder_of(context, targets[i]);
            base[i] = slash ? slash + 1 : targets[i];
            there[i] = stat(targets[i], &info[i]) == 0;
            known &= name && stat(name, &folder[i]) == 0;
            qzi_free(context, name);
        }
        if (there[0] && there[1])
            *same = info[0].st_dev == info[1].st_dev && info[0].st_ino == info[1].st_ino;
        else if (!there[0] && !there[1] && known)
            *same = folder[0].st_dev == folder[1].st_dev && folder[0].st_ino == folder[1].st_ino &&
                    strcmp(base[0], base[1]) == 0;
    }
    qzi_free(context, targets[0]);
    qzi_free(context, targets[1]);
    return st;
}
