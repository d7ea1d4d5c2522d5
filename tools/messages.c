/* SPDX-License-Identifier: MIT */
/* messages.c - messages on stderr. */
#include "messages.h"

#include "interrupt.h"
#include "options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192

static bool failed;

/* One line, with nothing in it that moves a terminal's cursor. */
static void QZ_PRINTF(2, 0) put_line(const char *before, const char *fmt, va_list ap)
{
    char text[LINE_MAX_BYTES], line[4 * LINE_MAX_BYTES];
    vsnprintf(text, sizeof(text), fmt, ap);
    qz_text_printable(text, line, sizeof(line));
    fprintf(stderr, "%s%s\n", before, line);
}

void tool_print(const char *fmt, ...)
{
    char text[LINE_MAX_BYTES], line[4 * LINE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    qz_text_printable(text, line, sizeof(line));
    puts(line);
}

int tool_fail(int status, const char *fmt, ...)
{
    va_list ap;
    failed = true;
    va_start(ap, fmt);
    put_line("qzoo: ", fmt, ap);
    va_end(ap);
    return status;
}

bool tool_has_failed(void)
{
    return failed;
}

/* ---- warnings ---- */

#define WARNINGS_MAX 64

static char *warnings[WARNINGS_MAX];
static size_t warning_count;

void tool_warning(bool quiet, const char *text)
{
    for (size_t i = 0; i < warning_count; i++) {
        if (strcmp(warnings[i], text) == 0)
            return;
    }
    if (warning_count < WARNINGS_MAX) {
        char *copy = strdup(text);
        if (copy)
            warnings[warning_count++] = copy;
    }
    tool_note(quiet, "qzoo: warning: %s", text);
}

const char *tool_warning_at(size_t index)
{
    return index < warning_count ? warnings[index] : NULL;
}

void tool_warnings_clear(void)
{
    while (warning_count)
        free(warnings[--warning_count]);
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

/* The program's name of the option `field` of `length` bytes, with "--"; false: it has none. */
static bool option_name(const char *field, size_t length, char name[32])
{
    if (length == 0 || length > 28)
        return false;
    snprintf(name, 32, "--%.*s", (int)length, field);
    for (char *p = name; *p; p++)
        *p = *p == '_' ? '-' : *p;
    return option_find(name, length + 2) != NULL;
}

const char *tool_words(const char *message, char *text, size_t size)
{
    static const char word[] = "options.";
    size_t used = 0;
    char name[32];
    for (const char *p = message; *p && used + 1 < size;) {
        const char *field = p + sizeof(word) - 1;
        size_t length = 0;
        /* not in the name of a file */
        if (strncmp(p, word, sizeof(word) - 1) == 0 &&
            (p == message || p[-1] == ' ' || p[-1] == '('))
            length = strspn(field, "abcdefghijklmnopqrstuvwxyz_");
        if (length && !strchr("./", field[length] ? field[length] : ' ') &&
            option_name(field, length, name)) {
            used += (size_t)snprintf(text + used, size - used, "%s", name);
            p = field + length;
        } else {
            text[used++] = *p++;
        }
    }
    text[used < size ? used : size - 1] = '\0';
    return text;
}

int tool_fail_status(qz_context *ctx, qz_status status)
{
    const char *message = qz_context_message(ctx);
    char text[1200];
    /* main says which signal it was; a message that says more is shown */
    if (status == QZ_ERR_CANCELLED && interrupt_signal() && strcmp(message, "cancelled") == 0)
        return EXIT_FAILED;
    return tool_fail(tool_exit_of(status), "%s",
                     tool_words(*message ? message : qz_status_text(status), text, sizeof(text)));
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
    put_line("", fmt, ap);
    va_end(ap);
}
