/* SPDX-License-Identifier: MIT */
/*
 * zip_writer.h - makes zip archives for tests, right ones and (patched by the test) wrong ones.
 * Shares no code with the reader under test.
 */
#ifndef QZOO_TESTS_ZIP_WRITER_H
#define QZOO_TESTS_ZIP_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct zip_record {
    const char *name;
    const void *data;
    size_t size;
    const void *deflated; /* raw deflate stream of data; NULL: stored */
    size_t deflated_size;
} zip_record;

/* An archive, to be freed with free(); zip64: all sizes stand in zip64 fields. */
uint8_t *zip_write(const zip_record *records, size_t count, bool zip64, size_t *size);

/* What torch.save writes around a pickle, with one storage "0" of `storage_size` bytes. */
uint8_t *zip_write_pth(const void *pickle, size_t pickle_size, const void *storage,
                       size_t storage_size, size_t *size);

/* Puts right every CRC of an archive whose records were changed in place. */
void zip_fix_crcs(uint8_t *zip, size_t size);

#endif
