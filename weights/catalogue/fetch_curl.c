/* SPDX-License-Identifier: MIT */
/*
 * fetch_curl.c - one HTTP transfer into a file, by libcurl.
 *
 * A range is asked for with If-Range, so that a server whose file has changed sends it whole; a
 * server without ranges does so too, and the file begins anew. Proxies are those of the
 * environment. libcurl may speak https only (and http, where requested), also
 * after redirects.
 */
#include "weights/catalogue/fetch.h"

#ifdef QZ_HAVE_FETCH

#include "weights/files.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define REDIRECTS_MAX 10
/* Below this many bytes a second over the whole timeout, a transfer counts as dead. */
#define SPEED_MIN 500

typedef struct session {
    qzi_transfer *t;
    CURL *curl;
    uint64_t asked_from; /* the range that was asked for; 0: none */
    uint64_t total;      /* of the file, from the answer; 0: unknown */
    uint64_t range_begin;
    bool has_range; /* Content-Range was there and readable */
    bool begun;     /* the first byte of a good answer came */
    char etag[QZI_VALIDATOR_MAX], modified[QZI_VALIDATOR_MAX];
    qz_status status; /* why a callback stopped the transfer */
    char error[CURL_ERROR_SIZE];
} session;

/* ---- headers ---- */

/* The value of header `name` in a line, without white space around it; false for another header. */
static bool header_value(const char *line, size_t size, const char *name, char *value, size_t room)
{
    size_t length = strlen(name);
    if (size <= length || strncasecmp(line, name, length) != 0 || line[length] != ':')
        return false;
    line += length + 1;
    size -= length + 1;
    while (size > 0 && (*line == ' ' || *line == '\t')) {
        line++;
        size--;
    }
    while (size > 0 && strchr(" \t\r\n", line[size - 1]))
        size--;
    if (size >= room)
        size = 0; /* one that long means nothing here */
    memcpy(value, line, size);
    value[size] = '\0';
    return true;
}

static size_t on_header(char *line, size_t one, size_t count, void *user)
{
    session *s = user;
    size_t size = one * count;
    char value[QZI_VALIDATOR_MAX];
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* another answer, after a redirect */
        s->etag[0] = s->modified[0] = '\0';
        s->has_range = false;
        s->total = 0;
    } else if (header_value(line, size, "ETag", value, sizeof(value))) {
        memcpy(s->etag, value, sizeof(value));
    } else if (header_value(line, size, "Last-Modified", value, sizeof(value))) {
        memcpy(s->modified, value, sizeof(value));
    } else if (header_value(line, size, "Content-Range", value, sizeof(value))) {
        unsigned long long begin = 0, end = 0, total = 0;
        int fields = sscanf(value, "bytes %llu-%llu/%llu", &begin, &end, &total);
        s->has_range = fields >= 2;
        s->range_begin = begin;
        s->total = fields == 3 ? total : 0;
    }
    return size;
}

/* What If-Range may name: a strong ETag, else the date. */
static void choose_validator(session *s)
{
    const char *best = s->etag[0] == '"' ? s->etag : s->modified;
    memcpy(s->t->validator, best, sizeof(s->t->validator));
}

/* ---- the body ---- */

static bool stop(session *s, qz_status status)
{
    s->status = status;
    return false;
}

static bool wrong_size(session *s, uint64_t size)
{
    return stop(s,
                qzi_fail(s->t->ctx, QZ_ERR_CHECKSUM,
                         "%s: the server's file has %llu bytes, the catalogue says %llu; it "
                         "was not fetched",
                         s->t->url, (unsigned long long)size,
                         (unsigned long long)(s->t->expected != 0 ? s->t->expected : s->t->limit)));
}

/* The answer is a good one: where do its bytes belong, and are they as many as they should be? */
static bool begin_body(session *s)
{
    qzi_transfer *t = s->t;
    curl_off_t length = -1;
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &t->http_status);
    curl_easy_getinfo(s->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    bool part = t->http_status == 206;
    if (part && (!s->has_range || s->range_begin != s->asked_from || s->asked_from == 0))
        return stop(s, qzi_fail(t->ctx, QZ_ERR_NETWORK,
                                "%s: the server sent another part of the file than was asked for",
                                t->url));
    if (!part) {
        t->done = 0;
        s->total = length > 0 ? (uint64_t)length : 0;
    } else if (s->total == 0 && length > 0) {
        s->total = t->done + (uint64_t)length;
    }
    if (s->total > t->limit || (s->total != 0 && t->expected != 0 && s->total != t->expected))
        return wrong_size(s, s->total);
    choose_validator(s);
    if (ftruncate(t->fd, (off_t)t->done) != 0 || lseek(t->fd, (off_t)t->done, SEEK_SET) < 0)
        return stop(s, qzi_fail_errno(t->ctx, t->path, "cannot be written", errno));
    s->begun = true;
    t->started(t->user, t);
    return true;
}

static size_t on_body(char *data, size_t one, size_t count, void *user)
{
    session *s = user;
    qzi_transfer *t = s->t;
    size_t size = one * count;
    if (!s->begun && !begin_body(s))
        return 0;
    if (size > t->limit - t->done) {
        wrong_size(s, t->done + size);
        return 0;
    }
    s->status = qzi_write_all(t->ctx, t->path, t->fd, data, size);
    if (s->status != QZ_OK) {
        off_t end = lseek(t->fd, 0, SEEK_CUR);
        t->done = end >= 0 ? (uint64_t)end : 0;
        return 0;
    }
    t->done += size;
    return size;
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up_now)
{
    session *s = user;
    (void)total, (void)now, (void)up_total, (void)up_now;
    if (s->t->progress(s->t->user, s->t->done, s->begun ? s->total : 0))
        return 0;
    s->status = qzi_fail(s->t->ctx, QZ_ERR_CANCELLED,
                         "%s: cancelled; the next fetch goes on where this one stopped", s->t->url);
    return 1;
}

