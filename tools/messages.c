/* SPDX-License-Identifier: MIT */
/* messages.c - messages on stderr. */
#include "messages.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int tool_fail(int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("qzoo: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return status;
}

int tool_fail_memory(void)
{
    return tool_fail(EXIT_FAILED, "out of memory");
}

int tool_exit_of(qz_status status)
{
    switch (status) {
    case QZ_OK:
        return EXIT_DONE;
    case QZ_ERR_ARGUMENT:
    case QZ_ERR_UNKNOWN_NAME:
        return EXIT_USAGE;
    case QZ_ERR_IO:
    case QZ_ERR_FORMAT:
    case QZ_ERR_MISMATCH:
    case QZ_ERR_NUMERIC:
        return EXIT_INPUT;
    case QZ_ERR_NETWORK:
    case QZ_ERR_CHECKSUM:
        return EXIT_FETCH;
    case QZ_ERR_UNSUPPORTED:
        return EXIT_UNSUPPORTED;
    default:
        return EXIT_FAILED;
    }
}

int tool_fail_status(qz_context *ctx, qz_status status)
{
    const char *message = qz_context_message(ctx);
    return tool_fail(tool_exit_of(status), "%s", *message ? message : qz_status_text(status));
}

void tool_progress(bool quiet, const char *what, size_t done, size_t total)
{
    if (quiet || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s %zu/%zu", what, done, total);
    if (done == total)
        fputs("\r\033[K", stderr);
    fflush(stderr);
}

void tool_note(bool quiet, const char *fmt, ...)
{
    va_list ap;
    if (quiet)
        return;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}
