/* SPDX-License-Identifier: MIT */
/*
 * cmd_run.c - qzoo run: the best classes of images or arrays; dumps of outputs and nodes. Detectors
 * are in run_detect.c.
 */
#include "commands.h"
#include "messages.h"
#include "picture.h"
#include "provenance.h"
#include "run.h"
#include "settings.h"
#include "settings_yolo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TOP 5

static qz_status node_hook(void *user, const char *name, const qz_tensor *value,
                           const qz_tensor *bytes)
{
    run_state *r = user;
    (void)bytes;
    for (size_t i = 0; i < r->o->out.dump_nodes.count && r->status == EXIT_DONE; i++) {
        if (!r->node_names[i])
            r->status = run_dump(r, name, value);
        else if (strcmp(r->node_names[i], name) == 0)
            r->status = run_dump(r, r->o->out.dump_nodes.items[i], value);
    }
    return r->status == EXIT_DONE ? QZ_OK : QZ_ERR_CANCELLED;
}

/* A module's name ("layer1.0") means the node that computes the module's output. */
static int resolve_nodes(run_state *r)
{
    const tool_options *o = r->o;
    const qz_graph *graph = qz_model_graph(r->s.model, r->s.info.converted);
    if (!o->out.dump_nodes.count)
        return EXIT_DONE;
    if (!o->out.dump)
        return tool_fail(EXIT_USAGE, "--dump-node: needs a folder; give --dump-outputs DIR");
    r->node_names = calloc(o->out.dump_nodes.count, sizeof(*r->node_names));
    if (!r->node_names)
        return tool_fail_memory();
    for (size_t i = 0; i < o->out.dump_nodes.count; i++) {
        qz_node_info info;
        if (strcmp(o->out.dump_nodes.items[i], "all") == 0)
            continue;
        int64_t node = qz_graph_find_node(graph, o->out.dump_nodes.items[i]);
        if (node < 0)
            return tool_fail(
                EXIT_USAGE, "--dump-node %s: no such node; qzoo list %s --ops lists the nodes%s",
                o->out.dump_nodes.items[i], r->s.info.name,
                o->model.fuse == FUSE_NONE ? "" : " (--fuse none keeps batch norms apart)");
        qz_graph_node_at(graph, (size_t)node, &info);
        r->node_names[i] = info.name;
    }
    qz_session_set_node_hook(r->session, node_hook, r);
    return EXIT_DONE;
}

static void report(run_state *r, const char *input, const qz_tensor *logits)
{
    char name_shown[4096];
    const bool int8 = r->s.info.converted;
    const char *precision = int8 ? "int8" : "fp32";
    const char *made_up = provenance_words(&r->s.info, int8);
    for (int64_t row = 0; row < logits->dims[0]; row++) {
        qz_top top[TOP];
        size_t count = qz_topk(logits, row, TOP, top);
        json_t *json = json_array();
        if (report_prints(r->o)) {
            qz_text_printable(input, name_shown, sizeof(name_shown));
            printf("%s", name_shown);
            if (logits->dims[0] > 1)
                printf(" [%lld]", (long long)row);
            printf(" (%s%s%s)%s\n", precision, *made_up ? ", " : "", made_up,
                   count ? "" : ": the output is no number");
        }
        for (size_t i = 0; i < count; i++) {
            const char *name = run_class_name(r, top[i].index);
            if (report_prints(r->o))
                tool_print("  %5.1f %%  %4d  %s  (%.4f)", 100.0 * (double)top[i].probability,
                           top[i].index, name, (double)top[i].score);
            json_add(json, json_pack("{s:i, s:o, s:o, s:o}", "index", top[i].index, "class",
                                     json_text(name), "score", json_number((double)top[i].score),
                                     "probability", json_number((double)top[i].probability)));
        }
        json_t *result = json_pack("{s:o, s:I, s:s, s:s, s:o}", "input", json_text(input), "row",
                                   (json_int_t)row, "model", r->s.info.name, "precision", precision,
                                   "top", json);
        provenance_json(result, &r->s.info, int8);
        if (count == 0)
            json_set(result, "nonfinite", json_true());
        json_add(r->results, result);
    }
}

static int run_input(run_state *r, const image_list *list, size_t index)
{
    qz_tensor image;
    int status = images_load(r->ctx, list, index, &r->s.info, &image);
    if (status)
        return status;
    qz_status st = qz_session_run(r->session, &image);
    images_release(&image);
    if (r->status)
        return r->status;
    if (st != QZ_OK) {
        status = subject_fail_run(&r->s, r->session, st, list->paths[index]);
        if (status != EXIT_FAILED || st != QZ_ERR_NUMERIC)
            return status;
        r->nonfinite = true; /* what there is of the outputs is reported */
    }
    const qz_tensor *logits;
    st = qz_session_output(r->session, 0, NULL, &logits);
    if (st != QZ_OK)
        return tool_fail_status(r->ctx, st);
    status = run_dump_outputs(r);
    if (status == EXIT_DONE && logits->ndim == 2)
        report(r, list->paths[index], logits);
    return status;
}

