/* SPDX-License-Identifier: MIT */
/*
 * state_dict.c - opens a file of named tensors: reads it, recognizes its format by its content, and
 * answers questions about what the format's reader found.
 */
#include "weights/state_dict.h"

#include "weights/bytes.h"
#include "weights/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough of a file to recognize its format. */
#define HEAD_SIZE 512

typedef struct file_kind {
    size_t offset;
    const char *magic;
    size_t size;
    qz_status status; /* QZ_OK: there is a reader */
    const char *message;
    qz_status (*read)(qz_state_dict *dict);
} file_kind;

#define MAGIC(offset, text) offset, text, sizeof(text) - 1

#ifdef QZ_HAVE_ZLIB
#define READ_ZIP QZ_OK, NULL, qzi_read_zip
#else
#define READ_ZIP                                                                                  \
    QZ_ERR_UNSUPPORTED,                                                                           \
        "this build reads no zip files (it lacks zlib), as .pth and .npz are; rebuild with zlib " \
        "or convert the file to safetensors",                                                     \
        NULL
#endif

static const file_kind kinds[] = {
    {MAGIC(0, "PK\3\4"), READ_ZIP},
    {MAGIC(0, "PK\5\6"), READ_ZIP}, /* an empty archive */
    {MAGIC(8, "{"), QZ_OK, NULL, qzi_read_safetensors},
    /* the pickled magic number that legacy files begin with, and the still older tar */
    {MAGIC(0, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"), QZ_OK, NULL,
     qzi_read_legacy_pth},
    {MAGIC(257, "ustar"), QZ_ERR_UNSUPPORTED,
     "is a .pth of torch 0.1 (tar), which is not read; load it in PyTorch and torch.save it again",
     NULL},
    /* darknet: int32 major 0 or 1, minor below 10 */
    {MAGIC(0, "\0\0\0\0\1\0\0\0"), QZ_OK, NULL, qzi_read_darknet},
    {MAGIC(0, "\0\0\0\0\2\0\0\0"), QZ_OK, NULL, qzi_read_darknet},
    {MAGIC(0, "\1\0\0\0\0\0\0\0"), QZ_OK, NULL, qzi_read_darknet},
    {MAGIC(0, "\x80"), QZ_ERR_UNSUPPORTED,
     "is a bare pickle, not a torch file; save a state dict with torch.save", NULL},
    {MAGIC(0, "version https://git-lfs"), QZ_ERR_FORMAT,
     "is a Git LFS pointer instead of the file itself; run git lfs pull", NULL},
    {MAGIC(0, "<"), QZ_ERR_FORMAT,
     "is a web page or XML instead of weights; check where it was downloaded from", NULL},
};

/* The kind of a file by its first bytes; fails for all but those that have a reader. */
static qz_status tell_kind(const qz_context *ctx, const char *name, const uint8_t *head,
                           size_t size, const file_kind **kind)
{
    if (size == 0)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: is empty; download it again", name);
    for (size_t i = 0; i < QZI_ARRAY_LEN(kinds); i++) {
        const file_kind *k = &kinds[i];
        if (size < k->offset + k->size || memcmp(head + k->offset, k->magic, k->size) != 0)
            continue;
        *kind = k;
        if (k->status != QZ_OK)
            return qzi_fail(ctx, k->status, "%s: %s", name, k->message);
        return QZ_OK;
    }
    return qzi_fail(ctx, QZ_ERR_FORMAT,
                    "%s: is neither a .pth, .safetensors, .npz nor darknet .weights file", name);
}

/* Reads `size` bytes from the start of the file. */
static qz_status read_bytes(const qz_context *ctx, const char *path, int fd, uint8_t *bytes,
                            size_t size)
{
    const size_t most = (size_t)16 << 20; /* between two the caller may cancel */
    for (size_t done = 0; done < size;) {
        QZI_TRY(qzi_check_cancelled(ctx));
        ssize_t got = pread(fd, bytes + done, QZI_MIN(size - done, most), (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return qzi_fail_errno(ctx, path, "cannot be read", errno);
        if (got == 0)
            return qzi_fail(ctx, QZ_ERR_IO, "%s: became shorter while it was read; try again",
                            path);
        done += (size_t)got;
    }
    return QZ_OK;
}

/* Reads or maps the file as dict->bytes, once its first bytes show that it is worth it. */
static qz_status read_open_file(qz_state_dict *dict, const char *path, int fd,
                                const file_kind **kind)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return qzi_fail_errno(dict->ctx, path, "cannot be read", errno);
    if (!S_ISREG(info.st_mode))
        return qzi_fail(dict->ctx, QZ_ERR_IO, "%s: is %s, not a regular file", path,
                        S_ISDIR(info.st_mode) ? "a directory" : "a device, pipe or socket");
    if ((uint64_t)info.st_size > QZI_MIN(QZI_FILE_MAX, SIZE_MAX / 2))
        return qzi_fail(dict->ctx, QZ_ERR_UNSUPPORTED, "%s: is larger than %d GiB", path,
                        (int)(QZI_FILE_MAX >> 30));
    dict->size = (size_t)info.st_size;
    uint8_t head[HEAD_SIZE];
    size_t head_size = QZI_MIN(dict->size, sizeof(head));
    QZI_TRY(read_bytes(dict->ctx, path, fd, head, head_size));
    QZI_TRY(tell_kind(dict->ctx, path, head, head_size, kind));
    if (dict->mapped) {
        void *map = mmap(NULL, dict->size, PROT_READ, MAP_PRIVATE, fd, 0);
        dict->mapped = map != MAP_FAILED; /* not every file system can; then it is read */
        if (dict->mapped) {
            dict->bytes = map;
            return QZ_OK;
        }
    }
    dict->bytes = qzi_alloc(dict->ctx, dict->size);
    if (!dict->bytes)
        return QZ_ERR_MEMORY;
    return read_bytes(dict->ctx, path, fd, dict->bytes, dict->size);
}

static void release_bytes(qz_state_dict *dict)
{
    if (dict->bytes && dict->mapped)
        munmap(dict->bytes, dict->size);
    else
        qzi_free(dict->ctx, dict->bytes);
    dict->bytes = NULL;
}

static qz_status read_file(qz_state_dict *dict, const char *path, const file_kind **kind)
{
    /* O_NONBLOCK: a FIFO must be refused, not waited for */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return qzi_fail_errno(dict->ctx, path, "cannot be opened", errno);
    qz_status st = read_open_file(dict, path, fd, kind);
    close(fd);
    return st;
}

static qz_status copy_bytes(qz_state_dict *dict, const void *bytes, size_t size,
                            const file_kind **kind)
{
    QZI_TRY(tell_kind(dict->ctx, dict->name, bytes, size, kind));
    dict->size = size;
    dict->bytes = qzi_alloc(dict->ctx, size);
    if (!dict->bytes)
        return QZ_ERR_MEMORY;
    memcpy(dict->bytes, bytes, size);
    return QZ_OK;
}

static qz_status read_kind(qz_state_dict *dict, const file_kind *kind)
{
    dict->budget = QZI_DICT_BUDGET_BASE;
    dict->budget += QZI_MIN(dict->size, (SIZE_MAX - dict->budget) / QZI_DICT_BUDGET_FACTOR) *
                    QZI_DICT_BUDGET_FACTOR;
    QZI_TRY(kind->read(dict));
    QZI_TRY(qzi_dict_seal(dict));
    if (!dict->bytes_used)
        release_bytes(dict);
    dict->name = dict->want = NULL;
    return QZ_OK;
}

static qz_status load(const qz_context *ctx, const char *name, const qz_state_dict_options *options,
                      qz_state_dict **out)
{
    const file_kind *kind = NULL;
    qz_state_dict *dict = NULL;
    QZI_TRY(qzi_dict_new(ctx, name, &dict));
    dict->want = options->key;
    dict->mapped = options->map && !options->bytes;
    qz_status st = !options->bytes ? read_file(dict, name, &kind)
                                   : copy_bytes(dict, options->bytes, options->byte_count, &kind);
    if (st == QZ_OK && (kind->read == qzi_read_safetensors || kind->read == qzi_read_darknet))
        st = qzi_dict_check_flat(dict);
    if (st == QZ_OK)
        st = read_kind(dict, kind);
    if (st == QZ_ERR_MEMORY) /* the one message that does not begin with the path */
        qzi_fail_prefix(ctx, st, "%s", name);
    if (st != QZ_OK) {
        qz_state_dict_destroy(dict);
        return st;
    }
    *out = dict;
    return QZ_OK;
}

qz_status qz_state_dict_open(qz_context *context, const char *path,
                             const qz_state_dict_options *options, qz_state_dict **dict)
{
    qz_state_dict_options o;
    if (dict)
        *dict = NULL;
    if (!context || !path || !dict)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_state_dict_open: NULL argument");
    QZI_TRY(qzi_options_take(context, options, &o, sizeof(o), "qz_state_dict_options"));
    return load(context, path, &o, dict);
}

qz_status qz_state_dict_load(qz_context *context, const char *path, qz_state_dict **dict)
{
    return qz_state_dict_open(context, path, NULL, dict);
}

qz_status qz_state_dict_map(qz_context *context, const char *path, qz_state_dict **dict)
{
    qz_state_dict_options options = QZ_STATE_DICT_OPTIONS_INIT;
    options.map = true;
    return qz_state_dict_open(context, path, &options, dict);
}

qz_status qz_state_dict_parse(qz_context *context, const void *bytes, size_t size, const char *name,
                              qz_state_dict **dict)
{
    qz_state_dict_options options = QZ_STATE_DICT_OPTIONS_INIT;
    if (dict)
        *dict = NULL;
    if (!bytes && size > 0)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_state_dict_parse: NULL argument");
    options.bytes = bytes ? bytes : "";
    options.byte_count = size;
    return qz_state_dict_open(context, name, &options, dict);
}

void qz_state_dict_destroy(qz_state_dict *dict)
{
    if (!dict)
        return;
    const qz_context *ctx = dict->ctx;
    for (size_t i = 0; i < dict->block_count; i++)
        qzi_free(ctx, dict->blocks[i]);
    qzi_free(ctx, dict->blocks);
    release_bytes(dict);
    qzi_free(ctx, dict->entries);
    qzi_free(ctx, dict->sorted);
    qzi_free(ctx, dict->metadata);
    qzi_free(ctx, dict->foreign);
    qzi_arena_free(&dict->arena);
    qzi_free(ctx, dict);
}

size_t qz_state_dict_count(const qz_state_dict *dict)
{
    return dict->count;
}

const char *qz_state_dict_key(const qz_state_dict *dict, size_t index)
{
    return index < dict->count ? dict->entries[index].key : NULL;
}

const qz_tensor *qz_state_dict_tensor(const qz_state_dict *dict, size_t index)
{
    return index < dict->count ? &dict->entries[index].tensor : NULL;
}

size_t qz_state_dict_index(const qz_state_dict *dict, const char *key)
{
    size_t low = 0, high = dict->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(key, dict->entries[dict->sorted[middle]].key);
        if (order == 0)
            return dict->sorted[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return dict->count;
}

const qz_tensor *qz_state_dict_find(const qz_state_dict *dict, const char *key)
{
    return qz_state_dict_tensor(dict, qz_state_dict_index(dict, key));
}

const qz_tensor_quant *qz_state_dict_quant(const qz_state_dict *dict, size_t index)
{
    return index < dict->count ? dict->entries[index].quant : NULL;
}

const char *qz_state_dict_note(const qz_state_dict *dict)
{
    return dict->note ? dict->note : "";
}
