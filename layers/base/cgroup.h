/* SPDX-License-Identifier: MIT */
/* cgroup.h - what the control groups of Linux leave to this process. Only layers/base and its tests
 * see it. `root` is put before every path: "" but in tests. */
#ifndef QZOO_LAYERS_BASE_CGROUP_H
#define QZOO_LAYERS_BASE_CGROUP_H

#include <stdint.h>

/* CPUs that the least quota is worth, rounded up; 0 where there is no quota. */
uint32_t qzi_cgroup_cpus(const char *root);

/* Bytes that the tightest limit of memory leaves, pages of files counted as free; UINT64_MAX where
 * there is no limit. */
uint64_t qzi_cgroup_memory(const char *root);

#endif
