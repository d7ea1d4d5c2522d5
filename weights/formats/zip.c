/* SPDX-License-Identifier: MIT */
/*
 * zip.c - a zip reader for .pth files: central directory, stored and deflated entries,
 * zip64. (Format: APPNOTE.TXT of PKWARE.)
 *
 * Every offset is checked against the file, headers must agree with the directory, and no two
 * entries may share a byte: with that the total output is bounded by the file and deflate's ratio,
 * which the dict's budget bounds further. CRCs are checked by zlib when an entry is read.
 */
#include "weights/formats/zip.h"

#include "weights/bytes.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

#define LOCAL_SIZE 30
#define CENTRAL_SIZE 46
#define END_SIZE 22
#define END64_SIZE 56
#define LOCATOR64_SIZE 20

typedef struct directory {
    uint64_t offset, size, count;
    size_t limit; /* where the end records begin: entries lie before */
} directory;

static qz_status damaged(const qz_state_dict *dict, const char *what)
{
    return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                    "%s: damaged zip archive (%s); download or save it again", dict->name, what);
}

/* The zip64 end record before the end record at `end`, if there is one. */
static qz_status read_end64(const qz_state_dict *dict, size_t end, directory *dir)
{
    const uint8_t *bytes = dict->bytes;
    bool needed = dir->count == 0xFFFF || dir->size == UINT32_MAX || dir->offset == UINT32_MAX;
    if (end < LOCATOR64_SIZE + END64_SIZE || memcmp(bytes + end - LOCATOR64_SIZE, "PK\6\7", 4) != 0)
        return needed ? damaged(dict, "zip64 record missing") : QZ_OK;
    uint64_t at = qzi_le64(bytes + end - LOCATOR64_SIZE + 8);
    if (at > end - LOCATOR64_SIZE - END64_SIZE || memcmp(bytes + at, "PK\6\6", 4) != 0)
        return damaged(dict, "zip64 record not where it should be");
    const uint8_t *p = bytes + at;
    directory wide = {qzi_le64(p + 48), qzi_le64(p + 40), qzi_le64(p + 32), (size_t)at};
    if (qzi_le32(p + 16) != 0 || qzi_le32(p + 20) != 0 || qzi_le64(p + 24) != wide.count)
        return damaged(dict, "more than one volume");
    if ((dir->count != 0xFFFF && dir->count != wide.count) ||
        (dir->size != UINT32_MAX && dir->size != wide.size) ||
        (dir->offset != UINT32_MAX && dir->offset != wide.offset))
        return damaged(dict, "its two end records disagree");
    *dir = wide;
    return QZ_OK;
}

static qz_status read_end(const qz_state_dict *dict, directory *dir)
{
    if (dict->size < END_SIZE)
        return damaged(dict, "truncated");
    /* the record ends with a comment of up to 64 KiB, which ends the file */
    size_t last = dict->size - END_SIZE;
    size_t first = last > UINT16_MAX ? last - UINT16_MAX : 0;
    size_t end = last + 1;
    do {
        if (end == first)
            return damaged(dict, "truncated: no directory at its end");
        end--;
    } while (memcmp(dict->bytes + end, "PK\5\6", 4) != 0 ||
             qzi_le16(dict->bytes + end + 20) != last - end);
    const uint8_t *p = dict->bytes + end;
    *dir = (directory){qzi_le32(p + 16), qzi_le32(p + 12), qzi_le16(p + 10), end};
    if (qzi_le16(p + 4) != 0 || qzi_le16(p + 6) != 0 || qzi_le16(p + 8) != dir->count)
        return damaged(dict, "more than one volume");
    QZI_TRY(read_end64(dict, end, dir));
    if (dir->offset > dir->limit || dir->size > dir->limit - dir->offset ||
        dir->count > dir->size / CENTRAL_SIZE)
        return damaged(dict, "directory out of bounds");
    return QZ_OK;
}

/* Replaces the fields that a zip64 extra field holds instead. */
static bool read_extra64(const uint8_t *extra, size_t size, uint64_t *unpacked, uint64_t *packed,
                         uint64_t *offset)
{
    uint64_t *fields[] = {unpacked, packed, offset};
    for (size_t at = 0; size - at >= 4;) {
        size_t tag = qzi_le16(extra + at), length = qzi_le16(extra + at + 2);
        at += 4;
        if (length > size - at)
            return false;
        if (tag == 1) {
            size_t used = 0;
            for (size_t i = 0; i < QZI_ARRAY_LEN(fields); i++) {
                if (*fields[i] != UINT32_MAX)
                    continue;
                if (length - used < 8)
                    return false;
                *fields[i] = qzi_le64(extra + at + used);
                used += 8;
            }
            return true;
        }
        at += length;
    }
    return *unpacked != UINT32_MAX && *packed != UINT32_MAX && *offset != UINT32_MAX;
}

