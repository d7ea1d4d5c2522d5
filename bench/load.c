/* SPDX-License-Identifier: MIT */
/*
 * load.c - what loading a file of weights costs, beside reading the file and nothing more.
 *
 *     load read|dict|map FILE [TIMES]        load model FILE MODEL [TIMES]
 *
 * One line: the median time in ms (of TIMES, 5) and the peak of the process's memory in MB, so each
 * way is a process of its own. LOADING.md has a table of them.
 */
#include <qzoo.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TIMES_MAX 100

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Into fresh memory, as every way of loading must. */
static int read_only(const char *path)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0)
        return 1;
    size_t size = (size_t)info.st_size, done = 0;
    char *bytes = malloc(size + 1);
    while (bytes && done < size) {
        ssize_t got = read(fd, bytes + done, size - done);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    free(bytes);
    close(fd);
    return done != size;
}

static int load_dict(qz_context *ctx, const char *path, bool map)
{
    qz_state_dict *dict = NULL;
    qz_status st = map ? qz_state_dict_map(ctx, path, &dict) : qz_state_dict_load(ctx, path, &dict);
    qz_state_dict_destroy(dict);
    return st != QZ_OK;
}

static int load_model(qz_context *ctx, const char *path, const char *name)
{
    qz_model *model = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.weights = path;
    qz_status st = qz_model_create(ctx, name, &options, &model);
    qz_model_destroy(model);
    return st != QZ_OK;
}

int main(int argc, char **argv)
{
    double ms[TIMES_MAX];
    qz_context *ctx = NULL;
    bool with_model = argc > 3 && strcmp(argv[1], "model") == 0;
    if (argc < 3) {
        fprintf(stderr, "usage: load read|dict|map FILE [TIMES], load model FILE MODEL [TIMES]\n");
        return 2;
    }
    int times = argc > 3 + with_model ? atoi(argv[3 + with_model]) : 5;
    if (times < 1 || times > TIMES_MAX || qz_context_create(NULL, &ctx) != QZ_OK)
        return 2;
    for (int i = 0; i < times; i++) {
        double begin = now_ms();
        int failed = with_model                     ? load_model(ctx, argv[2], argv[3])
                     : strcmp(argv[1], "dict") == 0 ? load_dict(ctx, argv[2], false)
                     : strcmp(argv[1], "map") == 0  ? load_dict(ctx, argv[2], true)
                                                    : read_only(argv[2]);
        ms[i] = now_ms() - begin;
        if (failed) {
            fprintf(stderr, "%s: %s\n", argv[2], qz_context_message(ctx));
            return 1;
        }
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    qsort(ms, (size_t)times, sizeof(ms[0]), compare);
    printf("%.1f ms %.0f MB\n", ms[times / 2], (double)usage.ru_maxrss * 1024e-6);
    qz_context_destroy(ctx);
    return 0;
}
