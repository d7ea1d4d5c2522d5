#!/bin/sh
# SPDX-License-Identifier: MIT
# With every optional feature off the library builds, passes its unit tests, and needs nothing but
# libc, libm and libpthreadpool; nor do the flags of pkg-config. (In
# build-minimal; vector kernels are left out as well, which is what makes this quick.)
set -eu
cd "$(dirname "$0")/../.."
build="build-minimal"
log=$build.log
trap 'rm -f "$log"' EXIT
fail() {
    echo "$1"
    tail -n 20 "$log"
    echo "    mend: code that needs an optional library belongs under QZ_HAVE_…, or in a file that meson.build leaves out"
    exit 1
}
options='--auto-features=disabled -Dvector_kernels=false'
# shellcheck disable=SC2086
[ -d $build ] || meson setup $build --werror $options >"$log" 2>&1 || fail "the minimal build is not configured"
meson compile -C $build >"$log" 2>&1 || fail "the library does not build with every optional feature off"
meson test -C $build --suite unit --print-errorlogs >"$log" 2>&1 || fail "a unit test fails in the minimal build"

readelf -d "$(find $build -maxdepth 1 -type f -name 'libqzoo.so.*.*')" |
    sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' >"$log"
if grep -vE '^(libc|libm|libpthreadpool|ld-.*)\.so' "$log"; then
    fail "    is needed by libqzoo.so, beside libc, libm and libpthreadpool"
fi
grep -q libpthreadpool "$log" || fail "minimal.sh does not see what libqzoo.so needs: it is broken"
sed -n 's/^Libs.*: //p; s/^Requires.*: /requires /p' $build/meson-private/qzoo.pc | tr ' ' '\n' >"$log"
if grep -vE '^(-L.*|-lqzoo|-lm|-lpthreadpool|-pthread|-lpthread)?$' "$log"; then
    fail "    is what qzoo.pc makes applications link"
fi
