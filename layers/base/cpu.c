/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - which instruction bundles run here, and what is known of cores and caches.
 *
 * Bundles are detected by cpuid and xgetbv (x86-64) or getauxval (aarch64): the operating system
 * must save the registers too. Names and cache sizes come from cpuinfo where it is built in and its
 * sources are readable (it writes to stderr where they are not), else from the system; where
 * nothing is known, usual sizes are reported.
 */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "layers/base/cpu.h"

#include "layers/base/cgroup.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#endif
#if defined(QZ_ARCH_X86) && defined(QZ_VECTOR_KERNELS)
#include <cpuid.h>
#elif defined(QZ_ARCH_ARM) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(QZ_HAVE_CPUINFO) && defined(QZ_ARCH_X86)
#define USE_CPUINFO 1
#include <cpuinfo.h>
#endif

/* ---- bundles ---- */

#define ISA_BIT(isa) (1u << (isa))
#define ALWAYS (ISA_BIT(QZ_ISA_AUTO) | ISA_BIT(QZ_ISA_REF))

static const char *const isa_names[QZ_ISA_COUNT] = {
    [QZ_ISA_AUTO] = "auto",       [QZ_ISA_REF] = "ref",       [QZ_ISA_AVX2] = "avx2",
    [QZ_ISA_AVXVNNI] = "avxvnni", [QZ_ISA_AVX512] = "avx512", [QZ_ISA_AVX512VNNI] = "avx512vnni",
    [QZ_ISA_AMX] = "amx",         [QZ_ISA_NEON] = "neon",     [QZ_ISA_DOTPROD] = "dotprod",
    [QZ_ISA_I8MM] = "i8mm",
};

static bool has_all(uint64_t value, uint64_t bits)
{
    return (value & bits) == bits;
}

uint32_t qzi_isa_mask_x86(const qzi_x86_regs *r)
{
    const uint32_t fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28;            /* 1 ecx */
    const uint32_t avx2 = 1u << 5;                                                /* 7 ebx */
    const uint32_t avx512_f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* 7 ebx */
    const uint32_t avx512_vnni = 1u << 11;                                        /* 7 ecx */
    const uint32_t amx_tile_int8 = 1u << 24 | 1u << 25;                           /* 7 edx */
    const uint32_t avx_vnni = 1u << 4;                                            /* 7.1 eax */
    const uint64_t ymm_state = 0x06, zmm_state = 0xe6, tile_state = 0x60000;      /* xcr0 */

    uint32_t mask = ALWAYS;
    if (!has_all(r->leaf1_ecx, fma | osxsave | avx) || !has_all(r->leaf7_ebx, avx2) ||
        !has_all(r->xcr0, ymm_state))
        return mask;
    mask |= ISA_BIT(QZ_ISA_AVX2);
    if (has_all(r->leaf7_1_eax, avx_vnni))
        mask |= ISA_BIT(QZ_ISA_AVXVNNI);
    if (has_all(r->leaf7_ebx, avx512_f_dq_bw_vl) && has_all(r->xcr0, zmm_state)) {
        mask |= ISA_BIT(QZ_ISA_AVX512);
        if (has_all(r->leaf7_ecx, avx512_vnni)) {
            mask |= ISA_BIT(QZ_ISA_AVX512VNNI);
            if (has_all(r->leaf7_edx, amx_tile_int8) && has_all(r->xcr0, tile_state) && r->tiles)
                mask |= ISA_BIT(QZ_ISA_AMX);
        }
    }
    return mask;
}

uint32_t qzi_isa_mask_arm(uint64_t hwcap, uint64_t hwcap2)
{
    const uint64_t asimd = 1u << 1, asimddp = 1u << 20; /* AT_HWCAP */
    const uint64_t i8mm = 1u << 13;                     /* AT_HWCAP2 */

    uint32_t mask = ALWAYS;
    if (!has_all(hwcap, asimd))
        return mask;
    mask |= ISA_BIT(QZ_ISA_NEON);
    if (!has_all(hwcap, asimddp))
        return mask;
    mask |= ISA_BIT(QZ_ISA_DOTPROD);
    if (has_all(hwcap2, i8mm))
        mask |= ISA_BIT(QZ_ISA_I8MM);
    return mask;
}

