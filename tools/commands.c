/* SPDX-License-Identifier: MIT */
/*
 * commands.c - the one table of commands and options. Dispatch, --help and every check of the
 * documentation read it; what is not built yet has a row too, so that it is refused by name.
 */
#include "tool.h"

#define OPT_ANY_MODEL \
    (OPT_COMMON | OPT_MODEL | OPT_QUANT | OPT_RUN | OPT_JSON | OPT_FETCH | OPT_ASK)

const tool_command tool_commands[] = {
    {"list", "[MODEL]", "models, their size and inputs; with --ops every node",
     OPT_COMMON | OPT_MODEL | OPT_QUANT | OPT_JSON | OPT_LIST, cmd_list},
    {"bench", "MODEL|FILE...", "latency in fp32 and, with --ptq, in int8 beside it",
     OPT_ANY_MODEL | OPT_PTQ | OPT_BENCH, cmd_bench},
    {"run", "MODEL|FILE INPUT...", "the five best classes of images or .npy arrays",
     OPT_ANY_MODEL | OPT_PTQ | OPT_DUMP, cmd_run},
    {"eval", "MODEL|FILE", "top-1 and top-5 on labelled images", OPT_ANY_MODEL | OPT_PTQ | OPT_EVAL,
     cmd_eval},
    {"quantize", "MODEL", "calibrate, convert, save an int8 model", OPT_ANY_MODEL | OPT_QUANTIZE,
     cmd_quantize},
    {"weights", "list|fetch|verify|path|prune|show|convert [ARGUMENT...]",
     "published weights: what there is, fetching it, the cache; what is in a file",
     OPT_COMMON | OPT_JSON | OPT_FETCH | OPT_WEIGHTS, cmd_weights},
    {"cpu", "", "this CPU, its instruction sets, the kernel of each op",
     OPT_COMMON | OPT_RUN | OPT_JSON, cmd_cpu},
    {NULL, NULL, NULL, 0, NULL},
};

const char *const tool_later_commands[] = {"export", "train", NULL};

const tool_option tool_option_table[] = {
    {"--ptq", NULL, OPT_PTQ, "calibrate and convert to int8, and show it beside fp32"},
    {"--weights", "W", OPT_MODEL,
     "random[:SEED] (default), default or a TAG of published weights, or a file of such"},
    {"--allow-missing", NULL, OPT_MODEL, "keep random values for parameters that the file lacks"},
    {"--num-classes", "N", OPT_MODEL, "classes of the last layer (default: the architecture's)"},
    {"--transform-input", NULL, OPT_MODEL,
     "googlenet, inception_v3: mean and std 0.5, as the published weights want"},
    {"--fuse", "all|none", OPT_MODEL, "fuse batch norm and activation into convolutions (all)"},
    {"--backend", "B", OPT_QUANT, "fbgemm, qnnpack, native or auto: the arithmetic of int8 (auto)"},
    {"--calib", "C", OPT_QUANT,
     "calibration images: a folder, files, a .npy, or synthetic[:N] (synthetic:32)"},
    {"--observer", "O", OPT_QUANT, "minmax, moving or histogram (the backend's: histogram)"},
    {"--reduce-range", NULL, OPT_QUANT, "7-bit activations, as torch's fbgemm"},
    {"--per-channel", NULL, OPT_QUANT, "weights per channel where the backend has per tensor"},
    {"--relu", NULL, OPT_QUANT, "ReLU in place of ReLU6, as torchvision's quantizable models"},
    {"--exclude", "NODE,...", OPT_QUANT, "nodes that stay fp32"},
    {"--fallback", "OP,...", OPT_QUANT, "ops that stay fp32, such as strided_pointwise"},
    {"--threads", "N", OPT_RUN, "threads of a run (physical cores)"},
    {"--isa", "BUNDLE", OPT_RUN,
     "instruction-set ceiling: ref, avx2, avxvnni, avx512, avx512vnni, amx or auto (auto)"},
    {"--batch", "N", OPT_BENCH, "images of a run (1)"},
    {"--size", "H[xW]", OPT_BENCH, "image size (the model's own)"},
    {"--warmup", "N", OPT_BENCH, "runs before the measured ones (3)"},
    {"--runs", "N", OPT_BENCH, "measured runs"},
    {"--seconds", "S", OPT_BENCH, "measure for so long when --runs is not given (2)"},
    {"--profile", NULL, OPT_BENCH, "time of each node"},
    {"--table", "DIR", OPT_BENCH, "add the rows to DIR's latency table of this CPU"},
    {"--dump-outputs", "DIR", OPT_DUMP, "write each raw output as DIR/NAME.npy"},
    {"--dump-node", "NAME", OPT_DUMP, "write a node's output too; may be given several times"},
    {"--data", "DIR", OPT_EVAL, "images: one folder a class, or the files of --labels"},
    {"--labels", "FILE", OPT_EVAL, "csv with the columns file and class_index"},
    {"-o", "FILE", OPT_QUANTIZE, "the int8 model to write (.safetensors)"},
    {"--report", "FILE", OPT_QUANTIZE, "write SQNR by node, worst first (.json or text)"},
    {"--ops", NULL, OPT_LIST, "each node: int8 or fp32, and why"},
    {"--fetch", NULL, OPT_ASK, "download published weights that are not in the cache"},
    {"--mirror", "URL", OPT_FETCH,
     "a folder to fetch from in place of the publisher ($QZOO_MIRROR)"},
    {"--offline", NULL, OPT_FETCH, "use the cache only"},
    {"--catalogue", "FILE", OPT_FETCH, "more published weights (catalogue.json in the cache)"},
    {"--allow-http", NULL, OPT_FETCH, "also fetch over http without encryption"},
    {"--ca-file", "FILE", OPT_FETCH, "certificates to trust (the system's)"},
    {"--timeout", "S", OPT_FETCH, "seconds without a byte until a transfer counts as dead (30)"},
    {"--retries", "N", OPT_FETCH, "further tries after failures that may pass (3)"},
    {"--all", NULL, OPT_WEIGHTS, "fetch: the whole catalogue; prune: every file"},
    {"--f32", NULL, OPT_WEIGHTS, "convert: everything real as float32"},
    {"--update-keys", NULL, OPT_WEIGHTS, "show, convert: today's names for old torchvision keys"},
    {"--json", "FILE|-", OPT_JSON, "write results as JSON"},
    {"--quiet", NULL, OPT_COMMON, "results only"},
    {"--verbose", NULL, OPT_COMMON, "say more on stderr"},
    {"--help", NULL, OPT_COMMON, "this text"},
    {"--version", NULL, OPT_COMMON, "the version"},
    /* of the contract, not built yet: absent from --help, refused with status 5 */
    {"--dynamic", NULL, 0, ""},
    {"--qat", NULL, 0, ""},
    {"--html", "FILE", 0, ""},
    {"--draw", "FILE", 0, ""},
    {"--no-winograd", NULL, 0, ""},
    {NULL, NULL, 0, NULL},
};
