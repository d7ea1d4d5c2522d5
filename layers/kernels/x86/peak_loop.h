/* SPDX-License-Identifier: MIT */
/*
 * peak_loop.h - the body of a peak loop, included once for each instruction: PEAK_NAME, PEAK_VEC
 * (register type), PEAK_ZERO, PEAK_STEP(acc, a, b) (one instruction on an accumulator), PEAK_MACS
 * (its multiply-adds), PEAK_REG (the register constraint).
 *
 * 12 independent chains cover latency times throughput of every x86 so far and leave registers for
 * the operands, with 16 registers too. Each has a name of its own: an array of them would be kept
 * in memory by some compilers, and loads and stores would be measured.
 */
#define PEAK_CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define PEAK_DECLARE(i) PEAK_VEC acc##i = PEAK_ZERO;
/* The compiler must believe that every result is needed, and that the operands are new each time:
 * else it multiplies once, before the loop, where the step is a product and a sum. */
#define PEAK_DO(i)                      \
    __asm__ volatile("" : PEAK_REG(a)); \
    acc##i = PEAK_STEP(acc##i, a, b);   \
    __asm__ volatile("" : PEAK_REG(acc##i));

int64_t PEAK_NAME(int64_t rounds)
{
    PEAK_VEC a = PEAK_ZERO, b = PEAK_ZERO;
    PEAK_CHAINS(PEAK_DECLARE)
    __asm__ volatile("" : PEAK_REG(a), PEAK_REG(b));
    for (int64_t r = 0; r < rounds; r++) {
        PEAK_CHAINS(PEAK_DO)
        PEAK_CHAINS(PEAK_DO)
        PEAK_CHAINS(PEAK_DO)
        PEAK_CHAINS(PEAK_DO)
    }
    return rounds * 48 * PEAK_MACS;
}

#undef PEAK_CHAINS
#undef PEAK_DECLARE
#undef PEAK_DO
