/* SPDX-License-Identifier: MIT */
/*
 * cache.c - where fetched files lie, and what lies there: paths, hashes, locks, pruning.
 *
 * A file under its final name was complete and had the right hash when it got that name; it is not
 * hashed again at each use. Torch hub's files are, since torch checks them only on request.
 */
#include "weights/catalogue/cache.h"

#include "weights/catalogue/sha256.h"
#include "weights/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- paths ---- */

static qz_status no_folder(const qz_context *ctx)
{
    return qzi_fail(ctx, QZ_ERR_IO,
                    "there is no cache folder: set QZOO_HOME, XDG_CACHE_HOME or HOME");
}

qz_status qzi_cache_path(const qz_context *ctx, const qz_weights_info *info, const char *suffix,
                         char **path)
{
    const char *folder = qz_context_cache_dir(ctx);
    *path = NULL;
    if (!folder)
        return no_folder(ctx);
    *path = qzi_format(ctx, "%s/weights/%s%s", folder, info->file, suffix);
    return *path ? QZ_OK : QZ_ERR_MEMORY;
}

static qz_status make_folders(const qz_context *ctx, char *path)
{
    struct stat info;
    for (char *slash = path; slash;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = '\0';
        int error = mkdir(path, 0777) == 0 ? 0 : errno;
        /* what exists may answer otherwise than EEXIST, such as EROFS */
        if (error != 0 && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
            return qzi_fail_errno(ctx, path, "cannot be created", error);
        if (slash)
            *slash = '/';
    }
    return QZ_OK;
}

qz_status qzi_cache_make_folder(const qz_context *ctx)
{
    const char *folder = qz_context_cache_dir(ctx);
    if (!folder)
        return no_folder(ctx);
    char *path = qzi_format(ctx, "%s/weights", folder);
    if (!path)
        return QZ_ERR_MEMORY;
    qz_status st = make_folders(ctx, path);
    qzi_free(ctx, path);
    return st;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value != '\0' ? value : NULL;
}

/* Torch hub's folder of checkpoints, by torch's own rules; NULL: none is known, or no memory. */
static char *hub_folder(const qz_context *ctx)
{
    const char *torch = variable("TORCH_HOME"), *cache = variable("XDG_CACHE_HOME");
    const char *home = variable("HOME");
    if (torch && strncmp(torch, "~/", 2) == 0)
        return home ? qzi_format(ctx, "%s/%s/hub/checkpoints", home, torch + 2) : NULL;
    if (torch)
        return qzi_format(ctx, "%s/hub/checkpoints", torch);
    if (cache)
        return qzi_format(ctx, "%s/torch/hub/checkpoints", cache);
    return home ? qzi_format(ctx, "%s/.cache/torch/hub/checkpoints", home) : NULL;
}

/* ---- hashes ---- */

bool qzi_cache_hash_fits(const qz_weights_info *info, const char *hex)
{
    return strncmp(hex, info->sha256, strlen(info->sha256)) == 0;
}

static qz_status hash_open_file(const qz_context *ctx, const char *path, int fd, char hex[65])
{
    const size_t size = (size_t)1 << 18;
    struct stat info;
    qzi_sha256 sha;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return qzi_fail(ctx, QZ_ERR_IO, "%s: is not a regular file", path);
    uint8_t *piece = qzi_alloc(ctx, size);
    if (!piece)
        return QZ_ERR_MEMORY;
    qzi_sha256_init(&sha);
    ssize_t got = 1;
    qz_status st = QZ_OK;
    while ((st = qzi_check_cancelled(ctx)) == QZ_OK && (got = read(fd, piece, size)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        if (got > 0)
            qzi_sha256_update(&sha, piece, (size_t)got);
    }
    if (got < 0)
        st = qzi_fail_errno(ctx, path, "cannot be read", errno);
    qzi_sha256_final(&sha, hex);
    qzi_free(ctx, piece);
    return st;
}

qz_status qz_sha256_file(qz_context *context, const char *path, char hex[65])
{
    if (!context || !path || !hex)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_sha256_file: NULL argument");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return qzi_fail_errno(context, path, "cannot be opened", errno);
    qz_status st = hash_open_file(context, path, fd, hex);
    close(fd);
    return st;
}

/* ---- finding ---- */

static bool is_file(const char *path, const qz_weights_info *info)
{
    struct stat stat_info;
    return stat(path, &stat_info) == 0 && S_ISREG(stat_info.st_mode) &&
           (info->size == 0 || (uint64_t)stat_info.st_size == info->size);
}

/* Whether torch hub has the file under this name and with the right hash. */
static bool hub_has(qz_context *ctx, const qz_weights_info *info, const char *path)
{
    char hex[65];
    return is_file(path, info) && qz_sha256_file(ctx, path, hex) == QZ_OK &&
           qzi_cache_hash_fits(info, hex);
}

/*
 * Torch hub names a file as the URL does. Both separators of the hash, as in resnet50-0676ba61.pth
 * and mobilenet_v2_qnnpack_37f702c5.pth, have been in use.
 */
static char *find_in_hub(qz_context *ctx, const qz_weights_info *info)
{
    char *folder = hub_folder(ctx), *path = NULL;
    const char *base = strrchr(info->url, '/') + 1;
    char digits[9]; /* as many as names contain */
    if (!folder)
        return NULL;
    snprintf(digits, sizeof(digits), "%s", info->sha256);
    for (int i = 0; i < 2; i++) {
        path = qzi_format(ctx, "%s/%s", folder, base);
        if (!path)
            break;
        char *name = path + strlen(folder) + 1, *hash = name;
        for (char *next = name; digits[0] != '\0' && (next = strstr(next, digits)); next++)
            hash = next;
        bool separated = hash > name && (hash[-1] == '-' || hash[-1] == '_');
        if (i == 1 && separated)
            hash[-1] = hash[-1] == '-' ? '_' : '-';
        if ((i == 0 || separated) && hub_has(ctx, info, path))
            break;
        qzi_free(ctx, path);
        path = NULL;
    }
    qzi_free(ctx, folder);
    return path;
}

static qz_status hand_out(const qz_context *ctx, const char *found, char *path, size_t size)
{
    if (strlen(found) >= size)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: the path is longer than %zu bytes", found, size);
    memcpy(path, found, strlen(found) + 1);
    return QZ_OK;
}

qz_status qz_cache_find(qz_context *context, const qz_weights_info *info, qz_cache_state *state,
                        char *path, size_t size)
{
    if (!context || !info || !state || !path)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_cache_find: NULL argument");
    char *own = NULL;
    *state = QZ_CACHE_ABSENT;
    QZI_TRY(qzi_cache_path(context, info, "", &own));
    char *hub = NULL;
    if (is_file(own, info))
        *state = QZ_CACHE_OWN;
    else if ((hub = find_in_hub(context, info)) != NULL)
        *state = QZ_CACHE_TORCH_HUB;
    qz_status st = hand_out(context, hub ? hub : own, path, size);
    qzi_free(context, hub);
    qzi_free(context, own);
    return st;
}

qz_status qz_cache_verify(qz_context *context, const qz_weights_info *info)
{
    char hex[65], *path = NULL;
    if (!context || !info)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_cache_verify: NULL argument");
    QZI_TRY(qzi_cache_path(context, info, "", &path));
    if (access(path, F_OK) != 0) {
        char *hub = find_in_hub(context, info); /* only one of the right hash is found */
        qz_status found =
            hub ? QZ_OK : qzi_fail(context, QZ_ERR_IO, "%s: is not in the cache", path);
        qzi_free(context, hub);
        qzi_free(context, path);
        return found;
    }
    qz_status st = qz_sha256_file(context, path, hex);
    if (st == QZ_OK && !qzi_cache_hash_fits(info, hex))
        st = qzi_fail(context, QZ_ERR_CHECKSUM,
                      "%s: has the hash %.16s..., not %.16s; qzoo weights fetch %s:%s replaces it",
                      path, hex, info->sha256, info->model, info->tag);
    qzi_free(context, path);
    return st;
}

/* ---- locks ---- */

qz_status qzi_cache_lock(const qz_context *ctx, const char *path, int *fd)
{
    struct stat ours, theirs;
    for (;;) {
        *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (*fd < 0)
            return qzi_fail_errno(ctx, path, "cannot be created", errno);
        if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
            int error = errno;
            close(*fd);
            *fd = -1;
            if (error == EWOULDBLOCK)
                return QZ_OK;
            if (error == EINTR)
                continue;
            return qzi_fail_errno(ctx, path, "cannot be locked", error);
        }
        /* the process that held it may have removed it since it was opened here */
        if (fstat(*fd, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
            ours.st_dev == theirs.st_dev)
            return QZ_OK;
        close(*fd);
    }
}

void qzi_cache_unlock(const char *path, int fd)
{
    unlink(path); /* while it is held: see above */
    close(fd);
}

/* ---- pruning ---- */

static bool is_known(const qz_catalogue *catalogue, const char *name)
{
    for (size_t i = 0; i < qz_catalogue_count(catalogue); i++) {
        if (strcmp(qz_catalogue_at(catalogue, i)->file, name) == 0)
            return true;
    }
    return false;
}

/* Removes one file of the folder, under the lock of a process that might be writing it. */
static qz_status prune_file(const qz_context *ctx, const char *folder, const char *name,
                            qz_prune_result *result)
{
    static const char *const suffixes[] = {QZI_CACHE_PART_INFO, QZI_CACHE_PART, QZI_CACHE_LOCK, ""};
    size_t stem = strlen(name), i = 0;
    while (!qzi_ends_with(name, suffixes[i]))
        i++;
    stem -= strlen(suffixes[i]);
    char *path = qzi_format(ctx, "%s/weights/%s", folder, name);
    char *lock = qzi_format(ctx, "%s/weights/%.*s" QZI_CACHE_LOCK, folder, (int)stem, name);
    struct stat info;
    qz_status st = QZ_OK;
    int fd = -1;
    if (!path || !lock)
        st = QZ_ERR_MEMORY;
    else
        st = qzi_cache_lock(ctx, lock, &fd);
    if (st == QZ_OK && fd >= 0) {
        bool is_lock = strcmp(path, lock) == 0; /* removed by unlocking */
        if (!is_lock && lstat(path, &info) == 0 && S_ISREG(info.st_mode)) {
            if (unlink(path) != 0) {
                st = qzi_fail_errno(ctx, path, "cannot be removed", errno);
            } else {
                result->files++;
                result->bytes += (uint64_t)info.st_size;
            }
        }
        qzi_cache_unlock(lock, fd);
    }
    qzi_free(ctx, lock);
    qzi_free(ctx, path);
    return st;
}

qz_status qz_cache_prune(qz_context *context, const qz_catalogue *catalogue, bool all,
                         qz_prune_result *result)
{
    if (!context || !catalogue || !result)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_cache_prune: NULL argument");
    *result = (qz_prune_result){0};
    const char *folder = qz_context_cache_dir(context);
    if (!folder)
        return no_folder(context);
    char *path = qzi_format(context, "%s/weights", folder);
    if (!path)
        return QZ_ERR_MEMORY;
    DIR *dir = opendir(path);
    qz_status st = QZ_OK;
    if (!dir && errno != ENOENT)
        st = qzi_fail_errno(context, path, "cannot be read", errno);
    if (dir) {
        struct dirent *entry;
        while (st == QZ_OK && (entry = readdir(dir))) {
            if (entry->d_name[0] == '.' || (!all && is_known(catalogue, entry->d_name)))
                continue;
            st = prune_file(context, folder, entry->d_name, result);
        }
        closedir(dir);
    }
    qzi_free(context, path);
    return st;
}
