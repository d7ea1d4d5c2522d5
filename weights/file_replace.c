/* SPDX-License-Identifier: MIT */
/* file_replace.c - a whole file under its name, or what stood there before. */
#include "weights/file_replace.h"

#include "weights/bytes.h"
#include "weights/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Creates a file beside the path that nobody else has. */
static qz_status open_temporary(qzi_file_replace *f)
{
    int error = EEXIST;
    for (int i = 0; i < 1000 && error == EEXIST; i++) {
        f->temporary = qzi_format(f->ctx, "%s.tmp-%ld-%d", f->path, (long)getpid(), i);
        if (!f->temporary)
            return QZ_ERR_MEMORY;
        f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f->fd >= 0)
            return QZ_OK;
        error = errno;
        qzi_free(f->ctx, f->temporary);
        f->temporary = NULL;
    }
    return qzi_fail_errno(f->ctx, f->path, "cannot be created", error);
}

qz_status qzi_file_replace_open(const qz_context *ctx, const char *path, qzi_file_replace *file)
{
    struct stat info;
    *file = (qzi_file_replace){.ctx = ctx, .path = path, .fd = -1};
    /* rename would replace a device such as /dev/null by a file */
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return qzi_fail(ctx, QZ_ERR_IO, "%s: is not a regular file; choose another name", path);
    return open_temporary(file);
}

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

qz_status qzi_file_replace_commit(qzi_file_replace *file)
{
    char *folder = qzi_folder_of(file->ctx, file->path);
    qz_status st = folder ? QZ_OK : QZ_ERR_MEMORY;
    if (st == QZ_OK && fsync(file->fd) != 0)
        st = qzi_fail_errno(file->ctx, file->path, "cannot be written", errno);
    if (close(file->fd) != 0 && st == QZ_OK)
        st = qzi_fail_errno(file->ctx, file->path, "cannot be written", errno);
    file->fd = -1;
    if (st == QZ_OK && rename(file->temporary, file->path) != 0)
        st = qzi_fail_errno(file->ctx, file->path, "cannot be replaced", errno);
    if (st == QZ_OK) {
        qzi_free(file->ctx, file->temporary);
        file->temporary = NULL;
        qzi_sync_folder(folder);
    }
    qzi_free(file->ctx, folder);
    qzi_file_replace_discard(file);
    return st;
}

void qzi_file_replace_discard(qzi_file_replace *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    if (file->temporary) {
        unlink(file->temporary);
        qzi_free(file->ctx, file->temporary);
        file->temporary = NULL;
    }
}
