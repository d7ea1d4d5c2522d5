/* SPDX-License-Identifier: MIT */
/*
 * error.c - the message of the last failure, one for each thread, and the log callback.
 *
 * Messages quote names that come from files, so what would move a terminal's cursor or break the
 * line is replaced: control characters, and bytes that are not UTF-8.
 */
#include "layers/base/context.h"
#include "layers/base/memory.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX 1024

static _Thread_local char thread_message[MESSAGE_MAX];

static void sanitize(char *text)
{
    unsigned char *s = (unsigned char *)text;
    while (*s != 0) {
        size_t n = qzi_printable_length(s);
        if (n == 0) {
            *s = '?';
            n = 1;
        }
        s += n;
    }
}

/* Arguments may point into the thread's own message, so it is written only at the end. */
static void QZ_PRINTF(2, 0) format_line(char *line, const char *fmt, va_list args)
{
    if (vsnprintf(line, MESSAGE_MAX, fmt, args) < 0)
        line[0] = 0;
    sanitize(line);
}

qz_status qzi_fail(const qz_context *ctx, qz_status status, const char *fmt, ...)
{
    (void)ctx;
    char line[MESSAGE_MAX];
    va_list args;
    va_start(args, fmt);
    format_line(line, fmt, args);
    va_end(args);
    memcpy(thread_message, line, sizeof(line));
    return status;
}

qz_status qzi_fail_memory(const qz_context *ctx, size_t bytes)
{
    if (bytes == SIZE_MAX)
        return qzi_fail(ctx, QZ_ERR_MEMORY,
                        "out of memory: more bytes were asked for than can be counted");
    return qzi_fail(ctx, QZ_ERR_MEMORY, "out of memory: %s were asked for",
                    qzi_bytes_text(bytes).text);
}

/* Appends what fits. */
static void append(char *line, const char *text)
{
    size_t used = strlen(line), more = strlen(text);
    more = QZI_MIN(more, MESSAGE_MAX - 1 - used);
    memcpy(line + used, text, more);
    line[used + more] = 0;
}

qz_status qzi_fail_prefix(const qz_context *ctx, qz_status status, const char *fmt, ...)
{
    (void)ctx;
    char line[MESSAGE_MAX];
    va_list args;
    va_start(args, fmt);
    format_line(line, fmt, args);
    va_end(args);
    append(line, ": ");
    append(line, thread_message);
    sanitize(line); /* the end may have been cut inside a character */
    memcpy(thread_message, line, sizeof(line));
    return status;
}

void qzi_log(const qz_context *ctx, qz_log_level level, const char *fmt, ...)
{
    if (!ctx || !ctx->log)
        return;
    char line[MESSAGE_MAX];
    va_list args;
    va_start(args, fmt);
    format_line(line, fmt, args);
    va_end(args);
    ctx->log(ctx->log_user, level, line);
}

const char *qz_context_message(const qz_context *context)
{
    (void)context;
    return thread_message;
}

const char *qz_status_name(qz_status status)
{
    switch (status) {
#define STATUS_NAME(name, number, text) \
    case QZ_##name:                     \
        return "QZ_" #name;
        QZ_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    }
    return "unknown status";
}

const char *qz_status_text(qz_status status)
{
    switch (status) {
#define STATUS_TEXT(name, number, text) \
    case QZ_##name:                     \
        return text;
        QZ_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}

const char *qz_version(void)
{
    return QZ_VERSION_STRING;
}

uint32_t qz_version_number(void)
{
    return QZ_VERSION_NUMBER;
}
