#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh [BUILD]: what `meson install` puts down is enough for an application. Installs into an empty
# folder, builds tests/examples from that alone, by pkg-config and by CMake, against the shared and the
# static library, and runs them; all say the same, and fail as they should.
set -eu
cd "$(dirname "$0")/../.."
source=$PWD
build=$(realpath "${1:-build}")
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
fail() {
    echo "$1"
    [ ! -s "$stage/log" ] || tail -n 15 "$stage/log"
    echo "    mend: the install parts of the root meson.build, or zoo/qzoo-config.cmake.in"
    exit 1
}

DESTDIR=$stage/root meson install -C "$build" --no-rebuild >"$stage/log" 2>&1 || fail "meson install fails"
pc=$(find "$stage/root" -name qzoo.pc)
[ -n "$pc" ] || fail "qzoo.pc is not installed"
prefix=$(sed -n 's/^prefix=//p' "$pc")
libdir=$(dirname "$(dirname "$pc")")
for file in bin/qzoo bin/zoo-bench include/qzoo/qzoo.h include/qzoo/qzoo_models.inc share/man/man1/qzoo.1 \
    share/man/man1/qzoo-bench.1 share/bash-completion/completions/qzoo; do
    [ -e "$stage/root$prefix/$file" ] || fail "$file is not installed"
done
[ -L "$libdir/libqzoo.so.0" ] && [ -f "$libdir/libqzoo.a" ] || fail "the library is not installed with its soname"
readelf -d "$libdir/libqzoo.so" | grep -q 'SONAME.*libqzoo\.so\.0' || fail "the soname is not libqzoo.so.0"
nm -D --defined-only "$libdir/libqzoo.so" | grep -q 'qz_version@@QZOO_0' || fail "symbols have no version"

# moved away from where it was configured for, so that only what is installed is found
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
flags=$(pkg-config --define-variable=prefix="$stage/root$prefix" --cflags --libs qzoo)
# ours statically, everything else as usual
statics="-Wl,-Bstatic $(pkg-config --define-variable=prefix="$stage/root$prefix" --static --libs qzoo |
    sed 's/-lqzoo/-lqzoo -Wl,-Bdynamic/')"
warn='-Wall -Wextra -Werror -pedantic'
# shellcheck disable=SC2086
{
    gcc -std=c11 $warn tests/examples/classify.c -o "$stage/c_pkg_shared" $flags &&
        g++ -std=c++17 $warn tests/examples/classify.cpp -o "$stage/cpp_pkg_shared" $flags &&
        gcc -std=c11 $warn -I"$stage/root$prefix/include" tests/examples/classify.c \
            -o "$stage/c_pkg_static" $statics &&
        gcc -std=c11 $warn tests/examples/hello.c -o "$stage/hello" $flags &&
        gcc -std=c11 $warn tests/examples/detect.c -o "$stage/detect" $flags &&
        gcc -std=c11 $warn tests/examples/quantize.c -o "$stage/quantize" $flags &&
        gcc -std=c11 $warn tests/examples/own_network.c -o "$stage/own_network" $flags &&
        gcc -std=c11 $warn tests/examples/sessions.c -o "$stage/sessions" $flags -pthread
} >"$stage/log" 2>&1 || fail "the examples do not build with pkg-config ($flags)"
cmake -S tests/examples -B "$stage/cmake" -DCMAKE_PREFIX_PATH="$stage/root$prefix" -DCMAKE_BUILD_TYPE=Release \
    -Dqzoo_DIR="$libdir/cmake/qzoo" >"$stage/log" 2>&1 || fail "CMake does not find qzoo"
cmake --build "$stage/cmake" >"$stage/log" 2>&1 || fail "the examples do not build with CMake"

LD_LIBRARY_PATH=$libdir
export LD_LIBRARY_PATH
.ci/bmp 3 >"$stage/a.bmp"
.ci/bmp 7 >"$stage/b.bmp"
cd "$stage"
./quantize squeezenet1_1 random model.safetensors a.bmp b.bmp >"$stage/out" 2>"$stage/log" ||
    fail "quantize fails"
[ "$(grep -c ' dB$' "$stage/out")" = 4 ] || fail "quantize does not print the output and three nodes"
./hello model.safetensors a.bmp >"$stage/out" 2>"$stage/log" || fail "hello fails"
[ "$(grep -c '%' "$stage/out")" = 5 ] || fail "hello does not print five classes"
./sessions model.safetensors 2 a.bmp b.bmp a.bmp >"$stage/out" 2>"$stage/log" || fail "sessions fails"
[ "$(sort -u "$stage/out" | grep -c ': ')" = 2 ] || fail "sessions does not print a class for each image"
./own_network own.safetensors >"$stage/out" 2>"$stage/log" || fail "own_network fails"
[ "$(grep -c '^class' "$stage/out")" = 10 ] || fail "own_network does not print its classes"
./sessions model.safetensors 2 a.bmp gone.bmp >"$stage/out" 2>"$stage/log" && fail "sessions misses no image"
./detect random a.bmp found.png >"$stage/out" 2>"$stage/log" || fail "detect fails"
[ -s found.png ] && grep -q ' at ' "$stage/out" || fail "detect draws or prints no object"
./detect gone.pth a.bmp found.png >"$stage/out" 2>"$stage/log" && fail "detect misses no weights"
first=
for program in c_pkg_shared cmake/classify_cpp_static; do
    "./$program" random a.bmp b.bmp >"$stage/out" 2>"$stage/log" || fail "$program fails"
    [ "$(grep -c '%' "$stage/out")" = 5 ] || fail "$program does not print five classes"
    [ -n "$first" ] || first=$(cat "$stage/out")
    [ "$(cat "$stage/out")" = "$first" ] || fail "$program prints something else than the other"
done
"./c_pkg_shared" random a.bmp gone.bmp >"$stage/out" 2>"$stage/log" && fail "a missing image is not seen"
grep -q gone.bmp "$stage/log" || fail "it is not said which image is missing"
for program in cpp_pkg_shared c_pkg_static cmake/classify_c_shared cmake/classify_cpp_shared cmake/classify_c_static; do
    "./$program" ./gone.pth a.bmp b.bmp >"$stage/out" 2>"$stage/log" && fail "$program does not see that the weights are missing"
    grep -q gone.pth "$stage/log" || fail "$program does not say which file is missing"
done
for program in c_pkg_shared cmake/classify_c_shared; do
    ldd "./$program" | grep -q "libqzoo.so.0 => $libdir/" || fail "$program does not use the installed library"
done
if ldd ./c_pkg_static | grep -q qzoo; then fail "c_pkg_static uses the shared library"; fi
"$stage/root$prefix/bin/zoo-list" >"$stage/out" 2>"$stage/log" || fail "the installed zoo-list fails"
cd "$source"
