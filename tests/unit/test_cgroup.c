/* SPDX-License-Identifier: MIT */
/* test_cgroup.c - quotas and limits of control groups, read from folders that the test writes; what
 * memory is free, and what is refused for its size. */
#include "layers/base/base.h"
#include "layers/base/cgroup.h"
#include "layers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[64];

static void write_file(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void begin(const char *cgroup, const char *mountinfo)
{
    snprintf(root, sizeof(root), "/tmp/qzoo-cgroup-XXXXXX");
    assert_non_null(mkdtemp(root));
    write_file("/proc/self/cgroup", cgroup);
    write_file("/proc/self/mountinfo", mountinfo);
}

static void end(void)
{
    char command[96];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
}

static void quota(const char *folder, const char *quota_us, const char *period_us)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder);
    write_file(path, quota_us);
    snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
    write_file(path, period_us);
}

#define V1_MOUNTS                                                                          \
    "22 1 0:20 / / rw - ext4 /dev/vda1 rw\n"                                               \
    "30 22 0:27 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"                  \
    "32 30 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"                    \
    "31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n" \
    "34 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

static void test_v1(void **state)
{
    (void)state;
    begin("5:cpuset:/x\n4:cpu,cpuacct:/a/b\n1:name=systemd:/s\n0::/s\n", V1_MOUNTS);
    assert_int_equal(qzi_cgroup_cpus(root), 0);               /* there are no files */
    quota("/sys/fs/cgroup/cpuset/x", "100000\n", "100000\n"); /* of another controller */
    quota("/sys/fs/cgroup/cpu,cpuacct/a/b", "-1\n", "100000\n");
    assert_int_equal(qzi_cgroup_cpus(root), 0);
    quota("/sys/fs/cgroup/cpu,cpuacct/a/b", "400000\n", "100000\n");
    assert_int_equal(qzi_cgroup_cpus(root), 4);
    quota("/sys/fs/cgroup/cpu,cpuacct/a", "250000\n", "100000\n"); /* of its parent: 2.5 */
    assert_int_equal(qzi_cgroup_cpus(root), 3);
    quota("/sys/fs/cgroup/cpu,cpuacct", "50000\n", "100000\n");
    assert_int_equal(qzi_cgroup_cpus(root), 1);
    quota("/sys/fs/cgroup", "1\n", "100000\n"); /* above the mount: no group */
    quota("/sys/fs/cgroup/cpu,cpuacct", "-1\n", "100000\n");
    assert_int_equal(qzi_cgroup_cpus(root), 3);
    end();
}

/* A container sees its own group as the root of the mount, or is outside of what it sees. */
static void test_v1_container(void **state)
{
    (void)state;
    begin("4:cpuacct,cpu:/docker/0af/deep\n",
          "40 30 0:28 /docker/0af /sys/fs/cgroup/cpu\\040acct ro - cgroup cgroup rw,cpuacct,cpu\n");
    quota("/sys/fs/cgroup/cpu acct", "200000\n", "100000\n");
    quota("/sys/fs/cgroup/cpu acct/deep", "600000\n", "100000\n");
    assert_int_equal(qzi_cgroup_cpus(root), 2);
    write_file("/proc/self/cgroup", "4:cpu:/docker/0afx\n"); /* a longer name is another group */
    assert_int_equal(qzi_cgroup_cpus(root), 2);
    end();
}

