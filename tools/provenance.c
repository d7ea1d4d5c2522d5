/* SPDX-License-Identifier: MIT */
/*
 * provenance.c - what a figure was made with. The word "random" stands beside each figure of random
 * weights, "synthetic" beside each figure of a calibration on synthetic images; neither word stands
 * beside another figure.
 */
#include "provenance.h"

#include "messages.h"
#include "preprocessing.h"

#include <string.h>

bool provenance_made_up(const qz_model_info *info, bool int8)
{
    return info->random_weights || (int8 && info->synthetic_calibration);
}

const char *provenance_words(const qz_model_info *info, bool int8)
{
    const bool synthetic = int8 && info->synthetic_calibration;
    return info->random_weights
               ? synthetic ? "random weights, synthetic calibration" : "random weights"
           : synthetic ? "synthetic calibration"
                       : "";
}

const char *provenance_calib(const qz_model_info *info, bool int8)
{
    return int8 ? info->calib : "";
}

void provenance_json(json_t *row, const qz_model_info *info, bool int8)
{
    json_set(row, "weights", json_text(info->weights));
    json_set(row, "calib", json_string(provenance_calib(info, int8)));
    json_t *list = json_array();
    for (size_t i = 0; tool_warning_at(i); i++)
        json_add(list, json_text(tool_warning_at(i)));
    json_set(row, "warnings", list);
    if (!info->unit_images) /* detectors have their own transform */
        json_set(row, "preprocess", preprocessing_json(&info->preprocess));
    if (info->missing_count)
        json_set(row, "missing", json_integer((json_int_t)info->missing_count));
}

void provenance_cells(report_table *table, const qz_model_info *info, bool int8)
{
    const char *calib = provenance_calib(info, int8), *slash = strrchr(info->weights, '/');
    table_cell(table, "%s", slash ? slash + 1 : info->weights);
    table_cell(table, "%s", *calib ? calib : "-");
}

void provenance_note(FILE *out, const qz_model_info *info, bool int8, const char *figures)
{
    if (provenance_made_up(info, int8))
        fprintf(out, "%s: %s: %s nothing about accuracy; give %s%s%s\n", info->name,
                provenance_words(info, int8), figures,
                info->random_weights ? "--weights FILE.pth" : "",
                info->random_weights && int8 && info->synthetic_calibration ? " and " : "",
                int8 && info->synthetic_calibration ? "--calib IMAGES" : "");
}
