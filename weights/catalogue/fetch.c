/* SPDX-License-Identifier: MIT */
/*
 * fetch.c - brings a published file into the cache.
 *
 * Under the file's lock: FILE.part grows, beside it FILE.part-info names what it is a part of (URL
 * and validator), so that a later fetch, in this process or another, can go on. When the bytes are
 * all there, they are hashed, flushed to disk and renamed to FILE. Whatever happens before, FILE
 * itself is not touched.
 */
#include "weights/catalogue/fetch.h"

#include "weights/catalogue/cache.h"
#include "weights/files.h"
#include "weights/state_dict.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define URL_MAX_SIZE 4096
#define WAIT_STEP 100 /* ms between two looks */
/* Progress of this much makes the next failure the first one again. */
#define FRESH_BYTES ((uint64_t)1 << 20)

typedef struct fetch {
    qz_context *ctx;
    const qz_weights_info *info;
    qz_fetch_options options;
    bool allow_http;
    char *path, *part, *part_info, *lock;
    char urls[2][URL_MAX_SIZE]; /* tried in turn; the second may be "" */
    bool resumed;               /* some of the bytes are from before a cut */
} fetch;

/* ---- options ---- */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value != '\0' ? value : NULL;
}

static qz_status check_options(fetch *f, const qz_fetch_options *options)
{
    qz_fetch_options *o = &f->options;
    QZI_TRY(qzi_options_take(f->ctx, options, o, sizeof(*o), "qz_fetch_options"));
    if (!o->mirror)
        o->mirror = variable("QZOO_MIRROR");
    if (!o->ca_file)
        o->ca_file = variable("CURL_CA_BUNDLE");
    if (!o->ca_file)
        o->ca_file = variable("SSL_CERT_FILE");
    o->timeout = o->timeout != 0 ? o->timeout : 30;
    o->retries = o->retries == 0 ? 3 : o->retries == UINT32_MAX ? 0 : o->retries;
    o->retry_delay = o->retry_delay != 0 ? o->retry_delay : 1000;
    return QZ_OK;
}

/*
 * The URLs to try. A mirror is a folder of files; it may keep the publisher's subfolders (those
 * after /models/ or /releases/download/), which is tried first.
 */
static qz_status choose_urls(fetch *f)
{
    const char *mirror = f->options.mirror, *url = f->info->url;
    const char *base = strrchr(url, '/') + 1, *sub;
    f->allow_http = f->options.allow_http || (f->info->user && strncmp(url, "http://", 7) == 0);
    if (!mirror) {
        snprintf(f->urls[0], URL_MAX_SIZE, "%s", url);
    } else {
        if (strncmp(mirror, "https://", 8) != 0 && strncmp(mirror, "http://", 7) != 0)
            return qzi_fail(f->ctx, QZ_ERR_ARGUMENT,
                            "mirror '%s': must begin with https:// or http://", mirror);
        size_t length = strlen(mirror);
        while (mirror[length - 1] == '/')
            length--;
        if (length + strlen(url) + 2 > URL_MAX_SIZE)
            return qzi_fail(f->ctx, QZ_ERR_ARGUMENT, "the mirror's URL is too long");
        f->allow_http = f->allow_http || strncmp(mirror, "http://", 7) == 0;
        if ((sub = strstr(url, "/models/")) != NULL)
            sub += strlen("/models/");
        else if ((sub = strstr(url, "/releases/download/")) != NULL)
            sub += strlen("/releases/download/");
        else
            sub = base;
        snprintf(f->urls[0], URL_MAX_SIZE, "%.*s/%s", (int)length, mirror, sub);
        if (sub != base)
            snprintf(f->urls[1], URL_MAX_SIZE, "%.*s/%s", (int)length, mirror, base);
    }
    return QZ_OK;
}

/* ---- progress and waiting ---- */

static bool report(const fetch *f, uint64_t done, uint64_t total, bool waiting)
{
    const qz_fetch_progress progress = {f->info, done, total != 0 ? total : f->info->size, waiting};
    if (qzi_check_cancelled(f->ctx) != QZ_OK)
        return false;
    return !f->options.progress || f->options.progress(f->options.progress_user, &progress);
}

static bool on_progress(void *user, uint64_t done, uint64_t total)
{
    return report(user, done, total, false);
}

static qz_status cancelled(const fetch *f)
{
    return qzi_fail(f->ctx, QZ_ERR_CANCELLED,
                    "%s: cancelled; the next fetch goes on where this one stopped", f->info->url);
}

/* Sleeps, and looks now and then whether the caller has lost patience. */
static qz_status pause_for(const fetch *f, uint64_t ms, uint64_t done)
{
    for (uint64_t waited = 0; waited < ms; waited += WAIT_STEP) {
        const struct timespec step = {0, WAIT_STEP * 1000000L};
        if (!report(f, done, 0, false))
            return cancelled(f);
        nanosleep(&step, NULL);
    }
    return QZ_OK;
}

