/* SPDX-License-Identifier: MIT */
/*
 * fpenv.c - the floating-point environment of the number contract: round to nearest even, no flush
 * to zero, no denormals-are-zero, exceptions masked. The caller's environment, with its sticky
 * flags, comes back unchanged.
 */
#include "layers/base/base.h"

#if defined(QZ_ARCH_X86)
#include <xmmintrin.h>

#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_STICKY 0x3fu

qzi_fpenv qzi_fpenv_enter(void)
{
    uint32_t saved = _mm_getcsr();
    if ((saved & ~MXCSR_STICKY) != MXCSR_DEFAULT)
        _mm_setcsr(MXCSR_DEFAULT);
    return (qzi_fpenv){saved};
}

void qzi_fpenv_leave(qzi_fpenv env)
{
    _mm_setcsr((uint32_t)env.saved);
}

#elif defined(QZ_ARCH_ARM)

static uint64_t read_fpcr(void)
{
    uint64_t value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}

static void write_fpcr(uint64_t value)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(value) : "memory");
}

/* All zero: nearest even, no flushing, NaNs propagate, traps off. */
qzi_fpenv qzi_fpenv_enter(void)
{
    uint64_t saved = read_fpcr();
    if (saved != 0)
        write_fpcr(0);
    return (qzi_fpenv){saved};
}

void qzi_fpenv_leave(qzi_fpenv env)
{
    if (env.saved != 0)
        write_fpcr(env.saved);
}

#else
#include <fenv.h>

/* Only the rounding direction can be read portably. */
qzi_fpenv qzi_fpenv_enter(void)
{
    int saved = fegetround();
    if (saved != FE_TONEAREST)
        fesetround(FE_TONEAREST);
    return (qzi_fpenv){(uint64_t)(int64_t)saved};
}

void qzi_fpenv_leave(qzi_fpenv env)
{
    int saved = (int)(int64_t)env.saved;
    if (saved >= 0 && saved != FE_TONEAREST)
        fesetround(saved);
}
#endif
