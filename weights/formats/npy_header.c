/* SPDX-License-Identifier: MIT */
/* npy_header.c - see npy_header.h. */
#include "weights/formats/npy_header.h"

#include <string.h>

typedef struct parser {
    const char *p, *end;
    qzi_npy_header *header;
    const char *what; /* the first thing that is wrong */
} parser;

static qz_status damaged(parser *r, const char *what)
{
    r->what = what;
    return QZ_ERR_FORMAT;
}

static void skip_space(parser *r)
{
    while (r->p < r->end && memchr(" \t\r\n", *r->p, 4))
        r->p++;
}

/* Whether `text` comes next, after space; it is then passed. */
static bool accept(parser *r, const char *text)
{
    const size_t size = strlen(text);
    skip_space(r);
    if ((size_t)(r->end - r->p) < size || memcmp(r->p, text, size) != 0)
        return false;
    r->p += size;
    return true;
}

/* A string in either kind of quotes, without escapes. False: there is none, or it is too long. */
static bool read_string(parser *r, char *text, size_t size)
{
    const char quote = accept(r, "'") ? '\'' : accept(r, "\"") ? '"' : '\0';
    const char *end = quote != '\0' ? memchr(r->p, quote, (size_t)(r->end - r->p)) : NULL;
    if (!end || (size_t)(end - r->p) >= size || memchr(r->p, '\\', (size_t)(end - r->p)))
        return false;
    memcpy(text, r->p, (size_t)(end - r->p));
    text[end - r->p] = '\0';
    r->p = end + 1;
    return true;
}

static qz_status read_dim(parser *r, int64_t *dim)
{
    const char *first = r->p;
    int64_t value = 0;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
        const int digit = *r->p - '0';
        if (value > (INT64_MAX - digit) / 10)
            return damaged(r, "a dimension is too large");
        value = value * 10 + digit;
    }
    *dim = value;
    return r->p > first ? QZ_OK : damaged(r, "a dimension is not a natural number");
}

/* (), (3,), (1, 3, 224, 224); (3) is a number, not a tuple. */
static qz_status read_shape(parser *r)
{
    qzi_npy_header *h = r->header;
    bool comma = false;
    if (!accept(r, "("))
        return damaged(r, "there is no shape");
    h->ndim = 0;
    while (!accept(r, ")")) {
        if (h->ndim > 0 && !comma)
            return damaged(r, "bad shape");
        if (h->ndim == QZ_MAX_DIMS) {
            r->what = "it has too many dimensions";
            return QZ_ERR_UNSUPPORTED;
        }
        QZI_TRY(read_dim(r, &h->dims[h->ndim++]));
        comma = accept(r, ",");
        skip_space(r);
    }
    return h->ndim == 1 && !comma ? damaged(r, "bad shape") : QZ_OK;
}

static qz_status read_descr(parser *r)
{
    if (accept(r, "[")) {
        r->what = "it is an array of records";
        return QZ_ERR_UNSUPPORTED;
    }
    if (!read_string(r, r->header->descr, sizeof(r->header->descr)))
        return damaged(r, "bad descr");
    return r->header->descr[0] != '\0' ? QZ_OK : damaged(r, "bad descr");
}

static qz_status read_order(parser *r)
{
    r->header->fortran = accept(r, "True");
    return r->header->fortran || accept(r, "False") ? QZ_OK : damaged(r, "bad fortran_order");
}

static qz_status read_dict(parser *r)
{
    static const struct {
        const char *key;
        qz_status (*read)(parser *r);
    } fields[] = {{"descr", read_descr}, {"fortran_order", read_order}, {"shape", read_shape}};
    unsigned seen = 0;
    if (!accept(r, "{"))
        return damaged(r, "there is no dict");
    while (!accept(r, "}")) {
        char key[16];
        size_t i = 0;
        if (!read_string(r, key, sizeof(key)) || !accept(r, ":"))
            return damaged(r, "bad key");
        while (i < QZI_ARRAY_LEN(fields) && strcmp(fields[i].key, key) != 0)
            i++;
        if (i == QZI_ARRAY_LEN(fields) || (seen & 1u << i))
            return damaged(r, "unknown or repeated key");
        seen |= 1u << i;
        skip_space(r);
        QZI_TRY(fields[i].read(r));
        if (accept(r, ","))
            continue;
        if (!accept(r, "}"))
            return damaged(r, "bad dict");
        break;
    }
    skip_space(r);
    if (seen != (1u << QZI_ARRAY_LEN(fields)) - 1)
        return damaged(r, "a key is missing");
    return r->p == r->end ? QZ_OK : damaged(r, "something follows the dict");
}

qz_status qzi_npy_header_parse(const char *text, size_t size, qzi_npy_header *header,
                               const char **what)
{
    parser r = {.p = text, .end = text + size, .header = header};
    *header = (qzi_npy_header){.ndim = 0};
    qz_status st = read_dict(&r);
    *what = r.what;
    return st;
}
