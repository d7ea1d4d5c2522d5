/* SPDX-License-Identifier: MIT */
/* interrupt.c - signals end the work, not the results. */
#include "interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static volatile sig_atomic_t received;
static _Atomic(qz_context *) watched;

static void on_signal(int number)
{
    if (received && number != SIGXFSZ)
        _exit(128 + number);
    received = number;
    qz_context_cancel(atomic_load(&watched), true);
}

void interrupt_install(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGXFSZ};
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        struct sigaction action = {.sa_handler = on_signal}, old;
        sigemptyset(&action.sa_mask);
        /* what a parent ignores (nohup) stays ignored */
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}

void interrupt_watch(qz_context *ctx)
{
    atomic_store(&watched, ctx);
    if (received) /* it came before there was a context */
        qz_context_cancel(ctx, true);
}

int interrupt_signal(void)
{
    return received;
}

void interrupt_resume(qz_context *ctx)
{
    qz_context_cancel(ctx, false);
}
