/* SPDX-License-Identifier: MIT */
/*
 * peak_loop.h - the body of a peak loop, included once for each instruction: PEAK_NAME,
 * PEAK_VEC (register type), PEAK_STEP(acc) (one instruction on an accumulator), PEAK_MACS (its
 * multiply-adds). 12 independent chains cover latency times throughput of every x86 so far and
 * leave registers for the operands, with 16 registers too.
 */
int64_t PEAK_NAME(int64_t rounds)
{
    enum { CHAINS = 12, UNROLL = 8 };
    PEAK_VEC acc[CHAINS];
    PEAK_VEC a = PEAK_ZERO, b = PEAK_ZERO;
    for (int i = 0; i < CHAINS; i++)
        acc[i] = PEAK_ZERO;
    /* the compiler must believe that the operands may be anything */
    __asm__ volatile("" : PEAK_REG(a), PEAK_REG(b));
    for (int64_t r = 0; r < rounds; r++) {
        for (int u = 0; u < UNROLL; u++) {
#pragma GCC unroll 12
            for (int i = 0; i < CHAINS; i++) {
                acc[i] = PEAK_STEP(acc[i], a, b);
                __asm__ volatile("" : PEAK_REG(acc[i]));
            }
        }
    }
    return rounds * CHAINS * UNROLL * PEAK_MACS;
}
