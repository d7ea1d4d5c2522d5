#!/bin/sh
# SPDX-License-Identifier: MIT
# Nothing in the repository, messages of commits included, names a path or host of one machine, and
# no note says that something is unfinished. (The patterns are written so as not to find themselves.)
set -eu
cd "$(dirname "$0")/../.."
bad=0
private='(^|[^A-Za-z0-9_.])/(w[o]rk|f[a]rm|r[o]ot|h[o]me/[a-z]|tmp/b[a]sh_jobs|U[s]ers/)|registry\.n[p]mjs|deb\.d[e]bian\.org|\.l[i]brary/'
unfinished='T[O]DO|F[I]XME|\bX[X]X\b|H[A]CK:'
if git grep -nIE "$private" -- . ':!LICENSE'; then
    echo "    mend: say what it is, not where it is on one machine"
    bad=1
fi
if git log --format='%h %B' | grep -nE "$private"; then
    echo "    mend: git commit --amend (or git rebase -i): no paths of one machine in messages"
    bad=1
fi
if git grep -nIE "$unfinished" -- . ':!LICENSE'; then
    echo "    mend: finish it, or open an issue and say there what is missing"
    bad=1
fi
exit $bad
