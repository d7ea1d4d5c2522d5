/* SPDX-License-Identifier: MIT */
/*
 * options.h - the values of the options, and the table of the options. A row of the table names the
 * value that the option sets, so a new option is a field here and a row in options.c.
 */
#ifndef QZOO_TOOLS_OPTIONS_H
#define QZOO_TOOLS_OPTIONS_H

#include "qzoo.h"

/* ---- values ---- */

typedef struct option_list {
    const char **items;
    size_t count;
} option_list;

typedef struct option_size {
    long height, width; /* 0: not given */
} option_size;

typedef struct tool_options {
    const char *command;
    struct {
        const char *weights, *key, *prefix, *head_key;
        option_list map;
        bool allow_unexpected;
        const char *classes; /* a file or folder with their names */
        bool allow_missing, transform_input, no_aux_logits;
        int activation;   /* of act_words: 0 leaky, 1 silu; -1: not given */
        long num_classes; /* 0: the architecture's */
        int fuse;         /* FUSE_* */
    } model;
    struct {
        bool ptq, reduce_range, per_channel, per_tensor, relu;
        int backend;            /* qz_backend */
        int observer;           /* qz_observer_kind */
        double percentile;      /* of QZ_OBSERVER_PERCENTILE; 0: the library's */
        option_list calib;      /* images */
        option_list statistics; /* the files of statistics that --calib names */
        option_list exclude, fallback;
        int recipe, bias_correction;  /* qz_recipe, qz_bias_correction less 1; -1: not given */
        const char *equalize;         /* none, auto or a number; NULL: not given */
        int rounding;                 /* qz_rounding less 1; -1: not given */
        long iterations, weight_bits; /* 0: the library's */
        long calib_limit;             /* 0: all */
        bool calib_chosen;            /* by the command, not by the user */
        int head;                     /* HEAD_* */
    } quant;
    struct {
        long threads; /* 0: physical cores */
        int isa;      /* qz_isa */
        bool no_winograd;
        option_size size;
    } run;
    struct { /* the preprocessing of images, beside run.size */
        const char *resize, *mean, *std;
        option_size crop;
        int interpolation; /* qz_interpolation, -1: not given */
        bool rgb, bgr, no_exif;
    } images;
    struct {
        long batch, warmup, runs;
        double seconds;
        bool profile;
    } bench;
    struct {
        const char *data, *labels, *annotations, *detections, *masks;
        bool per_class, skip_bad;
    } eval;
    struct {          /* detectors */
        double score; /* below 0: not given */
        double iou;   /* YOLO; below 0: not given */
        long max_det; /* 0: not given */
        bool agnostic, rect;
        int decode, protocol; /* of decode_words, protocol_words; -1: not given */
        option_list set;
        const char *rois;
    } detect;
    struct {
        bool ops;
    } list;
    struct {
        bool allow; /* downloads */
        const char *mirror, *catalogue, *ca_file;
        bool offline, allow_http;
        long timeout; /* seconds; 0: the library's */
        long retries; /* -1: the library's */
    } fetch;
    struct {
        bool all, f32, update_keys;
    } weights;
    struct {
        int precision; /* PRECISION_*, -1: not given */
        int style;     /* STYLE_*, -1: not given */
        int io;        /* PRECISION_* */
        int outputs;   /* OUTPUTS_* */
        int stage;     /* STAGE_*, -1: not given */
        long opset;    /* 0: the library's */
        bool external_data, postprocess;
    } onnx;
    /* files, and folders (DIR), that are written; "-" is standard output. checks.c looks at every
     * option of this group before the work. */
    struct {
        const char *output, *report, *json, *markdown, *table, *dump, *confusion, *changes;
        const char *coco;
        const char *draw; /* a file or, where several pictures are drawn, a folder */
        option_list dump_nodes;
        bool aux; /* with --dump-outputs */
    } out;
    bool quiet, verbose;
    option_list args; /* positional */
    char **owned;     /* the strings that lists point into */
    size_t owned_count;
    bool given[128]; /* by the user; numbers of rows of the table */
} tool_options;

void options_free(tool_options *options);

/* The numbers of words that the program itself defines. */
enum { FUSE_ALL, FUSE_NONE };
enum { PRECISION_FP32, PRECISION_FP16, PRECISION_INT8 };
enum { STYLE_QDQ, STYLE_QOPERATOR };
enum { OUTPUTS_OWN, OUTPUTS_ALL };
enum { STAGE_IMAGE, STAGE_BOX, STAGE_MASK };
enum { HEAD_INT8, HEAD_FLOAT };

