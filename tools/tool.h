/* SPDX-License-Identifier: MIT */
/*
 * tool.h - what the subcommands of qzoo share: the command table, options, messages, inputs.
 * Tools see public headers only.
 */
#ifndef QZOO_TOOLS_TOOL_H
#define QZOO_TOOLS_TOOL_H

#include "qzoo.h"

#include <jansson.h>
#include <stdio.h>

/* Exit statuses (DESIGN.md section 5): scripts rely on them. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,      /* the work failed */
    EXIT_USAGE = 2,       /* an unknown model, option or value */
    EXIT_INPUT = 3,       /* an input is missing, damaged or does not fit */
    EXIT_FETCH = 4,       /* the network or a checksum */
    EXIT_UNSUPPORTED = 5, /* not supported here, yet, or by this CPU */
};

/* ---- the command table (commands.c) ---- */

/* Groups of options; a command names those that it takes. */
enum {
    OPT_COMMON = 1 << 0,     /* --quiet --verbose --help --version */
    OPT_MODEL = 1 << 1,      /* --weights --allow-missing --num-classes --transform-input … */
    OPT_QUANT = 1 << 2,      /* --backend --reduce-range … */
    OPT_RUN = 1 << 3,        /* --threads --isa */
    OPT_JSON = 1 << 4,       /* --json */
    OPT_PTQ = 1 << 5,        /* --ptq */
    OPT_BENCH = 1 << 6,      /* --batch --warmup --runs --seconds --profile --table */
    OPT_DUMP = 1 << 7,       /* --dump-outputs --dump-node */
    OPT_EVAL = 1 << 8,       /* --data --labels */
    OPT_QUANTIZE = 1 << 9,   /* -o --report */
    OPT_LIST = 1 << 10,      /* --ops */
    OPT_FETCH = 1 << 11,     /* --mirror --offline --ca-file … */
    OPT_ASK = 1 << 12,       /* --fetch; commands without it fetch what --weights names */
    OPT_WEIGHTS = 1 << 13,   /* --all --f32 --update-keys */
    OPT_SIZE = 1 << 14,      /* --size */
    OPT_EXPORT = 1 << 15,    /* -o --precision --style --opset --io --outputs --external-data */
    OPT_FLOAT = 1 << 16,     /* --no-winograd */
    OPT_CATALOGUE = 1 << 17, /* --catalogue */
};

typedef struct tool_options {
    const char *command;
    /* model and weights */
    const char *weights;
    bool allow_missing, transform_input, no_aux_logits;
    long num_classes;
    bool fuse_none;
    /* quantization */
    bool ptq;
    qz_backend backend;
    qz_observer_kind observer;
    bool reduce_range, per_channel, relu;
    const char **calib;
    size_t calib_count;
    bool calib_chosen; /* by the command, not by the user */
    const char **exclude;
    size_t exclude_count;
    const char **fallback;
    size_t fallback_count;
    /* running */
    long threads;
    qz_isa isa;
    bool no_winograd;
    /* bench */
    long batch, height, width, warmup, runs;
    double seconds;
    bool profile;
    const char *table;
    /* run, eval, quantize, list */
    const char *dump_outputs;
    const char **dump_nodes;
    size_t dump_node_count;
    const char *data, *labels;
    const char *output, *report;
    bool ops;
    /* published weights */
    const char *mirror, *catalogue, *ca_file;
    bool offline, allow_http, fetch, retries_set;
    long timeout, retries;
    bool all, f32, update_keys;
    /* export */
    const char *precision, *style; /* NULL: not given */
    bool io_fp16, all_outputs, external_data;
    long opset;
    /* everywhere */
    const char *json;
    bool quiet, verbose;
    const char **args; /* positional */
    size_t arg_count;
    /* strings that lists point into, freed by options_free */
    char **owned;
    size_t owned_count;
} tool_options;

typedef struct tool_command {
    const char *name;
    const char *args;    /* of the usage line */
    const char *summary; /* one line */
    unsigned options;    /* OPT_* groups */
    int (*run)(const tool_options *options);
} tool_command;

extern const tool_command tool_commands[];      /* ends with name NULL */
extern const char *const tool_later_commands[]; /* of the contract, not built yet; ends with NULL */

typedef struct tool_option {
    const char *name;  /* "--threads" */
    const char *value; /* "N"; NULL: a switch */
    unsigned
        group; /* the OPT_* that it belongs to (of -o several); 0: of the contract, not built yet */
    const char *help;
} tool_option;
extern const tool_option tool_option_table[]; /* ends with name NULL */

