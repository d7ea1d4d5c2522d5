/* SPDX-License-Identifier: MIT */
/* op_table.c - the table of ops: classes and names by number. */
#include "layers/ops/ops.h"

const qzi_op_class *qzi_op_get(qzi_op op)
{
    static const qzi_op_class *const table[] = {
#define QZI_OP_ROW(NAME, name) [QZI_OP_##NAME] = &qzi_op_##name,
        QZI_OP_MAP(QZI_OP_ROW)
#undef QZI_OP_ROW
    };
    return table[op];
}

const char *qzi_op_name(qzi_op op)
{
    static const char *const names[] = {
#define QZI_OP_TEXT(NAME, name) [QZI_OP_##NAME] = #name,
        QZI_OP_MAP(QZI_OP_TEXT)
#undef QZI_OP_TEXT
    };
    return (unsigned)op < QZI_OP_COUNT ? names[op] : "unknown";
}