/* Checks the entry's local header and finds its data. */
static qz_status read_local(const qz_state_dict *dict, const directory *dir, uint64_t offset,
                            uint64_t packed, qzi_zip_entry *entry)
{
    if (offset > dir->offset || dir->offset - offset < LOCAL_SIZE)
        return damaged(dict, "entry out of bounds");
    const uint8_t *p = dict->bytes + offset;
    uint64_t room = dir->offset - offset - LOCAL_SIZE;
    uint64_t skip = (uint64_t)qzi_le16(p + 26) + qzi_le16(p + 28);
    if (memcmp(p, "PK\3\4", 4) != 0 || skip > room || packed > room - skip)
        return damaged(dict, "entry out of bounds");
    if (qzi_le16(p + 8) != entry->method || qzi_le16(p + 26) != entry->name_size ||
        memcmp(p + LOCAL_SIZE, entry->name, entry->name_size) != 0)
        return damaged(dict, "an entry and the directory disagree");
    entry->offset = (size_t)offset;
    entry->data_offset = (size_t)(offset + LOCAL_SIZE + skip);
    entry->end = entry->data_offset + (size_t)packed;
    return QZ_OK;
}

/* One entry of the directory; *at moves on to the next. */
static qz_status read_central(const qz_state_dict *dict, const directory *dir, size_t *at,
                              qzi_zip_entry *entry)
{
    size_t left = (size_t)(dir->offset + dir->size) - *at;
    const uint8_t *p = dict->bytes + *at;
    if (left < CENTRAL_SIZE || memcmp(p, "PK\1\2", 4) != 0)
        return damaged(dict, "directory truncated");
    size_t name = qzi_le16(p + 28), extra = qzi_le16(p + 30), comment = qzi_le16(p + 32);
    if (left - CENTRAL_SIZE < name + extra + comment)
        return damaged(dict, "directory truncated");
    *at += CENTRAL_SIZE + name + extra + comment;
    uint64_t packed = qzi_le32(p + 20), unpacked = qzi_le32(p + 24), offset = qzi_le32(p + 42);
    if (!read_extra64(p + CENTRAL_SIZE + name, extra, &unpacked, &packed, &offset))
        return damaged(dict, "bad zip64 field");
    *entry = (qzi_zip_entry){.name = (const char *)p + CENTRAL_SIZE,
                             .name_size = name,
                             .method = qzi_le16(p + 10),
                             .crc = qzi_le32(p + 16)};
    if (qzi_le16(p + 34) != 0)
        return damaged(dict, "more than one volume");
    if ((qzi_le16(p + 8) & 1) != 0 || (entry->method != 0 && entry->method != 8))
        return qzi_fail(dict->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: an entry is encrypted or compressed by another method than deflate",
                        dict->name);
    QZI_TRY(read_local(dict, dir, offset, packed, entry));
    if (unpacked > SIZE_MAX || (entry->method == 0 && unpacked != packed))
        return damaged(dict, "sizes disagree");
    entry->packed_size = (size_t)packed;
    entry->size = (size_t)unpacked;
    return QZ_OK;
}

static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, QZI_MIN(a_size, b_size));
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static bool name_before(const void *arg, size_t a, size_t b)
{
    const qzi_zip_entry *x = (const qzi_zip_entry *)arg + a, *y = (const qzi_zip_entry *)arg + b;
    return compare_names(x->name, x->name_size, y->name, y->name_size) < 0;
}

static bool offset_before(const void *arg, size_t a, size_t b)
{
    const qzi_zip_entry *entries = arg;
    return entries[a].offset < entries[b].offset;
}

static qz_status check_entries(qzi_zip *zip)
{
    const qzi_zip_entry *entries = zip->entries;
    size_t *index = zip->by_name; /* for both orders, the one by name stays */
    qzi_sort_indices(index, zip->count, offset_before, entries);
    for (size_t i = 1; i < zip->count; i++) {
        if (entries[index[i - 1]].end > entries[index[i]].offset)
            return damaged(zip->dict, "entries overlap");
    }
    qzi_sort_indices(index, zip->count, name_before, entries);
    for (size_t i = 1; i < zip->count; i++) {
        if (!name_before(entries, index[i - 1], index[i]))
            return damaged(zip->dict, "two entries have one name");
    }
    return QZ_OK;
}

qz_status qzi_zip_open(qz_state_dict *dict, qzi_zip *zip)
{
    directory dir = {0};
    *zip = (qzi_zip){.dict = dict};
    QZI_TRY(read_end(dict, &dir));
    size_t count = (size_t)dir.count;
    QZI_TRY(qzi_dict_charge(dict, count * (sizeof(*zip->entries) + sizeof(*zip->by_name))));
    zip->entries = qzi_calloc(dict->ctx, count, sizeof(*zip->entries));
    zip->by_name = qzi_calloc(dict->ctx, count, sizeof(*zip->by_name));
    if (!zip->entries || !zip->by_name)
        return QZ_ERR_MEMORY;
    size_t at = (size_t)dir.offset;
    for (; zip->count < count; zip->count++)
        QZI_TRY(read_central(dict, &dir, &at, &zip->entries[zip->count]));
    if (at != dir.offset + dir.size)
        return damaged(dict, "directory longer than its entries");
    return check_entries(zip);
}

