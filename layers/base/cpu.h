/* SPDX-License-Identifier: MIT */
/* cpu.h - CPU detection, in pieces that tests can feed. Only layers/base and its tests see it. */
#ifndef QZOO_LAYERS_BASE_CPU_H
#define QZOO_LAYERS_BASE_CPU_H

#include "layers/base/base.h"
#include "layers/qzoo_cpu.h"

/* The registers that decide which x86 bundles run; 0 where the CPU lacks the leaf. */
typedef struct qzi_x86_regs {
    uint32_t leaf1_ecx;
    uint32_t leaf7_ebx, leaf7_ecx, leaf7_edx;
    uint32_t leaf7_1_eax;
    uint64_t xcr0; /* what the operating system saves on a context switch */
    bool tiles;    /* this process may use AMX: the operating system was asked */
} qzi_x86_regs;

/* Bit i of the result: bundle i is available. REF and AUTO always are. */
uint32_t qzi_isa_mask_x86(const qzi_x86_regs *regs);
uint32_t qzi_isa_mask_arm(uint64_t hwcap, uint64_t hwcap2);
/* The best bundle of a mask. */
qz_isa qzi_isa_best_of(uint32_t mask);

/* CPUs that this process may use: affinity mask and cgroup quota; at least 1. */
uint32_t qzi_cpu_usable(void);

#endif
