# SPDX-License-Identifier: MIT
"""The counterpart of load.c: torch.load.

    python3 load_torch.py FILE [TIMES]

One line: the median time in ms, the peak of the process's memory in MB, and what of it was there
before the first file (the interpreter and its modules).
"""
import resource
import statistics
import sys
import time

import torch


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-6


path = sys.argv[1]
ms = []
before = peak()
for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 5):
    begin = time.perf_counter()
    state = torch.load(path, map_location="cpu")
    ms.append((time.perf_counter() - begin) * 1e3)
    del state
print("%.1f ms %.0f MB (%.0f MB before)" % (statistics.median(ms), peak(), before))
