/* SPDX-License-Identifier: MIT */
/*
 * check_peak.c - the loops that measure ceilings do what they say.
 *
 *   check_peak list   a line for each loop that runs here: FUNCTION MNEMONIC LANES MACS, the
 *                     multiply-adds of an instruction and of a round (check_peak.sh counts the
 *                     instructions in the compiled function)
 *   check_peak        no ceiling is above two instructions a cycle, as no CPU has more
 */
#include "layers/base/base.h"
#include "layers/kernels/peak.h"
#include "layers/qzoo_cpu.h"

#include <stdio.h>
#include <string.h>

typedef struct loop {
    const char *name, *mnemonic;
    qzk_peak_fn fn;
    qz_isa isa;
    bool int8;
    double lanes, cycles; /* multiply-adds of an instruction; cycles of one, where two go at once */
} loop;

static const loop loops[] = {
#if defined(QZ_ARCH_X86)
    {"qzk_peak_f32__ref", "v?mulss", qzk_peak_f32__ref, QZ_ISA_REF, false, 1, 1},
    {"qzk_peak_u8s8__ref", "imul", qzk_peak_u8s8__ref, QZ_ISA_REF, true, 1, 1},
#if defined(QZ_VECTOR_KERNELS)
    {"qzk_peak_f32__avx2", "vfmadd[0-9]*ps", qzk_peak_f32__avx2, QZ_ISA_AVX2, false, 8, 1},
    {"qzk_peak_u8s8__avx2", "vpmaddwd", qzk_peak_u8s8__avx2, QZ_ISA_AVX2, true, 16, 1},
    {"qzk_peak_u8s8__avxvnni", "vpdpbusd", qzk_peak_u8s8__avxvnni, QZ_ISA_AVXVNNI, true, 32, 1},
    {"qzk_peak_f32__avx512", "vfmadd[0-9]*ps", qzk_peak_f32__avx512, QZ_ISA_AVX512, false, 16, 1},
    {"qzk_peak_u8s8__avx512", "vpmaddwd", qzk_peak_u8s8__avx512, QZ_ISA_AVX512, true, 32, 1},
    {"qzk_peak_u8s8__avx512vnni", "vpdpbusd", qzk_peak_u8s8__avx512vnni, QZ_ISA_AVX512VNNI, true,
     64, 1},
    {"qzk_peak_u8s8__amx", "tdpbusd", qzk_peak_u8s8__amx, QZ_ISA_AMX, true, 16 * 16 * 64, 16},
#endif
#endif
    {NULL, NULL, NULL, QZ_ISA_REF, false, 0, 0},
};

static int list(void)
{
    for (const loop *l = loops; l->name; l++) {
        if (qz_isa_available(l->isa))
            printf("%s %s %.0f %lld\n", l->name, l->mnemonic, l->lanes, (long long)l->fn(1));
    }
    return 0;
}

/* Cycles a second: the best of some chains of additions, each of which takes a cycle. */
static double clock_rate(void)
{
    double best = 0.0;
    for (int i = 0; i < 20; i++) {
        uint64_t x = 0;
        const double start = qzi_now();
        for (int k = 0; k < 20000; k++) {
#define ADD_4 "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\t"
#if defined(QZ_ARCH_X86)
            __asm__ volatile(ADD_4 ADD_4 ADD_4 ADD_4 : "+r"(x));
#endif
        }
        best = QZI_MAX(best, 20000 * 16 / (qzi_now() - start));
    }
    return best;
}

int main(int argc, char **argv)
{
    int bad = 0;
    if (argc > 1 && strcmp(argv[1], "list") == 0)
        return list();
    for (const loop *l = loops; l->name; l++) {
        double rate = 0.0, clock = clock_rate();
        if (!qz_isa_available(l->isa) || qz_cpu_peak(NULL, l->isa, l->int8, &rate) != QZ_OK)
            continue;
        clock = QZI_MAX(clock, clock_rate());
        /* a quarter for a clock that changes */
        const double most = 1.25 * 2.0 / l->cycles * l->lanes * clock * 1e-9;
        printf("%-26s %7.1f GMAC/s, at most %7.1f at %.2f GHz\n", l->name, rate, most,
               clock * 1e-9);
        bad += !(rate > 0.0 && rate <= most);
    }
    return bad != 0;
}
