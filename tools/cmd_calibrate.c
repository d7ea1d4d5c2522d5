/* SPDX-License-Identifier: MIT */
/* cmd_calibrate.c - qzoo calibrate: writes the statistics of calibration images. */
#include "commands.h"
#include "image_names.h"
#include "messages.h"
#include "output_file.h"
#include "report.h"
#include "subject.h"

int cmd_calibrate(const tool_options *o)
{
    qz_context *ctx;
    subject s;
    if (o->args.count != 1)
        return tool_fail(EXIT_USAGE, "calibrate: needs one model");
    if (!o->out.output || !has_suffix(o->out.output, ".qzstats"))
        return tool_fail(EXIT_USAGE, "calibrate: needs -o FILE.qzstats");
    if (!o->quant.calib.count && !o->quant.statistics.count)
        return tool_fail(EXIT_USAGE, "calibrate: needs --calib IMAGES, or statistics to merge");
    if (is_model_file(o->args.items[0]))
        return tool_fail(EXIT_USAGE,
                         "%s: a model's name is needed; a saved int8 model is already "
                         "calibrated",
                         o->args.items[0]);
    int status = subject_context(o, &ctx);
    if (status)
        return status;
    status = subject_open(o, ctx, o->args.items[0], true, &s);
    if (status == EXIT_DONE && s.int8_only) {
        status = tool_fail(EXIT_USAGE, "%s: an int8 model is already calibrated", o->model.weights);
        subject_close(&s);
    }
    if (status == EXIT_DONE) {
        const qz_status st = qz_model_statistics_save(s.model, output_path(o->out.output));
        if (st != QZ_OK)
            status = tool_fail_status(ctx, st);
        else
            tool_note(o->quiet, "%s: statistics of %s, weights %s, of %s", o->out.output,
                      s.info.name, s.info.weights, s.info.calib);
        subject_close(&s);
    }
    subject_context_end(ctx);
    return status;
}