static void test_v2(void **state)
{
    (void)state;
    begin("0::/user.slice/me\n",
          "30 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
    write_file("/sys/fs/cgroup/user.slice/me/cpu.max", "max 100000\n");
    assert_int_equal(qzi_cgroup_cpus(root), 0);
    write_file("/sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n");
    assert_int_equal(qzi_cgroup_cpus(root), 2);
    write_file("/sys/fs/cgroup/user.slice/me/cpu.max", "100000 100000\n");
    assert_int_equal(qzi_cgroup_cpus(root), 1);
    end();
}

/* Both versions: the controller's own mount counts, wherever it is. */
static void test_hybrid(void **state)
{
    (void)state;
    begin("3:cpu:/job\n0::/job\n",
          V1_MOUNTS "40 30 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    quota("/sys/fs/cgroup/cpu,cpuacct/job", "300000\n", "100000\n");
    write_file("/sys/fs/cgroup/unified/job/cgroup.procs", "1\n");
    assert_int_equal(qzi_cgroup_cpus(root), 3);
    end();
}

static void test_damaged(void **state)
{
    (void)state;
    begin("nonsense\n4:cpu\n::\n4:cpu:/a\n",
          "1 2 3\n - \n - cgroup\n31 30 - cgroup cgroup cpu\n" V1_MOUNTS);
    quota("/sys/fs/cgroup/cpu,cpuacct/a", "200000", "0");
    assert_int_equal(qzi_cgroup_cpus(root), 0);
    quota("/sys/fs/cgroup/cpu,cpuacct/a", "x", "100000");
    assert_int_equal(qzi_cgroup_cpus(root), 0);
    quota("/sys/fs/cgroup/cpu,cpuacct/a", "99999999999999999999999", "100000");
    assert_in_range(qzi_cgroup_cpus(root), 1, 1 << 16);
    assert_int_equal(qzi_cgroup_memory(root), UINT64_MAX);
    end();
    assert_int_equal(qzi_cgroup_cpus(root), 0); /* nothing is there */
    assert_int_equal(qzi_cgroup_memory(root), UINT64_MAX);
}

static void test_memory(void **state)
{
    (void)state;
    begin("6:memory:/m\n0::/\n", V1_MOUNTS);
    write_file("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n");
    write_file("/sys/fs/cgroup/memory/m/memory.usage_in_bytes", "1000000\n");
    assert_true(qzi_cgroup_memory(root) > (uint64_t)1 << 60);
    write_file("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "3000000\n");
    assert_int_equal(qzi_cgroup_memory(root), 2000000);
    write_file("/sys/fs/cgroup/memory/m/memory.stat",
               "cache 7\ninactive_file 5\ntotal_inactive_file 300000\ntotal_active_file 200000\n");
    assert_int_equal(qzi_cgroup_memory(root), 2500000);
    write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "100\n");
    write_file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "200\n");
    assert_int_equal(qzi_cgroup_memory(root), 0);
    end();
    begin("0::/a\n", "30 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    write_file("/sys/fs/cgroup/a/memory.max", "max\n");
    write_file("/sys/fs/cgroup/a/memory.current", "500\n");
    assert_int_equal(qzi_cgroup_memory(root), UINT64_MAX);
    write_file("/sys/fs/cgroup/a/memory.max", "700\n");
    write_file("/sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 100\nactive_file 20\n");
    assert_int_equal(qzi_cgroup_memory(root), 320);
    end();
}

/* The least of the system and of the groups; swap counts as free. */
static void test_free_memory(void **state)
{
    (void)state;
    begin("0::/a\n", "30 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_true(qzi_memory_free(root) == UINT64_MAX);
    write_file("/proc/meminfo", "MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:   2000 kB\n");
    assert_int_equal(qzi_memory_free(root), 2048000);
    write_file("/proc/meminfo", "MemAvailable:   2000 kB\nSwapTotal: 9 kB\nSwapFree: 1000 kB\n");
    assert_int_equal(qzi_memory_free(root), 3072000);
    write_file("/sys/fs/cgroup/a/memory.max", "10000\n");
    write_file("/sys/fs/cgroup/a/memory.current", "9000\n");
    assert_int_equal(qzi_memory_free(root), 1000 + 1024000);
    end();
    assert_true(qz_memory_available() > 0);
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0 bytes"},
                 {999, "999 bytes"},
                 {1000, "1.00 kB"},
                 {999994, "999.99 kB"},
                 {999996, "1.00 MB"},
                 {2047997952, "2.05 GB"},
                 {52776558133248, "52.78 TB"},
                 {UINT64_MAX, "18.45 EB"}};
    for (size_t i = 0; i < QZI_ARRAY_LEN(cases); i++)
        assert_string_equal(qzi_bytes_text(cases[i].bytes).text, cases[i].text);
}

/* A block that no machine has is refused, with its size; a caller's allocator decides itself. */
static void *no_memory(void *user, size_t size, size_t align)
{
    (void)align;
    *(size_t *)user = size;
    return size > 1 << 20 ? NULL : malloc(size);
}

static void plain_free(void *user, void *ptr)
{
    (void)user;
    free(ptr);
}

static void test_refused(void **state)
{
    (void)state;
    const size_t huge = (size_t)1 << 56;
    assert_null(qzi_alloc(NULL, huge));
    assert_non_null(strstr(qz_context_message(NULL), "72.06 PB"));
    assert_int_equal(qzi_check_memory(NULL, huge, "it takes", "take less"), QZ_ERR_MEMORY);
    assert_int_equal(qzi_check_memory(NULL, 1, "it takes", "take less"), QZ_OK);
    assert_null(qzi_calloc(NULL, SIZE_MAX, 2));
    size_t last = 0;
    const qz_allocator own = {no_memory, plain_free, &last};
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.allocator = &own;
    o.threads = 1;
    qz_context *ctx;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
    assert_null(qzi_alloc(ctx, huge));
    assert_true(last == huge);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1),          cmocka_unit_test(test_v1_container),
        cmocka_unit_test(test_v2),          cmocka_unit_test(test_hybrid),
        cmocka_unit_test(test_damaged),     cmocka_unit_test(test_memory),
        cmocka_unit_test(test_free_memory), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
