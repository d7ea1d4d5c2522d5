/* SPDX-License-Identifier: MIT */
/* eval_files.c - the files of --confusion and --changes. */
#include "eval.h"

#include "messages.h"
#include "output_file.h"

#include <stdlib.h>
#include <string.h>

/* A square of more classes than this is no table that anyone opens. */
#define CONFUSION_MAX 20000

/* A field of a csv, quoted where it must be (RFC 4180). */
static void put_field(FILE *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++)
        fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
    fputc('"', out);
}

/* The class's name, or its number where the model has no names. */
static void put_class(const evaluation *e, FILE *out, int32_t index)
{
    const char *name = qz_model_class(e->s->model, index);
    if (name)
        put_field(out, name);
    else
        fprintf(out, "%d", (int)index);
}

static void put_confusion(const evaluation *e, FILE *out, size_t *row)
{
    const eval_answer *answers = e->rows[e->row_count - 1].answers;
    const int32_t classes = e->s->info.num_classes;
    fputs("true", out);
    for (int32_t c = 0; c < classes; c++) {
        fputc(',', out);
        put_class(e, out, c);
    }
    fputc('\n', out);
    for (int32_t c = 0; c < classes; c++) {
        memset(row, 0, (size_t)classes * sizeof(*row));
        for (size_t i = 0; i < e->labels->count; i++) {
            if (e->counts[i] && e->labels->classes[i] == c)
                row[answers[i].top]++;
        }
        put_class(e, out, c);
        for (int32_t k = 0; k < classes; k++)
            fprintf(out, ",%zu", row[k]);
        fputc('\n', out);
    }
}

int eval_confusion(const evaluation *e)
{
    const size_t classes = (size_t)e->s->info.num_classes;
    output_file file;
    if (!e->o->out.confusion)
        return EXIT_DONE;
    if (classes > CONFUSION_MAX)
        return tool_fail(EXIT_USAGE, "--confusion: a table of %zu x %zu classes is too large",
                         classes, classes);
    size_t *row = calloc(classes, sizeof(*row));
    if (!row)
        return tool_fail_memory();
    int status = output_open(e->o->out.confusion, &file);
    if (status == EXIT_DONE) {
        put_confusion(e, file.stream, row);
        status = output_close(&file, EXIT_DONE);
    }
    free(row);
    return status;
}

/* NULL when out of memory. */
static char *change_line(const evaluation *e, size_t i)
{
    const eval_answer *fp32 = &e->rows[0].answers[i], *int8 = &e->rows[1].answers[i];
    const int32_t label = e->labels->classes[i];
    const struct {
        const char *key;
        int32_t index;
    } names[] = {{"label_class", label}, {"fp32_class", fp32->top}, {"int8_class", int8->top}};
    json_t *line =
        json_pack("{s:o, s:i, s:i, s:i, s:o, s:o}", "file", json_text(e->labels->paths[i]), "label",
                  (int)label, "fp32", (int)fp32->top, "int8", (int)int8->top, "fp32_score",
                  json_number((double)fp32->score), "int8_score", json_number((double)int8->score));
    for (size_t k = 0; k < 3; k++) {
        const char *name = qz_model_class(e->s->model, names[k].index);
        if (name)
            json_set(line, names[k].key, json_text(name));
    }
    char *text = NULL;
    if (json_check() == EXIT_DONE &&
        !(text = json_dumps(line, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9))))
        tool_fail_memory();
    json_decref(line);
    return text;
}

int eval_changes(const evaluation *e)
{
    output_file file;
    if (!e->o->out.changes)
        return EXIT_DONE;
    int status = output_open(e->o->out.changes, &file);
    if (status)
        return status;
    for (size_t i = 0; i < e->labels->count && status == EXIT_DONE; i++) {
        if (!e->counts[i] || e->rows[0].answers[i].top == e->rows[1].answers[i].top)
            continue;
        char *line = change_line(e, i);
        if (line)
            fprintf(file.stream, "%s\n", line);
        else
            status = EXIT_FAILED;
        free(line);
    }
    return output_close(&file, status);
}