/* ---- the transfer ---- */

static qz_status set_options(session *s, struct curl_slist **headers)
{
    qzi_transfer *t = s->t;
    CURL *c = s->curl;
    const char *protocols = t->allow_http ? "https,http" : "https";
    char range[32], if_range[QZI_VALIDATOR_MAX + 16];
    bool ok = curl_easy_setopt(c, CURLOPT_URL, t->url) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, protocols) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, protocols) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_USERAGENT, "qzoo/" QZ_VERSION_STRING) == CURLE_OK;
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, s->error);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)t->timeout);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)SPEED_MIN);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)t->timeout);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, s);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    if (t->ca_file)
        ok = ok && curl_easy_setopt(c, CURLOPT_CAINFO, t->ca_file) == CURLE_OK;
    if (t->done > 0 && t->validator[0] != '\0') {
        s->asked_from = t->done;
        snprintf(range, sizeof(range), "%llu-", (unsigned long long)t->done);
        snprintf(if_range, sizeof(if_range), "If-Range: %s", t->validator);
        *headers = curl_slist_append(NULL, if_range);
        /* not RESUME_FROM, which takes a whole file in answer for a failure */
        ok = ok && *headers && curl_easy_setopt(c, CURLOPT_RANGE, range) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_HTTPHEADER, *headers) == CURLE_OK;
    }
    return ok ? QZ_OK : qzi_fail_memory(t->ctx, sizeof(*s));
}

/* Failures that the same request may not meet again. */
static bool is_passing(CURLcode code, long http_status)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    case CURLE_HTTP_RETURNED_ERROR:
        return http_status >= 500 || http_status == 408 || http_status == 425 || http_status == 429;
    default:
        return false;
    }
}

static qz_status tell_http(const qzi_transfer *t)
{
    long http = t->http_status;
    const char *hint = http == 404 || http == 410
                           ? "the file is not there (any more); is the mirror or URL right?"
                       : http == 401 || http == 403 ? "the server refuses to give the file"
                       : http >= 500                ? "the server failed; try again later"
                                                    : "the server does not give the file";
    return qzi_fail(t->ctx, QZ_ERR_NETWORK, "%s: HTTP status %ld: %s", t->url, http, hint);
}

static qz_status report(session *s, CURLcode code)
{
    qzi_transfer *t = s->t;
    const char *text = s->error[0] != '\0' ? s->error : curl_easy_strerror(code);
    curl_off_t after = 0;
    t->passing = is_passing(code, t->http_status);
    if (curl_easy_getinfo(s->curl, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
        t->retry_after = (uint32_t)QZI_MIN(after, 3600);
    switch (code) {
    case CURLE_HTTP_RETURNED_ERROR:
        return tell_http(t);
    case CURLE_OUT_OF_MEMORY:
        return qzi_fail(t->ctx, QZ_ERR_MEMORY, "%s: out of memory", t->url);
    case CURLE_UNSUPPORTED_PROTOCOL:
        return qzi_fail(t->ctx, QZ_ERR_NETWORK,
                        "%s: only https is used unless http is asked for (a mirror or catalogue "
                        "entry with http:// does)",
                        t->url);
    case CURLE_TOO_MANY_REDIRECTS:
        return qzi_fail(t->ctx, QZ_ERR_NETWORK, "%s: more than %d redirects; it may be a loop",
                        t->url, REDIRECTS_MAX);
    case CURLE_OPERATION_TIMEDOUT:
        return qzi_fail(t->ctx, QZ_ERR_NETWORK, "%s: nothing came for %u seconds (%s)", t->url,
                        t->timeout, text);
    case CURLE_PARTIAL_FILE:
        return qzi_fail(t->ctx, QZ_ERR_NETWORK, "%s: the connection ended after %llu bytes", t->url,
                        (unsigned long long)t->done);
    default:
        return qzi_fail(t->ctx, QZ_ERR_NETWORK, "%s: %s", t->url, text);
    }
}

static qz_status run(session *s)
{
    qzi_transfer *t = s->t;
    struct curl_slist *headers = NULL;
    qz_status st = set_options(s, &headers);
    if (st == QZ_OK) {
        CURLcode code = curl_easy_perform(s->curl);
        curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &t->http_status);
        if (s->status != QZ_OK)
            st = s->status; /* its message is recorded */
        else if (code != CURLE_OK)
            st = report(s, code);
        else if (!s->begun && !begin_body(s)) /* an empty file */
            st = s->status;
    }
    curl_slist_free_all(headers);
    return st;
}

qz_status qzi_transfer_run(qzi_transfer *t)
{
    session *s = qzi_calloc(t->ctx, 1, sizeof(*s));
    t->http_status = 0;
    t->passing = false;
    t->retry_after = 0;
    if (!s)
        return QZ_ERR_MEMORY;
    s->t = t;
    s->curl = curl_easy_init(); /* initialises libcurl too; thread-safe since 7.84 */
    qz_status st = s->curl ? run(s) : qzi_fail(t->ctx, QZ_ERR_MEMORY, "libcurl cannot be started");
    curl_easy_cleanup(s->curl);
    qzi_free(t->ctx, s);
    return st;
}

#else

qz_status qzi_transfer_run(qzi_transfer *t)
{
    return qzi_fail(t->ctx, QZ_ERR_UNSUPPORTED,
                    "%s: this build fetches nothing; rebuild it with -Dfetch=enabled, or put the "
                    "file into the cache yourself",
                    t->url);
}

#endif
