#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests that use several threads find no data race under the thread sanitizer. (In build-threads:
# clang, the portable kernels, only those tests. pthreadpool itself is not instrumented;
# layers/base/threads.c says in its own terms what orders the work of a region.)
set -eu
cd "$(dirname "$0")/../.."
build="build-threads"
log=$build.log
trap 'rm -f "$log"' EXIT
tests='tests/unit/test_threads tests/models/test_sessions'
fail() {
    echo "$1"
    grep -m 1 -A 40 'WARNING: ThreadSanitizer' "$log" || tail -n 20 "$log"
    echo "    mend: guard what is shared (qzi_mutex, an atomic), or share nothing"
    exit 1
}
[ -d $build ] || CC=clang meson setup $build --werror -Dbuildtype=debugoptimized -Db_sanitize=thread \
    -Db_lundef=false --auto-features=disabled -Dvector_kernels=false >"$log" 2>&1 || fail "the build for the thread sanitizer is not configured"
# shellcheck disable=SC2086
ninja -C $build $tests >"$log" 2>&1 || fail "the build for the thread sanitizer fails"
for test in $tests; do
    TSAN_OPTIONS=halt_on_error=1 "$build/$test" >"$log" 2>&1 || fail "$test fails under the thread sanitizer"
done
