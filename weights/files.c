/* SPDX-License-Identifier: MIT */
/* files.c - see files.h. */
#include "weights/files.h"
#include "weights/qzoo_weights.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

qz_status qzi_fail_errno(const qz_context *ctx, const char *path, const char *what, int error)
{
    char text[128];
    if (strerror_r(error, text, sizeof(text)) != 0)
        text[0] = '\0';
    return qzi_fail(ctx, QZ_ERR_IO, "%s: %s: %s", path, what, text);
}

qz_status qzi_fail_write(const qz_context *ctx, const char *path, int error)
{
    (void)qzi_fail_errno(ctx, path, "cannot be written", error);
    return QZ_ERR_WRITE;
}

qz_status qzi_write_all(const qz_context *ctx, const char *path, int fd, const void *data,
                        size_t size)
{
    const size_t piece = (size_t)4 << 20; /* between two, the caller may cancel */
    const uint8_t *p = data;
    while (size > 0) {
        QZI_TRY(qzi_check_cancelled(ctx));
        ssize_t done = write(fd, p, QZI_MIN(size, piece));
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return qzi_fail_write(ctx, path, errno);
        p += done;
        size -= (size_t)done;
    }
    return QZ_OK;
}

qz_status qzi_file_open(const qz_context *ctx, const char *path, FILE **file)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return qzi_fail_errno(ctx, path, "cannot be opened", errno);
    qz_status st = QZ_OK;
    if (fstat(fd, &info) != 0)
        st = qzi_fail_errno(ctx, path, "cannot be read", errno);
    else if (S_ISDIR(info.st_mode))
        st = qzi_fail_errno(ctx, path, "cannot be read", EISDIR);
    else if (!S_ISREG(info.st_mode))
        st = qzi_fail(ctx, QZ_ERR_IO, "%s: not a regular file", path);
    else if (!(*file = fdopen(fd, "rb")))
        st = qzi_fail_errno(ctx, path, "cannot be read", errno);
    if (st != QZ_OK)
        close(fd);
    return st;
}

char *qzi_folder_of(const qz_context *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return qzi_strdup(ctx, !slash ? "." : "/");
    return qzi_format(ctx, "%.*s", (int)(slash - path), path);
}

void qzi_sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

bool qz_weights_is_file(const char *word)
{
    static const char *const suffixes[] = {".pth", ".pt", ".safetensors", ".npz", ".weights"};
    if (!word)
        return false;
    for (size_t i = 0; i < QZI_ARRAY_LEN(suffixes); i++)
        if (qzi_ends_with(word, suffixes[i]))
            return true;
    struct stat info;
    return strchr(word, '/') != NULL || (stat(word, &info) == 0 && !S_ISDIR(info.st_mode));
}

bool qz_weights_is_random(const char *word)
{
    return !word || strcmp(word, "random") == 0 || strncmp(word, "random:", 7) == 0;
}