void qzi_zip_close(qzi_zip *zip)
{
    qzi_free(zip->dict->ctx, zip->entries);
    qzi_free(zip->dict->ctx, zip->by_name);
}

qzi_zip_entry *qzi_zip_find(const qzi_zip *zip, const char *name, size_t name_size)
{
    size_t low = 0, high = zip->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        qzi_zip_entry *entry = &zip->entries[zip->by_name[middle]];
        int order = compare_names(name, name_size, entry->name, entry->name_size);
        if (order == 0)
            return entry;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static void *zlib_alloc(void *user, unsigned count, unsigned size)
{
    return qzi_calloc(user, count, size);
}

static void zlib_free(void *user, void *ptr)
{
    qzi_free(user, ptr);
}

/* Inflates the whole entry into `out`; the result must have exactly the size in the directory. */
static qz_status inflate_entry(const qzi_zip *zip, const qzi_zip_entry *entry, uint8_t *out)
{
    const qz_state_dict *dict = zip->dict;
    z_stream stream = {
        .zalloc = zlib_alloc, .zfree = zlib_free, .opaque = (void *)(uintptr_t)dict->ctx};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return qzi_fail_memory(dict->ctx, (size_t)1 << MAX_WBITS);
    const uint8_t *in = dict->bytes + entry->data_offset;
    size_t in_left = entry->packed_size, out_left = entry->size;
    int code = Z_OK;
    while (code == Z_OK) {
        /* zlib counts in unsigned int; pieces of 1 GiB */
        uInt in_now = (uInt)QZI_MIN(in_left, (size_t)1 << 30);
        uInt out_now = (uInt)QZI_MIN(out_left, (size_t)1 << 30);
        stream.next_in = (z_const Bytef *)(uintptr_t)in;
        stream.avail_in = in_now;
        stream.next_out = out;
        stream.avail_out = out_now;
        code = inflate(&stream, Z_NO_FLUSH);
        in += in_now - stream.avail_in;
        in_left -= in_now - stream.avail_in;
        out += out_now - stream.avail_out;
        out_left -= out_now - stream.avail_out;
    }
    inflateEnd(&stream);
    if (code == Z_MEM_ERROR)
        return qzi_fail_memory(dict->ctx, (size_t)1 << MAX_WBITS);
    if (code != Z_STREAM_END || in_left != 0 || out_left != 0)
        return damaged(dict, "an entry does not inflate to its size");
    return QZ_OK;
}

/* ---- checksums ---- */

#define CRC_PIECES 16
/* Below this a thread costs more than it saves. */
#define CRC_PIECE_MIN ((size_t)1 << 18)

typedef struct crc_task {
    const uint8_t *data;
    size_t piece; /* bytes of each but the last */
    size_t size;
    uLong crcs[CRC_PIECES];
} crc_task;

static size_t piece_size(const crc_task *task, size_t index)
{
    return QZI_MIN(task->piece, task->size - index * task->piece);
}

static void crc_pieces(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    crc_task *task = arg;
    (void)thread;
    for (size_t i = (size_t)begin; i < (size_t)end; i++)
        task->crcs[i] = crc32_z(0, task->data + i * task->piece, piece_size(task, i));
}

/* zlib's checksum by several threads: of large files it takes as long as reading them. */
static uint32_t checksum(const qz_context *ctx, const uint8_t *data, size_t size)
{
    if (size < 2 * CRC_PIECE_MIN)
        return (uint32_t)crc32_z(0, data, size);
    crc_task task = {.data = data, .size = size};
    task.piece = QZI_MAX(size / CRC_PIECES + 1, CRC_PIECE_MIN);
    size_t count = (size + task.piece - 1) / task.piece;
    qzi_parallel(ctx, qz_context_threads(ctx), (int64_t)count, 1, crc_pieces, &task);
    uLong crc = task.crcs[0];
    for (size_t i = 1; i < count; i++)
        crc = crc32_combine(crc, task.crcs[i], (z_off_t)piece_size(&task, i));
    return (uint32_t)crc;
}

qz_status qzi_zip_read(const qzi_zip *zip, qzi_zip_entry *entry)
{
    qz_state_dict *dict = zip->dict;
    if (entry->data)
        return QZ_OK;
    const uint8_t *data = dict->bytes + entry->data_offset;
    if (entry->method != 0) {
        uint8_t *block = NULL;
        QZI_TRY(qzi_dict_block(dict, entry->size, &block));
        QZI_TRY(inflate_entry(zip, entry, block));
        data = block;
    }
    if (checksum(dict->ctx, data, entry->size) != entry->crc)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                        "%s: the checksum of '%.*s' does not match; download or save it again",
                        dict->name, (int)QZI_MIN(entry->name_size, 200), entry->name);
    entry->data = data;
    return QZ_OK;
}
