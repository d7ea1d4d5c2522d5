/* SPDX-License-Identifier: MIT */
/* fetch_bar.c - shows how far a download is. */
#include "fetch_bar.h"

#include "messages.h"

#include <stdio.h>
#include <unistd.h>

static bool on_progress(void *user, const qz_fetch_progress *p)
{
    fetch_bar *b = user;
    if (b->options->quiet)
        return true;
    if (!isatty(STDERR_FILENO)) {
        if (b->announce)
            tool_note(b->options->quiet, "qzoo: fetching %s", p->info->url);
        b->announce = false;
        return true;
    }
    b->shown = true;
    if (p->waiting)
        fprintf(stderr, "\r\033[K%s: another process fetches it", p->info->file);
    else if (p->total)
        fprintf(stderr, "\r\033[K%s %5.1f%% of %.1f MB", p->info->file,
                100.0 * (double)p->done / (double)p->total, (double)p->total * 1e-6);
    else
        fprintf(stderr, "\r\033[K%s %.1f MB", p->info->file, (double)p->done * 1e-6);
    fflush(stderr);
    return true;
}

void fetch_bar_options(fetch_bar *bar, qz_fetch_options *f)
{
    const tool_options *o = bar->options;
    *f = (qz_fetch_options)QZ_FETCH_OPTIONS_INIT;
    f->mirror = o->fetch.mirror;
    f->allow_http = o->fetch.allow_http;
    f->offline = o->fetch.offline;
    f->ca_file = o->fetch.ca_file;
    f->timeout = (uint32_t)o->fetch.timeout;
    /* the library's 0 means its default */
    const long retries = o->fetch.retries;
    f->retries = retries == 0 ? UINT32_MAX : retries < 0 ? 0 : (uint32_t)retries;
    f->progress = on_progress;
    f->progress_user = bar;
}

void fetch_bar_end(fetch_bar *bar)
{
    if (bar->shown)
        fputs("\r\033[K", stderr);
    bar->shown = false;
}