qz_isa qzi_isa_best_of(uint32_t mask)
{
    /* int8 is what this library is for: VNNI at 256 bits goes before AVX-512 without it */
    static const qz_isa order[] = {QZ_ISA_AMX,  QZ_ISA_AVX512VNNI, QZ_ISA_AVXVNNI, QZ_ISA_AVX512,
                                   QZ_ISA_AVX2, QZ_ISA_I8MM,       QZ_ISA_DOTPROD, QZ_ISA_NEON};
    for (size_t i = 0; i < QZI_ARRAY_LEN(order); i++) {
        if (mask & ISA_BIT(order[i]))
            return order[i];
    }
    return QZ_ISA_REF;
}

#if !defined(QZ_VECTOR_KERNELS)
static uint32_t detect_isa(void)
{
    return ALWAYS; /* whatever the CPU has: there is nothing that would use it */
}
#elif defined(QZ_ARCH_X86)
/*
 * Tile registers are large, so Linux (5.16) saves them only for processes that ask to use them. The
 * usual palette of 8 tiles of 16 rows of 64 bytes is what the kernels configure.
 */
static bool may_use_tiles(void)
{
#if defined(__linux__)
    const long arch_req_xcomp_perm = 0x1023, xfeature_tiledata = 18;
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid_count(0x1d, 1, &eax, &ebx, &ecx, &edx) || ebx >> 16 < 8 ||
        (ebx & 0xffff) < 64 || (ecx & 0xffff) < 16)
        return false;
    return syscall(SYS_arch_prctl, arch_req_xcomp_perm, xfeature_tiledata) == 0;
#else
    return false;
#endif
}

static uint32_t detect_isa(void)
{
    qzi_x86_regs r = {0};
    uint32_t eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        r.leaf1_ecx = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        r.leaf7_ebx = ebx;
        r.leaf7_ecx = ecx;
        r.leaf7_edx = edx;
        if (eax >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx))
            r.leaf7_1_eax = eax;
    }
    if (r.leaf1_ecx & (1u << 27)) { /* OSXSAVE: xgetbv is there */
        __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
        r.xcr0 = (uint64_t)edx << 32 | eax;
    }
    r.tiles = (r.leaf7_edx & 1u << 24) != 0 && may_use_tiles();
    return qzi_isa_mask_x86(&r);
}
#elif defined(QZ_ARCH_ARM) && defined(__linux__)
static uint32_t detect_isa(void)
{
    return qzi_isa_mask_arm(getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
}
#else
static uint32_t detect_isa(void)
{
#if defined(QZ_ARCH_ARM)
    return ALWAYS | ISA_BIT(QZ_ISA_NEON);
#else
    return ALWAYS;
#endif
}
#endif

/* cpuid is slow in virtual machines, and cores do not change: both are asked once. */
static uint32_t isa_mask;
static qz_cpu_info cpu;
static pthread_once_t isa_once = PTHREAD_ONCE_INIT;
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;

static void init_isa(void)
{
    isa_mask = detect_isa();
}

const char *qz_isa_name(qz_isa isa)
{
    return (unsigned)isa < QZ_ISA_COUNT ? isa_names[isa] : NULL;
}

bool qz_isa_parse(const char *name, qz_isa *isa)
{
    for (unsigned i = 0; i < QZ_ISA_COUNT; i++) {
        if (strcmp(name, isa_names[i]) == 0) {
            *isa = (qz_isa)i;
            return true;
        }
    }
    return false;
}

bool qz_isa_available(qz_isa isa)
{
    if ((unsigned)isa >= QZ_ISA_COUNT)
        return false;
    pthread_once(&isa_once, init_isa);
    return (isa_mask & ISA_BIT(isa)) != 0;
}

qz_isa qz_isa_best(void)
{
    pthread_once(&isa_once, init_isa);
    return qzi_isa_best_of(isa_mask);
}

/* ---- cores and caches ---- */

#define DEFAULT_L1D ((size_t)32 << 10)
#define DEFAULT_L2 ((size_t)512 << 10)
#define DEFAULT_L3 ((size_t)4 << 20)

#if defined(USE_CPUINFO)
/* A cache's size divided among its cores (not among the hyperthreads of a core). */
static size_t per_core(const struct cpuinfo_cache *cache, uint32_t threads_per_core)
{
    if (!cache || cache->size == 0)
        return 0;
    uint32_t cores = cache->processor_count / QZI_MAX(threads_per_core, 1);
    return cache->size / QZI_MAX(cores, 1);
}

static void ask_cpuinfo(qz_cpu_info *info)
{
    /* without these lists it complains on stderr, which is not ours to write to */
    if (access("/sys/devices/system/cpu/possible", R_OK) != 0 ||
        access("/sys/devices/system/cpu/present", R_OK) != 0 || !cpuinfo_initialize())
        return;
    info->physical_cores = cpuinfo_get_cores_count();
    info->logical_cores = cpuinfo_get_processors_count();
    const struct cpuinfo_processor *p = cpuinfo_get_processor(0);
    if (!p)
        return;
    if (p->package)
        snprintf(info->name, sizeof(info->name), "%.*s", CPUINFO_PACKAGE_NAME_MAX,
                 p->package->name);
    uint32_t smt = p->core ? p->core->processor_count : 1;
    info->l1d_bytes = per_core(p->cache.l1d, smt);
    info->l2_bytes = per_core(p->cache.l2, smt);
    info->l3_bytes = p->cache.l3 ? p->cache.l3->size : 0;
}
#endif

static size_t ask_sysconf(int name)
{
    long value = sysconf(name);
    return value > 0 ? (size_t)value : 0;
}

#if defined(__linux__)
/* The value of the first line "key : value" of /proc/cpuinfo. */
static bool proc_cpuinfo(const char *key, char *value, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file)
        return false;
    char line[512];
    bool found = false;
    while (!found && fgets(line, sizeof(line), file)) {
        size_t n = strlen(key);
        if (strncmp(line, key, n) != 0 || !strchr("\t :", line[n]))
            continue;
        const char *text = strchr(line, ':');
        if (!text)
            continue;
        text += 1 + strspn(text + 1, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(text, "\n"), text);
        found = true;
    }
    fclose(file);
    return found;
}

