/* SPDX-License-Identifier: MIT */
/* interrupt.h - signals: the work ends early, what was measured is written. */
#ifndef QZOO_TOOLS_INTERRUPT_H
#define QZOO_TOOLS_INTERRUPT_H

#include "qzoo.h"

/*
 * From now on SIGINT, SIGTERM, SIGHUP and SIGXFSZ (a limit on the size of files) cancel the work of
 * the context that interrupt_watch named, and are remembered. A second one ends the process.
 */
void interrupt_install(void);
/* The context whose work a signal cancels; NULL: none. */
void interrupt_watch(qz_context *ctx);
/* The number of the signal that came, or 0. */
int interrupt_signal(void);
/* Lets the context work again, for what must still be done to keep results. */
void interrupt_resume(qz_context *ctx);

#endif
