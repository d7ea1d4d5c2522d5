/* SPDX-License-Identifier: MIT */
/* provenance.h - what a figure was made with: weights and calibration, in words and in JSON. */
#ifndef QZOO_TOOLS_PROVENANCE_H
#define QZOO_TOOLS_PROVENANCE_H

#include "report.h"

/* Whether a figure of the fp32 or int8 model says nothing about accuracy. */
bool provenance_made_up(const qz_model_info *info, bool int8);
/* "random weights, synthetic calibration", one of the two, or "". */
const char *provenance_words(const qz_model_info *info, bool int8);
/* "synthetic:32", "images:100", …; "" for the fp32 model. */
const char *provenance_calib(const qz_model_info *info, bool int8);
/* Sets "weights", "calib", "warnings" and "preprocess", and "missing" where the file lacked
 * parameters. */
void provenance_json(json_t *row, const qz_model_info *info, bool int8);
/* The cells of the columns "<weights" and "<calib". */
void provenance_cells(report_table *table, const qz_model_info *info, bool int8);
/* For made-up figures the line "MODEL: random weights: FIGURES nothing about accuracy; …". */
void provenance_note(FILE *out, const qz_model_info *info, bool int8, const char *figures);

#endif