/* ---- the unfinished file ---- */

/* Lines: the URL, the validator. Written when the first bytes come; a loss only costs a restart. */
static void write_part_info(void *user, const qzi_transfer *t)
{
    const fetch *f = user;
    int fd = -1;
    if (t->validator[0] == '\0') {
        unlink(f->part_info);
        return;
    }
    char *text = qzi_format(f->ctx, "%s\n%s\n", t->url, t->validator);
    if (text)
        fd = open(f->part_info, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd >= 0) {
        if (qzi_write_all(f->ctx, f->part_info, fd, text, strlen(text)) != QZ_OK)
            unlink(f->part_info);
        close(fd);
    }
    qzi_free(f->ctx, text);
}

/* What the unfinished file can be continued with; validator "" when with nothing. */
static void read_part_info(const fetch *f, qzi_transfer *t)
{
    char text[URL_MAX_SIZE + QZI_VALIDATOR_MAX + 8];
    t->validator[0] = '\0';
    int fd = open(f->part_info, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    ssize_t got = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (got <= 0)
        return;
    text[got] = '\0';
    char *line = strchr(text, '\n');
    char *end = line ? strchr(line + 1, '\n') : NULL;
    if (!end || end[1] != '\0' || (size_t)(end - line) > sizeof(t->validator))
        return;
    *line = *end = '\0';
    if (strcmp(text, t->url) == 0 && !strpbrk(line + 1, "\r"))
        memcpy(t->validator, line + 1, strlen(line + 1) + 1);
}

static void remove_part(const fetch *f)
{
    unlink(f->part);
    unlink(f->part_info);
}

/* ---- downloading ---- */

/* One URL, with retries. */
static qz_status transfer_url(fetch *f, const char *url, int fd, bool *not_found)
{
    uint32_t failures = 0;
    uint64_t furthest = 0; /* that any try came: only getting beyond it is progress */
    qzi_transfer t = {.ctx = f->ctx,
                      .url = url,
                      .path = f->part,
                      .fd = fd,
                      .allow_http = f->allow_http,
                      .ca_file = f->options.ca_file,
                      .timeout = f->options.timeout,
                      .limit = f->info->size != 0 ? f->info->size : QZI_FILE_MAX,
                      .expected = f->info->size,
                      .started = write_part_info,
                      .progress = on_progress,
                      .user = f};
    off_t have = lseek(fd, 0, SEEK_END);
    t.done = have > 0 ? (uint64_t)have : 0;
    read_part_info(f, &t);
    if (t.validator[0] == '\0' || t.done > t.limit)
        t.done = 0;
    furthest = t.done;
    for (;;) {
        uint64_t before = t.done;
        f->resumed |= before > 0;
        qz_status st = before > 0 && before == f->info->size ? QZ_OK : qzi_transfer_run(&t);
        *not_found = t.http_status == 404;
        if (st == QZ_ERR_NETWORK && t.http_status == 416 && before > 0) {
            /* the file that was begun is longer than the server's: it is another one */
            t.done = 0;
            t.validator[0] = '\0';
            unlink(f->part_info);
            continue;
        }
        if (st != QZ_ERR_NETWORK || !t.passing)
            return st;
        if (t.done >= furthest + FRESH_BYTES) {
            failures = 0;
            furthest = t.done;
        }
        if (failures >= f->options.retries)
            return st;
        if (t.validator[0] == '\0')
            t.done = 0;
        uint64_t delay = (uint64_t)f->options.retry_delay << QZI_MIN(failures, 6);
        delay = QZI_MAX(QZI_MIN(delay, 60000), (uint64_t)QZI_MIN(t.retry_after, 60) * 1000);
        failures++;
        qzi_log(f->ctx, QZ_LOG_INFO, "%s; trying again in %llu ms (%u of %u)",
                qz_context_message(f->ctx), (unsigned long long)delay, failures,
                f->options.retries);
        QZI_TRY(pause_for(f, delay, t.done));
    }
}

static qz_status download(fetch *f, int fd)
{
    bool not_found = false;
    qz_status st = transfer_url(f, f->urls[0], fd, &not_found);
    if (st == QZ_ERR_NETWORK && not_found && f->urls[1][0] != '\0')
        st = transfer_url(f, f->urls[1], fd, &not_found);
    return st;
}

/* Whether the finished part is the file that was wanted. */
static qz_status check_part(const fetch *f)
{
    char hex[65];
    QZI_TRY(qz_sha256_file(f->ctx, f->part, hex));
    if (qzi_cache_hash_fits(f->info, hex))
        return QZ_OK;
    return qzi_fail(f->ctx, QZ_ERR_CHECKSUM,
                    "%s: what the server sent has the hash %.16s..., not %.16s; it was removed; "
                    "try again, or another mirror",
                    f->options.mirror ? f->options.mirror : f->info->url, hex, f->info->sha256);
}

/* Flushes and names the part. */
static qz_status finish(const fetch *f, int fd)
{
    if (fsync(fd) != 0)
        return qzi_fail_errno(f->ctx, f->part, "cannot be written", errno);
    char *folder = qzi_folder_of(f->ctx, f->path);
    if (!folder)
        return QZ_ERR_MEMORY;
    qz_status st = QZ_OK;
    if (rename(f->part, f->path) == 0) {
        unlink(f->part_info);
        qzi_sync_folder(folder);
    } else {
        st = qzi_fail_errno(f->ctx, f->path, "cannot be created", errno);
    }
    qzi_free(f->ctx, folder);
    return st;
}

/* With the lock held. */
static qz_status fetch_locked(fetch *f)
{
    for (bool again = false;; again = true) {
        int fd = open(f->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd < 0)
            return qzi_fail_errno(f->ctx, f->part, "cannot be created", errno);
        f->resumed = false;
        qz_status st = download(f, fd);
        bool complete = st == QZ_OK;
        if (complete)
            st = check_part(f);
        if (st == QZ_OK)
            st = finish(f, fd);
        struct stat info;
        bool empty = fstat(fd, &info) == 0 && info.st_size == 0;
        close(fd);
        if (st == QZ_ERR_CHECKSUM || (st != QZ_OK && empty))
            remove_part(f);
        /* the bytes from before a cut may be the bad ones: once more, from the start */
        if (st != QZ_ERR_CHECKSUM || !complete || !f->resumed || again)
            return st;
        qzi_log(f->ctx, QZ_LOG_INFO, "%s", qz_context_message(f->ctx));
    }
}

/* ---- the way in ---- */

/* Whether the file is there with the right hash; a wrong one is as good as none. */
static bool is_cached(const fetch *f)
{
    struct stat info;
    char hex[65];
    if (stat(f->path, &info) != 0 ||
        (f->info->size != 0 && (uint64_t)info.st_size != f->info->size))
        return false;
    return qz_sha256_file(f->ctx, f->path, hex) == QZ_OK && qzi_cache_hash_fits(f->info, hex);
}

static qz_status offline(const fetch *f)
{
    return qzi_fail(f->ctx, QZ_ERR_NETWORK,
                    "%s:%s is not in the cache, and offline nothing is fetched; without "
                    "--offline, qzoo weights fetch %s:%s gets it",
                    f->info->model, f->info->tag, f->info->model, f->info->tag);
}

static qz_status wait_and_fetch(fetch *f)
{
    int fd = -1;
    for (;;) {
        QZI_TRY(qzi_cache_lock(f->ctx, f->lock, &fd));
        if (fd >= 0)
            break;
        const struct timespec step = {0, WAIT_STEP * 1000000L};
        if (!report(f, 0, 0, true))
            return qzi_fail(f->ctx, QZ_ERR_CANCELLED,
                            "%s: cancelled while another process fetches it", f->info->url);
        nanosleep(&step, NULL);
    }
    /* another process may have fetched it while this one waited */
    qz_status st = is_cached(f) ? QZ_OK : fetch_locked(f);
    qzi_cache_unlock(f->lock, fd);
    return st;
}

static qz_status run(fetch *f, char *path, size_t size)
{
    qz_cache_state state;
    QZI_TRY(choose_urls(f));
    QZI_TRY(qzi_cache_path(f->ctx, f->info, "", &f->path));
    QZI_TRY(qzi_cache_path(f->ctx, f->info, QZI_CACHE_PART, &f->part));
    QZI_TRY(qzi_cache_path(f->ctx, f->info, QZI_CACHE_PART_INFO, &f->part_info));
    QZI_TRY(qzi_cache_path(f->ctx, f->info, QZI_CACHE_LOCK, &f->lock));
    QZI_TRY(qz_cache_find(f->ctx, f->info, &state, path, size));
    if (state == QZ_CACHE_TORCH_HUB || (state == QZ_CACHE_OWN && is_cached(f)))
        return QZ_OK;
    if (f->options.offline)
        return offline(f);
    QZI_TRY(qzi_cache_make_folder(f->ctx));
    return wait_and_fetch(f);
}

qz_status qz_weights_fetch(qz_context *context, const qz_weights_info *info,
                           const qz_fetch_options *options, char *path, size_t size)
{
    if (!context || !info || !path)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_weights_fetch: NULL argument");
    fetch *f = qzi_calloc(context, 1, sizeof(*f));
    if (!f)
        return QZ_ERR_MEMORY;
    f->ctx = context;
    f->info = info;
    qz_status st = check_options(f, options);
    if (st == QZ_OK)
        st = run(f, path, size);
    qzi_free(context, f->lock);
    qzi_free(context, f->part_info);
    qzi_free(context, f->part);
    qzi_free(context, f->path);
    qzi_free(context, f);
    return st;
}
