/* SPDX-License-Identifier: MIT */
/* state_dict_tools.h - what the tests of weights/ share. */
#ifndef QZOO_TESTS_STATE_DICT_TOOLS_H
#define QZOO_TESTS_STATE_DICT_TOOLS_H

#include "weights/qzoo_weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* An allocator that counts, limits the size of a piece, and fails at the piece with one number. */
typedef struct tool_counter {
    int64_t live, total, fail_at; /* -1: never */
    size_t largest;
} tool_counter;

qz_context *tool_context(tool_counter *counter); /* NULL: the C library's */

/* Path of a committed fixture; valid until the next call. */
const char *tool_fixture(const char *name);
/* A whole file; freed with free(). */
uint8_t *tool_read(const char *path, size_t *size);
/* A path for a scratch file that is the test's own; valid until the next call. */
const char *tool_scratch(const char *name);

/* Reads every byte and checks what holds for all dicts: find, sizes, alignment. */
uint64_t tool_touch(const qz_state_dict *dict);

/* Parses bytes that must fail with `status` and one line that begins with "evil: " and holds
 * `part`. */
void tool_expect_failure(qz_context *ctx, const void *bytes, size_t size, qz_status status,
                         const char *part);
/* Parses damaged bytes: any outcome but a crash, a leak or an unclean status. */
void tool_expect_clean(qz_context *ctx, const void *bytes, size_t size);

/* The tensor of that key; it must have this dtype and these dimensions (-1 ends them). */
const void *tool_tensor(const qz_state_dict *dict, const char *key, qz_dtype dtype,
                        const int64_t *dims);
#define TOOL_DIMS(...) ((const int64_t[]){__VA_ARGS__, -1})

/* -2 -1 0 1 2 3 (uint8: 0 1 2 3 4 5; bool: 1 0 1 0 0 1), 2 x 3, in every dtype, keyed by its name.
 */
void tool_check_dtypes(const qz_state_dict *dict);

#endif
