/* SPDX-License-Identifier: MIT */
/* capture.h - what is printed on a stream meanwhile. For cmocka tests. */
#ifndef QZOO_TESTS_CLI_CAPTURE_H
#define QZOO_TESTS_CLI_CAPTURE_H

#include <stdio.h>
#include <unistd.h>

typedef struct capture {
    FILE *stream, *file;
    int saved;
} capture;

static inline capture capture_begin(FILE *stream)
{
    capture c = {stream, tmpfile(), dup(fileno(stream))};
    assert_non_null(c.file);
    fflush(stream);
    dup2(fileno(c.file), fileno(stream));
    return c;
}

/* Ends it; `text` gets what was printed, cut to `size` with its NUL. */
static inline void capture_end(capture *c, char *text, size_t size)
{
    fflush(c->stream);
    dup2(c->saved, fileno(c->stream));
    close(c->saved);
    rewind(c->file);
    text[fread(text, 1, size - 1, c->file)] = '\0';
    fclose(c->file);
}

#endif