/* Parses argv after the command's name. EXIT_DONE, or the status to exit with after a message. */
int options_parse(const tool_command *command, int argc, char **argv, tool_options *options);
void options_free(tool_options *options);

/* ---- messages (messages.c) ---- */

/* "qzoo: …" on stderr; returns `status`. */
int tool_fail(int status, const char *fmt, ...) QZ_PRINTF(2, 3);
/* The library's message, with the exit status of its code. */
int tool_fail_status(qz_context *ctx, qz_status status);
int tool_exit_of(qz_status status);
/* Progress on stderr when it is a terminal and not --quiet: "what 12/32". */
void tool_progress(const tool_options *options, const char *what, size_t done, size_t total);
/* Notes for people: stderr, not with --quiet. */
void tool_note(const tool_options *options, const char *fmt, ...) QZ_PRINTF(2, 3);

/* ---- text tables (report_text.c) ---- */

typedef struct text_table text_table;
text_table *table_new(const char *const *headers, size_t columns); /* "<name": left-aligned */
void table_cell(text_table *table, const char *fmt, ...) QZ_PRINTF(2, 3); /* next cell */
void table_print(const text_table *table, FILE *out);
void table_free(text_table *table);

/* ---- JSON (report_json.c) ---- */

/* Writes and frees `root` to --json's target. EXIT_DONE or EXIT_FAILED. */
int json_write(const tool_options *options, json_t *root);
int json_write_file(const char *path, json_t *root);
json_t *json_cpu(qz_context *ctx);
/* Finite numbers as such; NaN and infinities, which JSON lacks, as null. */
json_t *json_number(double value);

/* Whether the table for people goes to stdout (not when --json - has it, nor with --quiet). */
bool tool_prints(const tool_options *options);

/* ---- models and images (subject.c, images.c) ---- */

/* A context with the options' threads and ISA. */
int subject_context(const tool_options *options, qz_context **ctx);

typedef struct subject {
    qz_context *ctx;
    qz_model *model;
    qz_model_info info;
    bool int8_only;    /* a saved int8 model, or int8 weights: there is no float model */
    bool synthetic;    /* calibrated on synthetic images */
    const char *calib; /* how it was calibrated, for tables and JSON; "" when not */
    char calib_text[256];
} subject;

bool is_model_file(const char *name);
/* Creates or opens; with `ptq` (ignored for files) also calibrates and converts. */
int subject_open(const tool_options *options, qz_context *ctx, const char *name, bool ptq,
                 subject *s);
void subject_close(subject *s);

/* What --calib and INPUT name: images and arrays. */
typedef struct image_list {
    char **paths; /* files in bytewise order of names */
    size_t count;
    long synthetic; /* that many synthetic images instead; 0 */
} image_list;
int images_find(qz_context *ctx, const char *const *what, size_t count, image_list *list);
void images_free(image_list *list);
/* Image `index` as NCHW float32 by the model's recipe (.npy: as it is); free with images_release.
 */
int images_load(qz_context *ctx, const image_list *list, size_t index, const qz_model_info *info,
                qz_tensor *tensor);
void images_release(qz_context *ctx, qz_tensor *tensor);
/*
 * The first `most` images of --calib (synthetic ones without it) as one batch; data by malloc.
 * Images of another size than the first are left out.
 */
int images_gather(const tool_options *options, qz_context *ctx, const qz_model_info *info,
                  size_t most, qz_tensor *batch);
/* What --calib names, or the usual synthetic images. */
int images_of_calib(const tool_options *options, qz_context *ctx, image_list *list);
/* The usual synthetic calibration: 32 images. */
#define SYNTHETIC_DEFAULT 32

/* What a download shows (cmd_weights.c): a line that grows, on a terminal. */
typedef struct fetch_bar {
    const tool_options *options;
    bool announce; /* elsewhere one line that says what is fetched */
    bool shown;
} fetch_bar;
/* How --mirror and its like want files fetched, with that progress. */
void fetch_options_of(fetch_bar *bar, qz_fetch_options *fetch);
/* Clears the line. */
void fetch_bar_end(fetch_bar *bar);

int cmd_weights(const tool_options *options);
int cmd_list(const tool_options *options);
int cmd_bench(const tool_options *options);
int cmd_run(const tool_options *options);
int cmd_eval(const tool_options *options);
int cmd_quantize(const tool_options *options);
int cmd_export(const tool_options *options);
int cmd_cpu(const tool_options *options);

#endif