/* A detector's float model runs beside int8, so that each input has both rows. */
static qz_status create_sessions(run_state *r, bool detector)
{
    static const char *const with_aux[2] = {"out", "aux"};
    qz_session_options so = QZ_SESSION_OPTIONS_INIT;
    const bool both = detector && r->o->quant.ptq && !r->s.int8_only;
    qz_status st = QZ_OK;
    so.no_winograd = r->o->run.no_winograd;
    if (r->o->out.aux) {
        so.outputs = with_aux;
        so.output_count = 2;
    }
    if (r->s.info.converted && !both) /* nothing is saved or compared: packed weights are enough */
        st = qz_model_finalize(r->s.model, true);
    if (st == QZ_OK)
        st = qz_session_create(r->s.model, &so, &r->session);
    so.precision = QZ_PRECISION_FP32;
    if (st == QZ_OK && both)
        st = qz_session_create(r->s.model, &so, &r->float_session);
    return st;
}

/* The folders of --dump-outputs and --draw. */
static int make_folders(const tool_options *o)
{
    if (o->out.dump && mkdir(o->out.dump, 0777) != 0 && errno != EEXIST)
        return tool_fail(EXIT_INPUT, "%s: cannot be created: %s", o->out.dump, strerror(errno));
    return picture_begin(o);
}

static int run_all(run_state *r)
{
    const tool_options *o = r->o;
    image_list list = {0};
    int status = subject_open(o, r->ctx, o->args.items[0], o->quant.ptq, &r->s);
    if (status)
        return status;
    const bool detector = strcmp(r->s.info.task, "detection") == 0;
    const bool segmenter = strcmp(r->s.info.task, "segmentation") == 0;
    const qz_status st = create_sessions(r, detector);
    if (st == QZ_ERR_UNKNOWN_NAME && o->out.aux)
        return tool_fail(EXIT_USAGE, "--aux: %s has no auxiliary head", r->s.info.name);
    if (st != QZ_OK)
        return tool_fail_status(r->ctx, st);
    if ((status = resolve_nodes(r)))
        return status;
    status = settings_rois(o, r->ctx, r->session);
    if (status == EXIT_DONE && r->float_session)
        status = settings_rois(o, r->ctx, r->float_session);
    if (status == EXIT_DONE)
        status = settings_classes(o, r->ctx, r->session);
    if (status == EXIT_DONE && r->float_session)
        status = settings_classes(o, r->ctx, r->float_session);
    if (status)
        return status;
    for (size_t i = 1; i < o->args.count; i++) {
        if (strncmp(o->args.items[i], "synthetic", 9) == 0)
            return tool_fail(EXIT_USAGE, "%s: an image or a .npy file is needed", o->args.items[i]);
    }
    status = images_find(o->args.items + 1, o->args.count - 1, &list);
    images_drop_bad(&list);
    if (status == EXIT_DONE)
        status = make_folders(o);
    if (status == EXIT_DONE)
        status = run_coco_begin(r, &list);
    r->inputs = list.count;
    for (r->input = 0; r->input < list.count && status == EXIT_DONE; r->input++)
        status = detector    ? run_detect(r, &list, r->input)
                 : segmenter ? run_segment(r, &list, r->input)
                             : run_input(r, &list, r->input);
    images_free(&list);
    return run_coco_end(r, status);
}

int cmd_run(const tool_options *o)
{
    run_state r = {.o = o};
    if (o->args.count < 2)
        return tool_fail(EXIT_USAGE, "run: needs a model and at least one image or .npy file");
    int status = subject_context(o, &r.ctx);
    if (status)
        return status;
    r.results = json_array();
    status = run_all(&r);
    qz_session_destroy(r.session);
    qz_session_destroy(r.float_session);
    subject_close(&r.s);
    free(r.node_names);
    subject_context_end(r.ctx);
    if (status && json_array_size(r.results) == 0) {
        json_decref(r.results);
        return status;
    }
    const int written =
        json_write(o, json_pack("{s:s, s:o}", "schema", "qzoo.run/1", "results", r.results));
    status = status ? status : written;
    return status == EXIT_DONE && r.nonfinite ? EXIT_FAILED : status;
}
