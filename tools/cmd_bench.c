/* SPDX-License-Identifier: MIT */
/*
 * cmd_bench.c - qzoo bench: latency of one session run, from NCHW float32 in to float32 out.
 *
 * fp32 and int8 are measured in turns, in short bursts, so that a drift of the machine affects
 * both. Warm-up runs come first and are not counted.
 */
#include "bench.h"

#include "advice.h"
#include "commands.h"
#include "images.h"
#include "interrupt.h"
#include "messages.h"
#include "provenance.h"
#include "qzoo_commit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* Images for SQNR and top-1 agreement. */
#define COMPARE_IMAGES 32

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t peak_rss(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

/* Sorts the samples; percentiles are interpolated linearly between them. */
static void latency_of(bench_row *row)
{
    double sum = 0.0;
    bench_sort(row->samples, row->count);
    for (size_t i = 0; i < row->count; i++) {
        row->samples[i] *= 1e3;
        sum += row->samples[i];
    }
    row->ms = (latency){
        .min = row->samples[0],
        .p10 = bench_percentile(row->samples, row->count, 0.10),
        .median = bench_percentile(row->samples, row->count, 0.50),
        .p90 = bench_percentile(row->samples, row->count, 0.90),
        .p99 = bench_percentile(row->samples, row->count, 0.99),
        .mean = sum / (double)row->count,
        .runs = row->count,
    };
}

static bool is_detector(const subject *s)
{
    return strcmp(s->info.task, "detection") == 0;
}

/* What an application reads: a detector's objects, not the raw values, which are made when they are
 * asked for; the outputs of the others. */
static qz_status read_results(const subject *s, const bench_row *row, size_t images)
{
    qz_status st = QZ_OK;
    if (is_detector(s)) {
        const qz_detection *list;
        size_t count;
        for (size_t i = 0; i < images && st == QZ_OK; i++)
            st = qz_session_detections(row->session, i, &list, &count);
        return st;
    }
    for (size_t i = 0; i < qz_session_output_count(row->session) && st == QZ_OK; i++) {
        const char *name;
        const qz_tensor *tensor;
        st = qz_session_output(row->session, i, &name, &tensor);
    }
    return st;
}

/* One run; reads the results. Stores the time when `seconds` is not NULL. */
static int run_once(const subject *s, bench_row *row, const qz_tensor *input, double *seconds)
{
    double start = now();
    qz_status st = qz_session_run(row->session, input);
    if (st == QZ_OK)
        st = read_results(s, row, (size_t)input->dims[0]);
    if (seconds)
        *seconds = now() - start;
    return st == QZ_OK ? EXIT_DONE : subject_fail_run(s, row->session, st, s->info.name);
}

static int sample(const subject *s, bench_row *row, const qz_tensor *input)
{
    if (row->count == row->capacity) {
        size_t capacity = row->capacity ? 2 * row->capacity : 256;
        double *grown = realloc(row->samples, capacity * sizeof(*grown));
        if (!grown)
            return tool_fail_memory();
        row->samples = grown;
        row->capacity = capacity;
    }
    int status = run_once(s, row, input, &row->samples[row->count]);
    row->count += status == EXIT_DONE;
    if (status == EXIT_DONE && is_detector(s))
        status = bench_parts_add(s, row);
    return status;
}

/* Warms up. Also counts the multiply-adds of a run, and measures how long a run takes. */
static int warm_up(const tool_options *o, const subject *s, bench_row *row, const qz_tensor *input,
                   double *seconds)
{
    const qz_profile_row *rows;
    size_t count = 0;
    qz_session_set_profile(row->session, true);
    int status = run_once(s, row, input, NULL);
    if (status == EXIT_DONE) {
        qz_status st = qz_session_profile(row->session, &rows, &count);
        if (st != QZ_OK)
            return tool_fail_status(s->ctx, st);
    }
    /* a detector runs its images one by one, and its profile is of the last one; YOLO runs tensors
     * as they are */
    const uint64_t runs = is_detector(s) && !s->info.letterbox ? (uint64_t)o->bench.batch : 1;
    for (size_t i = 0; i < count; i++) {
        row->macs += runs * rows[i].macs;
        row->products += runs * rows[i].products;
    }
    qz_session_set_profile(row->session, false);
    for (long i = 0; i < o->bench.warmup && status == EXIT_DONE; i++)
        status = run_once(s, row, input, seconds);
    return status || o->bench.warmup ? status : run_once(s, row, input, seconds);
}

static bool measured_all(const bench_row *rows, size_t count)
{
    bool all = true;
    for (size_t k = 0; k < count; k++)
        all &= rows[k].count > 0;
    return all;
}

static int measure(const tool_options *o, const subject *s, bench_row *rows, size_t row_count,
                   const qz_tensor *input)
{
    enum { BURSTS = 10 };
    double each[2] = {0};
    int status = EXIT_DONE;
    for (size_t k = 0; k < row_count && status == EXIT_DONE; k++)
        status = warm_up(o, s, &rows[k], input, &each[k]);
    for (size_t k = 0; k < row_count && o->bench.profile; k++)
        qz_session_set_profile(rows[k].session, true);
    for (size_t burst = 0; burst < BURSTS && status == EXIT_DONE; burst++) {
        tool_progress(o->quiet, s->info.name, burst + 1, BURSTS);
        for (size_t k = 0; k < row_count && status == EXIT_DONE; k++) {
            /* at least one run a burst, however long a run takes */
            const size_t all = (size_t)o->bench.runs;
            size_t runs = all ? all * (burst + 1) / BURSTS - rows[k].count : 0;
            double until = now() + o->bench.seconds / BURSTS;
            if (all) {
                for (; runs && status == EXIT_DONE; runs--)
                    status = sample(s, &rows[k], input);
                continue;
            }
            do
                status = sample(s, &rows[k], input);
            while (status == EXIT_DONE && now() + each[k] / 2 < until);
        }
    }
    if (status && interrupt_signal() && measured_all(rows, row_count)) {
        interrupt_resume(s->ctx); /* fewer runs are a result too */
        status = EXIT_DONE;
    }
    for (size_t k = 0; k < row_count && status == EXIT_DONE; k++) {
        latency_of(&rows[k]);
        status = bench_parts_finish(&rows[k]);
    }
    return status;
}

/* SQNR and agreement over the first calibration images. */
static int compare(const tool_options *o, const subject *s, bench_row *row)
{
    const qz_sqnr_row *nodes;
    size_t node_count;
    image_tensors images;
    if (options_statistics_alone(o))
        return EXIT_DONE;
    int status = images_gather(o, s->ctx, &s->info, COMPARE_IMAGES, &images);
    if (status == EXIT_DONE) {
        qz_status st = qz_model_sqnr_each(s->model, images.list, images.count, &nodes, &node_count,
                                          &row->sqnr_db, &row->agreement);
        if (st != QZ_OK)
            status = tool_fail_status(s->ctx, st);
        else
            advice(&s->info, nodes, node_count, row->sqnr_db, row->agreement, row->advice,
                   sizeof(row->advice));
    }
    images_gather_free(&images);
    return status;
}

static int make_input(const tool_options *o, const subject *s, qz_tensor *input)
{
    int64_t h = o->run.size.height ? o->run.size.height : s->info.input_h,
            w = o->run.size.width ? o->run.size.width : s->info.input_w;
    *input = (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {o->bench.batch, 3, h, w}};
    size_t image = (size_t)(3 * h * w);
    if (image > SIZE_MAX / sizeof(float) / (size_t)o->bench.batch)
        return tool_fail(EXIT_USAGE, "--batch and --size: too large");
    /* a size that cannot be run is refused before (subject_open) */
    float *data = malloc(image * (size_t)o->bench.batch * sizeof(*data));
    if (!data)
        return tool_fail(EXIT_FAILED, "out of memory for a batch of %ld images", o->bench.batch);
    for (long i = 0; i < o->bench.batch; i++)
        (s->info.unit_images ? qz_synthetic_unit_image : qz_synthetic_image)(
            i, (int32_t)h, (int32_t)w, data + (size_t)i * image);
    input->data = data;
    return EXIT_DONE;
}

static int open_session(const tool_options *o, const subject *s, bench_row *row)
{
    qz_session_options so = QZ_SESSION_OPTIONS_INIT;
    so.precision = row->int8 ? QZ_PRECISION_INT8 : QZ_PRECISION_FP32;
    so.no_winograd = o->run.no_winograd;
    qz_status st = qz_session_create(s->model, &so, &row->session);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(s->ctx, st);
}

static int finish_row(const tool_options *o, const subject *s, bench_row *row,
                      const bench_row *fp32, uint32_t threads)
{
    qz_status st = qz_cpu_peak(s->ctx, QZ_ISA_AUTO, row->int8, &row->peak);
    if (st == QZ_OK && o->bench.profile)
        st =
            qz_cpu_read_rate(s->ctx, qz_session_packed_bytes(row->session), threads, &row->read_gb);
    if (st != QZ_OK)
        return tool_fail_status(s->ctx, st);
    qz_cpu_info cpu;
    qz_cpu_query(&cpu);
    row->peak *= threads < cpu.physical_cores ? threads : cpu.physical_cores;
    row->gmacs = (double)row->macs * 1e-9 / (row->ms.median * 1e-3);
    row->share = (double)row->products * 1e-9 / (row->ms.median * 1e-3) / row->peak;
    row->speedup = fp32 ? fp32->ms.median / row->ms.median : (double)NAN;
    row->weights_bytes = row->int8 ? s->info.int8_weights_bytes : s->info.fp32_weights_bytes;
    row->packed_bytes = qz_session_packed_bytes(row->session);
    row->arena_bytes = qz_session_arena_bytes(row->session);
    qz_session_get_memory(row->session, &row->memory);
    qz_model_get_memory(s->model, &row->held);
    row->peak_rss_bytes = peak_rss();
    return EXIT_DONE;
}

/* The hash of what the model was read from. */
static int find_sha256(qz_context *ctx, const char *name, subject *s)
{
    const char *path = is_model_file(name) ? name : s->info.weights_file;
    qz_status st = *path ? qz_sha256_file(ctx, path, s->sha256) : QZ_OK;
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(ctx, st);
}

/* What any row of the table was made with. */
typedef struct made_up {
    bool random, synthetic;
} made_up;

/* Measures one model into `results` and the table. */
static int bench_model(const tool_options *o, qz_context *ctx, const char *name, json_t *results,
                       report_table *table, made_up *star)
{
    subject s;
    bench_row rows[2] = {0};
    qz_tensor input = {0};
    size_t count = 0;
    uint32_t threads = qz_context_threads(ctx);
    int status = subject_open(o, ctx, name, o->quant.ptq, &s);
    if (status)
        return status;
    if (!s.int8_only)
        rows[count++].int8 = false;
    if (s.info.converted)
        rows[count++].int8 = true;
    if (o->out.table || o->out.json)
        status = find_sha256(ctx, name, &s);
    star->random |= s.info.random_weights;
    star->synthetic |= s.info.synthetic_calibration;
    for (size_t i = 0; i < count && status == EXIT_DONE; i++) {
        rows[i].sqnr_db = rows[i].agreement = (double)NAN;
        status = open_session(o, &s, &rows[i]);
    }
    if (status == EXIT_DONE)
        status = make_input(o, &s, &input);
    if (status == EXIT_DONE)
        status = measure(o, &s, rows, count, &input);
    for (size_t i = 0; i < count && status == EXIT_DONE; i++)
        status = finish_row(o, &s, &rows[i], i ? &rows[0] : NULL, threads);
    if (status == EXIT_DONE && count == 2 && !interrupt_signal())
        status = compare(o, &s, &rows[1]);
    for (size_t i = 0; i < count && status == EXIT_DONE; i++) {
        json_t *json = bench_json(o, &s, &rows[i], input.dims, threads);
        if (rows[i].parts.count > 0) {
            json_set(json, "parts_ms", bench_parts_json(&rows[i]));
            bench_parts_print(o, &s, &rows[i]);
        }
        if (o->bench.profile) {
            status = bench_print_profile(o, &rows[i], s.info.name, rows[i].count);
            json_set(json, "profile", bench_profile_json(&rows[i], rows[i].count));
            json_set(json, "memory", bench_memory_json(&rows[i]));
        }
        json_add(results, json);
        bench_table_add(table, &s, &rows[i]);
        if (rows[i].advice[0])
            tool_note(o->quiet, "qzoo: %s: %s", s.info.name, rows[i].advice);
    }
    if (status == EXIT_DONE)
        status = json_check();
    for (size_t i = 0; i < count; i++) {
        qz_session_destroy(rows[i].session);
        free(rows[i].samples);
        free(rows[i].parts.samples);
    }
    free(input.data);
    subject_close(&s);
    return status;
}

static void print_head(qz_context *ctx)
{
    qz_cpu_info cpu;
    qz_cpu_query(&cpu);
    printf("%s, %s, %u thread%s\n", cpu.name, qz_isa_name(qz_context_isa(ctx)),
           qz_context_threads(ctx), qz_context_threads(ctx) > 1 ? "s" : "");
}

/* Everything that a run of bench writes, as far as it is. */
typedef struct bench_output {
    const tool_options *o;
    qz_context *ctx;
    json_t *results; /* all rows */
    size_t tabled;   /* of these, in the latency table */
    report_table *table;
    int widths[REPORT_COLUMNS_MAX];
    size_t printed; /* cells */
} bench_output;

static int write_json(const bench_output *b)
{
    if (!b->o->out.json)
        return EXIT_DONE;
    return json_write(b->o, json_pack("{s:s, s:s, s:s, s:o, s:O}", "schema", "qzoo.bench/1",
                                      "version", qz_version(), "commit", QZOO_COMMIT, "cpu",
                                      json_cpu(b->ctx), "results", b->results));
}

static int write_table(bench_output *b)
{
    char path[4096];
    if (!b->o->out.table)
        return EXIT_DONE;
    json_t *fresh = json_array(), *cpu = json_cpu(b->ctx);
    for (size_t i = b->tabled; i < json_array_size(b->results); i++)
        json_add(fresh, json_incref(json_array_get(b->results, i)));
    int status = json_check();
    if (status == EXIT_DONE)
        status = bench_save_table(b->o->out.table, cpu, fresh, path, sizeof(path));
    if (status == EXIT_DONE && b->tabled == 0)
        tool_note(b->o->quiet, "wrote %s", path);
    b->tabled = json_array_size(b->results);
    json_decref(fresh);
    json_decref(cpu);
    return status;
}

/* After each model: its rows appear, and are in every file but the last model's in "-". */
static int write_rows(bench_output *b, bool last)
{
    int status = EXIT_DONE, written;
    if (report_prints(b->o)) {
        status = table_print_more(b->table, stdout, b->widths, &b->printed);
        fflush(stdout);
    }
    written = write_table(b);
    status = status ? status : written;
    if (last || !b->o->out.json || strcmp(b->o->out.json, "-") != 0) {
        written = write_json(b);
        status = status ? status : written;
    }
    const bool told = status && (!b->table || b->table->failed); /* the lack of memory */
    if (!told && (last || !b->o->out.markdown || strcmp(b->o->out.markdown, "-") != 0)) {
        written = report_markdown(b->o, b->table);
        status = status ? status : written;
    }
    return status;
}

/* The first model that is no file, for an example. */
static const char *first_name(const tool_options *o)
{
    for (size_t i = 0; i < o->args.count; i++) {
        if (!is_model_file(o->args.items[i]))
            return o->args.items[i];
    }
    return "MODEL";
}

/* The option by which qzoo eval learns the truth. */
static const char *truth_option(const tool_options *o)
{
    qz_arch_info info;
    const char *task = qz_arch_find(NULL, first_name(o), &info) == QZ_OK ? info.task : "";
    if (strcmp(task, "detection") == 0)
        return "--annotations FILE.json";
    return strcmp(task, "segmentation") == 0 ? "--masks DIR" : "--labels FILE.csv";
}

static void print_star(const tool_options *o, const made_up *star)
{
    if (star->random || star->synthetic)
        printf("* %s%s%s: latencies are real, SQNR and agreement say nothing about accuracy;\n"
               "  for accuracy: qzoo eval %s --weights FILE.pth --ptq --calib IMAGES --data "
               "IMAGES %s\n",
               star->random ? "random weights" : "", star->random && star->synthetic ? " or " : "",
               star->synthetic ? "synthetic calibration" : "", first_name(o), truth_option(o));
}

/* The first column is as wide as the longest name that will be in it. */
static int widest_name(const tool_options *o)
{
    size_t widest = 0;
    for (size_t i = 0; i < o->args.count; i++) {
        const size_t width = is_model_file(o->args.items[i]) ? 0 : strlen(o->args.items[i]);
        widest = width > widest ? width : widest;
    }
    return (int)widest;
}

int cmd_bench(const tool_options *o)
{
    made_up star = {false, false};
    bench_output b = {.o = o};
    if (o->args.count < 1)
        return tool_fail(EXIT_USAGE, "bench: needs a model, such as qzoo bench resnet50 --ptq; "
                                     "qzoo list lists the models");
    int status = subject_context(o, &b.ctx);
    if (status)
        return status;
    if (o->out.table) { /* a table that cannot be added to is known before the work */
        json_t *cpu = json_cpu(b.ctx);
        status = bench_check_table(o->out.table, cpu);
        json_decref(cpu);
        if (status) {
            subject_context_end(b.ctx);
            return status;
        }
    }
    b.results = json_array();
    b.table = bench_table_new();
    b.widths[0] = widest_name(o);
    if (report_prints(o))
        print_head(b.ctx);
    for (size_t i = 0; i < o->args.count && status == EXIT_DONE; i++) {
        status = bench_model(o, b.ctx, o->args.items[i], b.results, b.table, &star);
        interrupt_resume(b.ctx); /* what there is must still be written */
        const bool last = i + 1 == o->args.count || status || interrupt_signal();
        if (json_array_size(b.results)) {
            int written = write_rows(&b, last);
            status = status ? status : written;
        }
        if (interrupt_signal() && status == EXIT_DONE)
            status = EXIT_FAILED; /* main says which signal */
    }
    if (b.printed && report_prints(o))
        print_star(o, &star);
    json_decref(b.results);
    table_free(b.table);
    subject_context_end(b.ctx);
    return status;
}
