/* SPDX-License-Identifier: MIT */
/* recipe_steps.c - what the steps of a recipe gained, as JSON and as a table. */
#include "recipe_steps.h"

#include "messages.h"
#include "report.h"

#include <math.h>

json_t *recipe_steps_json(const subject *s)
{
    const qz_recipe_step *steps;
    size_t count;
    json_t *list = json_array();
    qz_model_recipe_steps(s->model, &steps, &count);
    for (size_t i = 0; i < count; i++)
        json_add(list, json_pack("{s:s, s:o, s:o, s:I, s:I, s:I, s:o}", "step", steps[i].name,
                                 "output_db", json_number(steps[i].output_db), "top1_agreement",
                                 json_number(steps[i].top1_agreement), "images",
                                 (json_int_t)steps[i].images, "layers", (json_int_t)steps[i].layers,
                                 "skipped_layers", (json_int_t)steps[i].skipped, "seconds",
                                 json_number(steps[i].seconds)));
    return list;
}

int recipe_steps_print(FILE *out, const subject *s)
{
    static const char *const headers[] = {"<recipe step", "output dB", "top-1 agreement", "images",
                                          "layers",       "skipped",   "seconds"};
    const qz_recipe_step *steps;
    size_t count;
    qz_model_recipe_steps(s->model, &steps, &count);
    if (count == 0)
        return EXIT_DONE;
    report_table *t = table_new(headers, 7);
    for (size_t i = 0; i < count; i++) {
        table_cell(t, "%s", steps[i].name);
        if (isinf(steps[i].output_db))
            table_cell(t, "inf");
        else
            table_cell(t, "%.2f", steps[i].output_db);
        if (isnan(steps[i].top1_agreement))
            table_cell(t, "-");
        else
            table_cell(t, "%.1f %%", 100.0 * steps[i].top1_agreement);
        table_cell(t, "%zu", steps[i].images);
        table_cell(t, "%zu", steps[i].layers);
        table_cell(t, "%zu", steps[i].skipped);
        table_cell(t, "%.2f", steps[i].seconds);
    }
    const int status = table_print(t, out);
    table_free(t);
    return status;
}
