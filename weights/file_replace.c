/* SPDX-License-Identifier: MIT */
/* file_replace.c - a whole file under its name, or what the path held before. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* O_TMPFILE, AT_SYMLINK_FOLLOW */
#endif
#include "weights/file_replace.h"

#include "weights/bytes.h"
#include "weights/file_target.h"
#include "weights/files.h"
#include "weights/qzoo_weights.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- failures ---- */

/* A full disk is no fault of the path's: it has a status of its own. */
static qz_status fail_open(const qzi_file_replace *f, int error)
{
    if (error == ENOSPC || error == EDQUOT || error == EFBIG || error == EIO)
        return qzi_fail_write(f->ctx, f->path, error);
    return qzi_fail_errno(f->ctx, f->path, "cannot be created", error);
}

/* ---- opening ---- */

/* A short name in the target's folder: the target's own may be as long as a name can be. */
static char *temporary_name(const qzi_file_replace *f, int number)
{
    const char *slash = strrchr(f->target, '/');
    const int folder = slash ? (int)(slash - f->target) + 1 : 0;
    return qzi_format(f->ctx, "%.*s.qzoo-%ld-%d.tmp", folder, f->target, (long)getpid(), number);
}

/* Calls make(f, name) with names until one is not taken. Returns 0, an errno, or -1: no memory. */
static int with_temporary(qzi_file_replace *f, int (*make)(qzi_file_replace *, const char *))
{
    int error = EEXIST;
    for (int i = 0; i < 1000 && error == EEXIST; i++) {
        f->temporary = temporary_name(f, i);
        if (!f->temporary)
            return -1;
        error = make(f, f->temporary);
        if (error == 0)
            return 0;
        qzi_free(f->ctx, f->temporary);
        f->temporary = NULL;
    }
    return error;
}

static int make_named(qzi_file_replace *f, const char *name)
{
    f->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return f->fd >= 0 ? 0 : errno;
}

static int make_link(qzi_file_replace *f, const char *name)
{
    char self[40];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

static qz_status open_new(qzi_file_replace *f)
{
#ifdef O_TMPFILE
    char *folder = qzi_folder_of(f->ctx, f->target);
    if (!folder)
        return QZ_ERR_MEMORY;
    if (access("/proc/self/fd", X_OK) == 0)
        f->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    qzi_free(f->ctx, folder);
    if (f->fd >= 0)
        return QZ_OK;
#endif
    int error = with_temporary(f, make_named);
    return error == 0 ? QZ_OK : error < 0 ? QZ_ERR_MEMORY : fail_open(f, error);
}

static qz_status open_in_place(qzi_file_replace *f, const char *target)
{
    /* O_NONBLOCK: a pipe that nobody reads must be refused, not waited for */
    f->fd = open(target, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (f->fd < 0)
        return fail_open(f, errno);
    int flags = fcntl(f->fd, F_GETFL);
    return flags >= 0 && fcntl(f->fd, F_SETFL, flags & ~O_NONBLOCK) == 0 ? QZ_OK
                                                                         : fail_open(f, errno);
}

qz_status qzi_file_replace_open(const qz_context *ctx, const char *path, qzi_file_replace *file)
{
    *file = (qzi_file_replace){.ctx = ctx, .path = path, .fd = -1};
    char *target = NULL;
    enum qzi_target kind;
    QZI_TRY(qzi_target_find(ctx, path, &kind, &target));
    qz_status st;
    if (kind == QZI_TARGET_STDOUT) {
        file->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        st = file->fd >= 0 ? QZ_OK : fail_open(file, errno);
    } else if (kind == QZI_TARGET_IN_PLACE) {
        st = open_in_place(file, target);
    } else {
        file->target = target;
        st = open_new(file);
    }
    if (!file->target)
        qzi_free(ctx, target);
    if (st != QZ_OK)
        qzi_file_replace_discard(file);
    return st;
}

/* ---- writing ---- */

qz_status qzi_file_replace_write(const qzi_file_replace *file, const void *data, size_t size)
{
    return qzi_write_all(file->ctx, file->path, file->fd, data, size);
}

qz_status qzi_file_replace_write_numbers(const qzi_file_replace *file, const void *data,
                                         size_t count, size_t size)
{
    if (!QZI_BIG_ENDIAN || size == 1)
        return qzi_file_replace_write(file, data, count * size);
    uint8_t piece[4096];
    const uint8_t *from = data;
    const size_t bytes = count * size;
    for (size_t at = 0; at < bytes; at += sizeof(piece)) {
        size_t now = QZI_MIN(bytes - at, sizeof(piece));
        qzi_copy_swapped(piece, from + at, now / size, size);
        QZI_TRY(qzi_file_replace_write(file, piece, now));
    }
    return QZ_OK;
}

/* ---- the end ---- */

static qz_status give_name(qzi_file_replace *f)
{
    char *folder = qzi_folder_of(f->ctx, f->target);
    if (!folder)
        return QZ_ERR_MEMORY;
    struct stat old;
    qz_status st = QZ_OK;
    if (stat(f->target, &old) == 0) /* who may read the file stays as it was */
        (void)fchmod(f->fd, old.st_mode & 0777);
    if (fsync(f->fd) != 0)
        st = qzi_fail_write(f->ctx, f->path, errno);
    int error = st == QZ_OK && !f->temporary ? with_temporary(f, make_link) : 0;
    if (error != 0)
        st = error < 0 ? QZ_ERR_MEMORY : fail_open(f, error);
    if (close(f->fd) != 0 && st == QZ_OK)
        st = qzi_fail_write(f->ctx, f->path, errno);
    f->fd = -1;
    if (st == QZ_OK && rename(f->temporary, f->target) != 0)
        st = qzi_fail_errno(f->ctx, f->path, "cannot be replaced", errno);
    if (st == QZ_OK) {
        qzi_free(f->ctx, f->temporary);
        f->temporary = NULL;
        qzi_sync_folder(folder);
    }
    qzi_free(f->ctx, folder);
    return st;
}

qz_status qzi_file_replace_commit(qzi_file_replace *file)
{
    qz_status st = QZ_OK;
    if (file->target) {
        st = give_name(file);
    } else {
        if (close(file->fd) != 0)
            st = qzi_fail_write(file->ctx, file->path, errno);
        file->fd = -1;
    }
    qzi_file_replace_discard(file);
    return st;
}

void qzi_file_replace_discard(qzi_file_replace *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    if (file->temporary)
        unlink(file->temporary);
    qzi_free(file->ctx, file->temporary);
    qzi_free(file->ctx, file->target);
    file->temporary = file->target = NULL;
}

qz_status qz_file_save(qz_context *context, const char *path, const void *bytes, size_t size)
{
    qzi_file_replace file;
    if (!path || (!bytes && size > 0))
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_file_save: path or bytes is NULL");
    QZI_TRY(qzi_file_replace_open(context, path, &file));
    qz_status st = qzi_file_replace_write(&file, bytes, size);
    if (st == QZ_OK)
        return qzi_file_replace_commit(&file);
    qzi_file_replace_discard(&file);
    return st;
}
