/* SPDX-License-Identifier: MIT */
/* context.c - options are checked and resolved once, here. */
#include "layers/base/context.h"

#include "layers/base/cpu.h"

#include <stdlib.h>
#include <string.h>

/* More is a mistake: a pool of that size would only take memory. */
#define THREADS_MAX 1024

static qz_status check_options(const qz_context_options *o)
{
    if (o->allocator && (!o->allocator->alloc || !o->allocator->free))
        return qzi_fail(NULL, QZ_ERR_ARGUMENT,
                        "context options: the allocator needs both alloc and free");
    if ((unsigned)o->isa >= QZ_ISA_COUNT)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "context options: isa %u is unknown",
                        (unsigned)o->isa);
    if (!qz_isa_available(o->isa))
        return qzi_fail(NULL, QZ_ERR_UNSUPPORTED,
                        "this CPU or this build lacks the instruction set %s; the best is %s",
                        qz_isa_name(o->isa), qz_isa_name(qz_isa_best()));
    if (o->threads > THREADS_MAX)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "context options: %u threads are too many (%d)",
                        o->threads, THREADS_MAX);
    return QZ_OK;
}

static uint32_t resolve_threads(const qz_context_options *o)
{
    if (o->threadpool) {
        uint32_t size = QZI_MAX(qzi_threads_of_pool(o->threadpool), 1);
        return o->threads != 0 ? QZI_MIN(o->threads, size) : size;
    }
    if (o->threads != 0)
        return o->threads;
    qz_cpu_info cpu;
    qz_cpu_query(&cpu);
    return QZI_MIN(QZI_MIN(cpu.physical_cores, qzi_cpu_usable()), THREADS_MAX);
}

static const char *get_folder(const char *variable)
{
    const char *value = getenv(variable);
    return value && value[0] != 0 ? value : NULL;
}

/* *dir stays NULL where no variable names the folder. */
static qz_status resolve_cache_dir(const qz_context *ctx, const char *asked, char **dir)
{
    const char *base;
    if (asked || (asked = get_folder("QZOO_HOME")))
        *dir = qzi_strdup(ctx, asked);
    else if ((base = get_folder("XDG_CACHE_HOME")) && base[0] == '/')
        *dir = qzi_format(ctx, "%s/qzoo", base); /* a relative one is to be ignored, says XDG */
    else if ((base = get_folder("HOME")) != NULL)
        *dir = qzi_format(ctx, "%s/.cache/qzoo", base);
    else
        return QZ_OK;
    return *dir ? QZ_OK : QZ_ERR_MEMORY;
}

qz_status qz_context_create(const qz_context_options *options, qz_context **context)
{
    if (!context)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_context_create: context is NULL");
    *context = NULL;
    qz_context_options o;
    QZI_TRY(qzi_options_take(NULL, options, &o, sizeof(o), "qz_context_options"));
    QZI_TRY(check_options(&o));

    const qz_allocator *a = o.allocator ? o.allocator : &qzi_default_allocator;
    qz_context *ctx = a->alloc(a->user, sizeof(*ctx), QZI_ALIGN);
    if (!ctx)
        return qzi_fail_memory(NULL, sizeof(*ctx));
    *ctx = (qz_context){
        .allocator = *a,
        .own_allocator = o.allocator != NULL,
        .log = o.log,
        .log_user = o.log_user,
        .isa = o.isa == QZ_ISA_AUTO ? qz_isa_best() : o.isa,
        .threads = resolve_threads(&o),
        .pool = o.threadpool,
    };
    if (pthread_mutex_init(&ctx->team_lock, NULL) != 0) {
        qzi_free(ctx, ctx);
        return qzi_fail(NULL, QZ_ERR_MEMORY, "the system has no mutex left");
    }
    const uint32_t usable = qzi_cpu_usable();
    if (!ctx->pool && ctx->threads > usable)
        qzi_log(ctx, QZ_LOG_WARNING,
                "%u threads on %u usable CPU%s: more threads than CPUs only make a run slower",
                ctx->threads, usable, usable == 1 ? "" : "s");
    if (resolve_cache_dir(ctx, o.cache_dir, &ctx->cache_dir) != QZ_OK) {
        qz_context_destroy(ctx);
        return qzi_fail(NULL, QZ_ERR_MEMORY, "out of memory for the cache folder's name");
    }
    *context = ctx;
    return QZ_OK;
}

void qz_context_destroy(qz_context *context)
{
    if (!context)
        return;
    qzi_threads_destroy(context);
    pthread_mutex_destroy(&context->team_lock);
    qzi_free(context, context->cache_dir);
    qz_allocator a = context->allocator;
    a.free(a.user, context);
}

void qz_context_cancel(qz_context *context, bool cancel)
{
    if (context)
        atomic_store_explicit(&context->cancelled, cancel, memory_order_relaxed);
}

qz_status qzi_check_cancelled(const qz_context *ctx)
{
    if (!ctx ||
        !atomic_load_explicit(&((qz_context *)(uintptr_t)ctx)->cancelled, memory_order_relaxed))
        return QZ_OK;
    return qzi_fail(ctx, QZ_ERR_CANCELLED, "cancelled");
}

qz_isa qz_context_isa(const qz_context *context)
{
    return context->isa;
}

uint32_t qz_context_threads(const qz_context *context)
{
    return qzi_threads_granted(context);
}

const char *qz_context_cache_dir(const qz_context *context)
{
    return context->cache_dir;
}