/* Cores by the first package's own count; 0 where /proc/cpuinfo does not say. */
static uint32_t proc_cores(uint32_t logical)
{
    char cores[16], siblings[16];
    if (!proc_cpuinfo("cpu cores", cores, sizeof(cores)) ||
        !proc_cpuinfo("siblings", siblings, sizeof(siblings)))
        return 0;
    unsigned long c = strtoul(cores, NULL, 10), s = strtoul(siblings, NULL, 10);
    if (c == 0 || s < c)
        return 0;
    return (uint32_t)QZI_MAX(logical * c / s, 1);
}
#endif

static void fill_gaps(qz_cpu_info *info)
{
    if (info->logical_cores == 0) {
        size_t n = ask_sysconf(_SC_NPROCESSORS_CONF);
        info->logical_cores = (uint32_t)QZI_MAX(QZI_MIN(n, 1u << 16), 1);
    }
#if defined(__linux__)
    if (info->physical_cores == 0)
        info->physical_cores = proc_cores(info->logical_cores);
    if (info->name[0] == 0 && !proc_cpuinfo("model name", info->name, sizeof(info->name)))
        proc_cpuinfo("Hardware", info->name, sizeof(info->name));
#endif
    if (info->physical_cores == 0 || info->physical_cores > info->logical_cores)
        info->physical_cores = info->logical_cores;
#if defined(_SC_LEVEL1_DCACHE_SIZE)
    if (info->l1d_bytes == 0)
        info->l1d_bytes = ask_sysconf(_SC_LEVEL1_DCACHE_SIZE);
    if (info->l2_bytes == 0)
        info->l2_bytes = ask_sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (info->l3_bytes == 0)
        info->l3_bytes = ask_sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    if (info->l1d_bytes == 0)
        info->l1d_bytes = DEFAULT_L1D;
    if (info->l2_bytes < info->l1d_bytes) /* also 0 */
        info->l2_bytes = QZI_MAX(DEFAULT_L2, info->l1d_bytes);
    if (info->l3_bytes == 0)
        info->l3_bytes = QZI_MAX(DEFAULT_L3, info->l2_bytes);
    if (info->name[0] == 0)
        snprintf(info->name, sizeof(info->name), "%s", "unknown CPU");
}

static void init_cpu(void)
{
#if defined(USE_CPUINFO)
    ask_cpuinfo(&cpu);
#endif
    fill_gaps(&cpu);
}

void qz_cpu_query(qz_cpu_info *info)
{
    pthread_once(&cpu_once, init_cpu);
    *info = cpu;
}

uint32_t qzi_cpu_usable(void)
{
    size_t online = ask_sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t count = (uint32_t)QZI_MAX(QZI_MIN(online, 1u << 16), 1);
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        count = (uint32_t)CPU_COUNT(&set);
    const uint32_t quota = qzi_cgroup_cpus("");
    if (quota != 0)
        count = QZI_MIN(count, quota);
#endif
    return count;
}
