/* SPDX-License-Identifier: MIT */
/*
 * option_table.c - the table of options. options.c parses by it; --help, manual pages and
 * completion print it. Options that are not built yet have a row too: they are refused by name.
 */
#include "tool.h"

#include <stddef.h>

const char *tool_backend_word(size_t i)
{
    return qz_backend_name((qz_backend)i);
}

const char *tool_observer_word(size_t i)
{
    return qz_observer_name((qz_observer_kind)i);
}

const char *tool_isa_word(size_t i)
{
    return qz_isa_name((qz_isa)i);
}

/* Where a row stores its value. A field of another size than the kind stores does not compile. */
#define TARGET(field, type)          \
    (offsetof(tool_options, field) + \
     0 * sizeof(char[sizeof(((tool_options *)0)->field) == sizeof(type) ? 1 : -1]))
#define ROW(name_, value_, group_, kind_, target_, help_, ...)                  \
    {                                                                           \
        .name = (name_), .value = (value_), .group = (group_), .kind = (kind_), \
        .target = (target_), .help = (help_), __VA_ARGS__                       \
    }
#define FLAG(name, group, field, help) \
    ROW(name, NULL, group, KIND_FLAG, TARGET(field, bool), help, .word = NULL)
#define TEXT(name, value, group, field, help) \
    ROW(name, value, group, KIND_TEXT, TARGET(field, const char *), help, .word = NULL)
#define WORD(name, value, group, field, help) \
    ROW(name, value, group, KIND_WORD, TARGET(field, const char *), help, .word = NULL)
#define CHOICE(name, value, group, field, word_, later_, help)                      \
    ROW(name, value, group, KIND_CHOICE, TARGET(field, int), help, .word = (word_), \
        .later = (later_))
#define LIST(name, value, group, field, help) \
    ROW(name, value, group, KIND_LIST, TARGET(field, word_list), help, .word = NULL)
#define NAMES(name, value, group, field, help) \
    ROW(name, value, group, KIND_NAMES, TARGET(field, word_list), help, .word = NULL)
#define NUMBER(name, value, group, field, min_, max_, help) \
    ROW(name, value, group, KIND_NUMBER, TARGET(field, long), help, .min = (min_), .max = (max_))
#define SECONDS(name, value, group, field, max_, help) \
    ROW(name, value, group, KIND_SECONDS, TARGET(field, double), help, .max = (max_))
_Static_assert(offsetof(tool_options, width) == offsetof(tool_options, height) + sizeof(long),
               "one option sets the height and the width behind it");
#define SIZE(name, value, group, field, help) \
    ROW(name, value, group, KIND_SIZE, TARGET(field, long), help, .max = 65535)
#define LATER(name, value) ROW(name, value, 0, KIND_LATER, 0, "", .word = NULL)

