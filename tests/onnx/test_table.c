/* SPDX-License-Identifier: MIT */
/* test_table.c - the table of zoo/onnx/README.md is what is written. */
#include "every_op.h"

/* ---- the table of the README ---- */

enum { ROWS_MAX = 64 };

typedef struct table {
    char *text;
    char *op[ROWS_MAX], *cell[ROWS_MAX][3];
    size_t rows;
} table;

static char *trim(char *text)
{
    text += strspn(text, " ");
    for (size_t n = strlen(text); n > 0 && text[n - 1] == ' '; n--)
        text[n - 1] = '\0';
    return text;
}

static void read_table(table *t)
{
    const char *path = getenv("QZOO_ONNX_README");
    size_t size = 0;
    *t = (table){0};
    assert_non_null(path);
    t->text = read_whole(path, &size);
    char *at = strstr(t->text, "\n|---|---|---|---|\n");
    assert_non_null(at);
    for (char *line = strtok(at + strlen("\n|---|---|---|---|\n"), "\n"); line && line[0] == '|';
         line = strtok(NULL, "\n")) {
        char *bar[6] = {line};
        assert_true(t->rows < ROWS_MAX);
        for (size_t i = 1; i < 6; i++) {
            bar[i] = i < 5 ? strchr(bar[i - 1] + 1, '|') : NULL;
            assert_true(i == 5 || bar[i]);
        }
        for (size_t i = 0; i < 5; i++)
            *bar[i] = '\0';
        t->op[t->rows] = trim(bar[0] + 1);
        for (size_t i = 0; i < 3; i++)
            t->cell[t->rows][i] = trim(bar[i + 1] + 1);
        t->rows++;
    }
}

/* The row whose op the node's name begins with; the longest one. -1: none. */
static long row_of(const table *t, const char *name)
{
    long best = -1;
    for (size_t i = 0; i < t->rows; i++) {
        const size_t n = strlen(t->op[i]);
        if (strncmp(name, t->op[i], n) == 0 &&
            (name[n] == '\0' || name[n] == '_' ||
             (name[n] == '.' && strncmp(name + n, ".quant", 6) != 0)) && /* a border */
            (best < 0 || strlen(t->op[best]) < n))
            best = (long)i;
    }
    return best;
}

static void append_op(char *list, size_t size, const char *op)
{
    op = strcmp(op, "QuantizeLinear") == 0 ? "Q" : strcmp(op, "DequantizeLinear") == 0 ? "DQ" : op;
    const size_t n = strlen(list);
    snprintf(list + n, size - n, "%s%s", n > 0 ? " " : "", op);
}

static long compare_column(const table *t, const QziOnnx__ModelProto *m, size_t column)
{
    static char written[ROWS_MAX][512];
    long bad = 0;
    memset(written, 0, sizeof(written));
    for (size_t i = 0; i < m->graph->n_node; i++) {
        const QziOnnx__NodeProto *node = m->graph->node[i];
        const long row = row_of(t, node->name);
        char own[256];
        if (row < 0)
            continue;
        /* the value's own DequantizeLinear is its reader's wish */
        snprintf(own, sizeof(own), "%s_dequantize", t->op[row]);
        if (strcmp(node->name, own) != 0)
            append_op(written[row], sizeof(written[row]), node->op_type);
    }
    for (size_t i = 0; i < t->rows; i++) {
        const char *expected = strcmp(t->cell[i][column], "-") == 0 ? "" : t->cell[i][column];
        if (strcmp(expected, written[i]) != 0) {
            print_message("%s, column %zu: \"%s\" is written, the table has \"%s\"\n", t->op[i],
                          column, written[i], expected);
            bad++;
        }
    }
    return bad;
}

static void test_table(void **state)
{
    static const qz_onnx_format formats[3] = {QZ_ONNX_FP32, QZ_ONNX_QDQ, QZ_ONNX_QOPERATOR};
    fixture f = {0};
    table t;
    long bad = 0;
    (void)state;
    read_table(&t);
    /* every op in int8, with one scale for a value: the forms that integer ops have */
    qzi_backend backend = *qzi_backend_get(QZ_BACKEND_NATIVE);
    backend.by_channel = false;
    make_model_of(&f, &backend, true);
    for (size_t i = 0; i < 3; i++) {
        qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
        options.format = formats[i];
        QziOnnx__ModelProto *m = export_and_read(&f, &options);
        check_order(m);
        bad += compare_column(&t, m, i);
        qzi_onnx__model_proto__free_unpacked(m, NULL);
    }
    assert_int_equal(bad, 0);
    assert_in_range(t.rows, 20, ROWS_MAX);
    end_model(&f);
    free(t.text);
}

/* Every op of the graph and every activation has a row. */
static void test_table_is_whole(void **state)
{
    table t;
    (void)state;
    read_table(&t);
    for (int i = 0; i < (int)QZI_OP_COUNT + (int)QZ_ACT_COUNT; i++) {
        const char *word = i < (int)QZI_OP_COUNT
                               ? qzi_op_name((qzi_op)i)
                               : qzi_act_name((qz_activation)(i - (int)QZI_OP_COUNT));
        bool found = word[0] == '\0' || strcmp(word, "activation") == 0 ||
                     strcmp(word, "quantize") == 0 || strcmp(word, "dequantize") == 0;
        for (size_t k = 0; k < t.rows && !found; k++)
            found = strncmp(t.op[k], word, strlen(word)) == 0;
        if (!found)
            fail_msg("zoo/onnx/README.md has no row of %s", word);
    }
    free(t.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
