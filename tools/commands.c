/* SPDX-License-Identifier: MIT */
/*
 * commands.c - the one table of commands. Dispatch, --help, the manual pages and the completion
 * read the table.
 */
#include "commands.h"

#define OPT_ANY_MODEL \
    (OPT_COMMON | OPT_MODEL | OPT_QUANT | OPT_RUN | OPT_JSON | OPT_FETCH | OPT_CATALOGUE)

const tool_command tool_commands[] = {
    {"list", "[MODEL]", "list the models, or with --ops the nodes of one",
     OPT_COMMON | OPT_MODEL | OPT_QUANT | OPT_JSON | OPT_LIST | OPT_CATALOGUE, cmd_list},
    {"bench", "MODEL|FILE...", "measure latency in fp32 and, with --ptq, also in int8",
     OPT_ANY_MODEL | OPT_PTQ | OPT_FLOAT | OPT_IMAGES | OPT_BENCH | OPT_MARKDOWN | OPT_ASK |
         OPT_SETTINGS,
     cmd_bench},
    {"run", "MODEL|FILE INPUT...",
     "print the best classes, or the objects, of images or .npy arrays",
     OPT_ANY_MODEL | OPT_CLASSES | OPT_PTQ | OPT_FLOAT | OPT_IMAGES | OPT_DUMP | OPT_DETECT |
         OPT_SETTINGS,
     cmd_run},
    {"eval", "[MODEL|FILE]", "measure accuracy on labelled images, average precision of detections",
     OPT_ANY_MODEL | OPT_CLASSES | OPT_PTQ | OPT_FLOAT | OPT_IMAGES | OPT_EVAL | OPT_MARKDOWN |
         OPT_SETTINGS,
     cmd_eval},
    {"calibrate", "MODEL", "write statistics of calibration images, for --calib",
     OPT_COMMON | OPT_MODEL | OPT_QUANT | OPT_RUN | OPT_FETCH | OPT_CATALOGUE | OPT_IMAGES |
         OPT_SETTINGS | OPT_CALIBRATE,
     cmd_calibrate},
    {"quantize", "MODEL", "calibrate and convert a model, and save it in int8",
     OPT_ANY_MODEL | OPT_CLASSES | OPT_IMAGES | OPT_QUANTIZE | OPT_SETTINGS, cmd_quantize},
    {"export", "MODEL|FILE", "write a model as ONNX in fp32, fp16 or int8",
     OPT_COMMON | OPT_MODEL | OPT_QUANT | OPT_RUN | OPT_FETCH | OPT_CATALOGUE | OPT_IMAGES |
         OPT_CLASSES | OPT_EXPORT | OPT_SETTINGS,
     cmd_export},
    {"weights", "list|fetch|verify|path|prune|show|convert [ARGUMENT...]",
     "list, fetch and verify published weights; show and convert files",
     OPT_COMMON | OPT_JSON | OPT_FETCH | OPT_CATALOGUE | OPT_WEIGHTS, cmd_weights},
    {"cpu", "", "show this CPU, its instruction sets and the kernel of each op",
     OPT_COMMON | OPT_RUN | OPT_JSON, cmd_cpu},
    {NULL, NULL, NULL, 0, NULL},
};

const char *const tool_later_commands[] = {"train", NULL};
