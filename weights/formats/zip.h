/* SPDX-License-Identifier: MIT */
/*
 * zip.h - reading zip archives that torch wrote, and nobody trusts. Private.
 */
#ifndef QZOO_WEIGHTS_FORMATS_ZIP_H
#define QZOO_WEIGHTS_FORMATS_ZIP_H

#include "weights/state_dict.h"

typedef struct qzi_zip_entry {
    const char *name; /* in the file, no NUL */
    size_t name_size;
    uint16_t method; /* 0 stored, 8 deflated */
    uint32_t crc;
    size_t offset; /* of the local header, where overlaps are looked for */
    size_t end;    /* of the data */
    size_t data_offset;
    size_t packed_size, size;
    const uint8_t *data; /* once read: in the file, or a block of the dict */
} qzi_zip_entry;

typedef struct qzi_zip {
    qz_state_dict *dict;
    qzi_zip_entry *entries;
    size_t count;
    size_t *by_name;
} qzi_zip;

/* Reads and checks the directory of dict->bytes. Close it in any case. */
qz_status qzi_zip_open(qz_state_dict *dict, qzi_zip *zip);
void qzi_zip_close(qzi_zip *zip);
qzi_zip_entry *qzi_zip_find(const qzi_zip *zip, const char *name, size_t name_size);
/* Sets entry->data, inflated where needed and checked against the CRC; the second call is free. */
qz_status qzi_zip_read(const qzi_zip *zip, qzi_zip_entry *entry);

/* npz.c: an archive that is not torch's. */
qz_status qzi_read_npz(const qzi_zip *zip);

#endif
