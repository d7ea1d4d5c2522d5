/* SPDX-License-Identifier: MIT */
/* fuzz_load.h - what the fuzz targets of the readers of tensor files share. */
#ifndef QZOO_TESTS_FUZZ_LOAD_H
#define QZOO_TESTS_FUZZ_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aborts where the condition does not hold. */
void fuzz_check(bool good);
/*
 * Parses bytes as a file: no allocation beyond the budget of a file this small, one line of message
 * that names the file, and where it succeeds, tensors that can be read to their last byte.
 */
void fuzz_load(const void *bytes, size_t size);
/* The same with `head` before the bytes, so that none is refused by the first look at it. */
void fuzz_load_after(const void *head, size_t head_size, const void *bytes, size_t size);

#endif