const tool_option tool_option_table[] = {
    FLAG("--ptq", OPT_PTQ, ptq, "calibrate and convert to int8, and show it beside fp32"),
    TEXT("--weights", "W", OPT_MODEL, weights,
         "random[:SEED] (the default), default, a TAG of published weights, or a file"),
    FLAG("--allow-missing", OPT_MODEL, allow_missing,
         "keep random values for parameters that the file lacks"),
    NUMBER("--num-classes", "N", OPT_MODEL, num_classes, 1, 1000000,
           "classes of the last layer (default: the architecture's)"),
    FLAG("--transform-input", OPT_MODEL, transform_input,
         "googlenet, inception_v3: the input has mean and std 0.5, as the published weights need"),
    FLAG("--no-aux-logits", OPT_MODEL, no_aux_logits,
         "googlenet, inception_v3: without the parameters of the auxiliary heads"),
    WORD("--fuse", "all|none", OPT_MODEL, fuse,
         "fuse batch norm and activation into convolutions (all)"),
    CHOICE("--backend", "B", OPT_QUANT, backend, tool_backend_word, NULL,
           "the arithmetic of int8: fbgemm, qnnpack, native or auto (auto)"),
    LIST("--calib", "C", OPT_QUANT, calib,
         "calibration images: a folder, files, a .npy, or synthetic[:N] (synthetic:32)"),
    CHOICE("--observer", "O", OPT_QUANT, observer, tool_observer_word, "percentile|entropy|mse",
           "how ranges are found: minmax, moving or histogram (the backend's: histogram)"),
    FLAG("--reduce-range", OPT_QUANT, reduce_range, "7-bit activations, as PyTorch's fbgemm"),
    FLAG("--per-channel", OPT_QUANT, per_channel,
         "one weight scale for each channel, in every backend"),
    FLAG("--relu", OPT_QUANT, relu, "ReLU in place of ReLU6, as torchvision's quantizable models"),
    NAMES("--exclude", "NODE,...", OPT_QUANT, exclude,
          "nodes that stay fp32; the name of a module means all its nodes"),
    NAMES("--fallback", "OP,...", OPT_QUANT, fallback,
          "ops that stay fp32, such as strided_pointwise"),
    NUMBER("--threads", "N", OPT_RUN, threads, 1, 1024, "threads of a run (physical cores)"),
    CHOICE("--isa", "BUNDLE", OPT_RUN, isa, tool_isa_word, NULL,
           "instruction-set ceiling: ref, avx2, avxvnni, avx512, avx512vnni, amx or auto (auto)"),
    FLAG("--no-winograd", OPT_FLOAT, no_winograd,
         "compute fp32 3x3 convolutions directly: slower, with less rounding"),
    NUMBER("--batch", "N", OPT_BENCH, batch, 1, 4096, "images of a run (1)"),
    SIZE("--size", "H[xW]", OPT_SIZE, height, "image size (the model's own)"),
    NUMBER("--warmup", "N", OPT_BENCH, warmup, 0, 1000000, "runs before the measured ones (3)"),
    NUMBER("--runs", "N", OPT_BENCH, runs, 1, 10000000, "measured runs"),
    SECONDS("--seconds", "S", OPT_BENCH, seconds, 86400,
            "how long to measure when --runs is not given (2)"),
    FLAG("--profile", OPT_BENCH, profile,
         "the time, rate and bytes of each node, and where memory is"),
    TEXT("--table", "DIR", OPT_BENCH, table,
         "add the rows to the latency table of this CPU in DIR"),
    TEXT("--dump-outputs", "DIR", OPT_DUMP, dump_outputs, "write each raw output as DIR/NAME.npy"),
    LIST("--dump-node", "NAME", OPT_DUMP, dump_nodes,
         "write a node's output too, or all nodes'; may be given several times"),
    TEXT("--data", "DIR", OPT_EVAL, data, "images: one folder a class, or the files of --labels"),
    TEXT("--labels", "FILE", OPT_EVAL, labels, "csv with the columns file and class_index"),
    TEXT("-o", "FILE", OPT_QUANTIZE | OPT_EXPORT, output, "the file to write: .safetensors, .onnx"),
    TEXT("--report", "FILE", OPT_QUANTIZE, report,
         "write the SQNR of each node, the worst first (.json or text)"),
    WORD("--precision", "fp32|fp16|int8", OPT_EXPORT, precision,
         "of weights and arithmetic (fp32; int8 of a saved model)"),
    WORD("--style", "qdq|qoperator", OPT_EXPORT, style,
         "int8 as float ops between DequantizeLinear and QuantizeLinear, or as integer ops (qdq)"),
    NUMBER("--opset", "N", OPT_EXPORT, opset, QZ_ONNX_OPSET_DEFAULT, QZ_ONNX_OPSET_MAX,
           "version of the operator set, 13 to 21 (13)"),
    WORD("--io", "fp32|fp16", OPT_EXPORT, io,
         "precision of inputs and outputs of an fp16 model (fp32)"),
    WORD("--outputs", "own|all", OPT_EXPORT, outputs, "all: every node's value is an output (own)"),
    FLAG("--external-data", OPT_EXPORT, external_data, "tensors in FILE.data, as above 2 GB"),
    FLAG("--ops", OPT_LIST, ops, "each node: int8 or fp32, and why"),
    FLAG("--fetch", OPT_ASK, fetch, "download published weights that are not in the cache"),
    TEXT("--mirror", "URL", OPT_FETCH, mirror,
         "fetch from this folder, not from the publisher ($QZOO_MIRROR)"),
    FLAG("--offline", OPT_FETCH, offline, "use the cache only"),
    TEXT("--catalogue", "FILE", OPT_CATALOGUE, catalogue,
         "a file of more published weights (catalogue.json in the cache)"),
    FLAG("--allow-http", OPT_FETCH, allow_http, "also fetch over http without encryption"),
    TEXT("--ca-file", "FILE", OPT_FETCH, ca_file, "certificates to trust (the system's)"),
    NUMBER("--timeout", "S", OPT_FETCH, timeout, 1, 3600,
           "seconds without a byte before a transfer is given up (30)"),
    NUMBER("--retries", "N", OPT_FETCH, retries, 0, 100,
           "tries after a failure that may be temporary (3)"),
    FLAG("--all", OPT_WEIGHTS, all, "fetch: the whole catalogue; prune: every file"),
    FLAG("--f32", OPT_WEIGHTS, f32, "convert: all floating-point tensors as float32"),
    FLAG("--update-keys", OPT_WEIGHTS, update_keys,
         "show, convert: torchvision's present names in place of old ones"),
    TEXT("--json", "FILE|-", OPT_JSON, json, "write results as JSON"),
    TEXT("--markdown", "FILE|-", OPT_MARKDOWN, markdown, "write the table of results as Markdown"),
    FLAG("--quiet", OPT_COMMON, quiet, "print results only"),
    FLAG("--verbose", OPT_COMMON, verbose, "say more on stderr"),
    FLAG("--help", OPT_COMMON, help, "this text"),
    FLAG("--version", OPT_COMMON, version, "the version"),
    /* of the contract, not built yet: absent from --help, refused with status 5 */
    LATER("--dynamic", NULL),
    LATER("--qat", NULL),
    LATER("--html", "FILE"),
    LATER("--draw", "FILE"),
    {.name = NULL},
};
