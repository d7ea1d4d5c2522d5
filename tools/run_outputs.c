/* SPDX-License-Identifier: MIT */
/* run_outputs.c - the arrays that qzoo run writes, and the names of classes. */
#include "run.h"

#include "messages.h"

#include <stdio.h>

int run_dump(const run_state *r, const char *name, const qz_tensor *tensor)
{
    char path[4096];
    int n = r->inputs > 1
                ? snprintf(path, sizeof(path), "%s/%zu-%s.npy", r->o->out.dump, r->input, name)
                : snprintf(path, sizeof(path), "%s/%s.npy", r->o->out.dump, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return tool_fail(EXIT_USAGE, "--dump-outputs: the path is too long");
    qz_status st = qz_npy_save(r->ctx, path, tensor);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(r->ctx, st);
}

int run_dump_outputs(const run_state *r)
{
    int status = EXIT_DONE;
    if (!r->o->out.dump)
        return EXIT_DONE;
    for (size_t i = 0; i < qz_session_output_count(r->session) && status == EXIT_DONE; i++) {
        const char *name;
        const qz_tensor *tensor;
        const qz_status st = qz_session_output(r->session, i, &name, &tensor);
        status = st == QZ_OK ? run_dump(r, name, tensor) : tool_fail_status(r->ctx, st);
    }
    return status;
}

const char *run_class_name(const run_state *r, int32_t index)
{
    const char *name = qz_model_class(r->s.model, index);
    return name ? name : "";
}
