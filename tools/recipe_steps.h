/* SPDX-License-Identifier: MIT */
/* recipe_steps.h - the steps of a model's recipe for int8, and what each gained. */
#ifndef QZOO_TOOLS_RECIPE_STEPS_H
#define QZOO_TOOLS_RECIPE_STEPS_H

#include "subject.h"

#include <jansson.h>
#include <stdio.h>

json_t *recipe_steps_json(const subject *s);
/* Nothing where the recipe had no steps. */
int recipe_steps_print(FILE *out, const subject *s);

#endif