/* ---- the table ---- */

/* Groups of options; a command names the groups that it takes. */
enum {
    OPT_COMMON = 1 << 0,     /* --quiet --verbose --help --version */
    OPT_MODEL = 1 << 1,      /* --weights --allow-missing --num-classes --transform-input … */
    OPT_QUANT = 1 << 2,      /* --backend --reduce-range … */
    OPT_RUN = 1 << 3,        /* --threads --isa */
    OPT_JSON = 1 << 4,       /* --json */
    OPT_PTQ = 1 << 5,        /* --ptq */
    OPT_BENCH = 1 << 6,      /* --batch --warmup --runs --seconds --profile --table */
    OPT_DUMP = 1 << 7,       /* --dump-outputs --dump-node */
    OPT_EVAL = 1 << 8,       /* --data --labels --per-class … */
    OPT_QUANTIZE = 1 << 9,   /* -o --report */
    OPT_LIST = 1 << 10,      /* --ops */
    OPT_FETCH = 1 << 11,     /* --mirror --offline --ca-file … */
    OPT_ASK = 1 << 12,       /* --fetch; commands without it fetch what --weights names */
    OPT_WEIGHTS = 1 << 13,   /* --all --f32 --update-keys */
    OPT_IMAGES = 1 << 14,    /* --size --resize --crop --mean --std … */
    OPT_EXPORT = 1 << 15,    /* -o --precision --style --opset --io --outputs --external-data */
    OPT_FLOAT = 1 << 16,     /* --no-winograd */
    OPT_CATALOGUE = 1 << 17, /* --catalogue */
    OPT_MARKDOWN = 1 << 18,  /* --markdown */
    OPT_CLASSES = 1 << 19,   /* --classes */
    OPT_DETECT = 1 << 20,    /* --score --draw --rois */
    OPT_SETTINGS = 1 << 21,  /* --set, and YOLO's --iou --rect … */
    OPT_CALIBRATE = 1 << 22, /* -o */
};

typedef enum option_kind {
    OPTION_LATER =
        0,        /* of the contract, not built yet: absent from --help, refused with status 5 */
    OPTION_EARLY, /* --help, --version: qzoo.c acts on them before options are read */
    OPTION_FLAG,  /* bool */
    OPTION_WHOLE, /* long */
    OPTION_REAL,  /* double */
    OPTION_SIZE,  /* option_size, H or HxW */
    OPTION_WORD,  /* int, the number of a word */
    OPTION_TEXT,  /* const char * */
    OPTION_TEXTS, /* option_list: each occurrence adds its value */
    OPTION_NAMES, /* option_list: each occurrence adds names separated by commas */
} option_kind;

typedef struct option_words {
    const char *(*word)(int number); /* counts from 0; NULL: no such number */
    const char *later;               /* words of the contract, not built yet, separated by spaces */
    const char *numbered;            /* the word that may have a number behind a colon; NULL */
    size_t number; /* where it is stored in tool_options, a double; without it 0 */
} option_words;

/* What an option sets, and to what. */
typedef struct option_target {
    option_kind kind;
    size_t offset;   /* in tool_options */
    double min, max; /* of numbers */
    double preset;   /* of numbers and words where the option is not given */
    const option_words *words;
} option_target;

typedef struct tool_option {
    const char *name;  /* "--threads" */
    const char *value; /* "N"; NULL: the option takes none */
    unsigned group;    /* the OPT_* that the option belongs to (of -o several) */
    option_target target;
    const char *help;
} tool_option;
extern const tool_option tool_option_table[]; /* ends with name NULL */

/* The row of `name`, which has `length` bytes; NULL: there is none. */
const tool_option *option_find(const char *name, size_t length);
/* Where the option's value is stored. */
void *option_value(tool_options *options, const tool_option *option);
/* How many of the command's arguments, from the first on, are models. */
size_t options_model_count(const tool_options *options);
/* Whether --calib names statistics and no images: there is nothing to compare int8 with fp32 on. */
static inline bool options_statistics_alone(const tool_options *options)
{
    return options->quant.statistics.count > 0 && options->quant.calib.count == 0;
}
/* Whether the user gave the option of this name. */
bool option_given(const tool_options *options, const char *name);
/* The option's words, separated by `separator`; cut to `size` bytes. */
void option_list_words(const tool_option *option, const char *separator, char *text, size_t size);
/* What the option does, with its words or bounds, for --help and manual pages; cut to `size`. */
void option_help(const tool_option *option, char *text, size_t size);

#endif
