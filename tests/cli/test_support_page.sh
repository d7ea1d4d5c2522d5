#!/bin/sh
# SPDX-License-Identifier: MIT
# test_support_page.sh PROGRAM PAGE: the page in the tree is what the program prints.
set -eu
if ! "$1" | diff -u "$2" -; then
    echo "$2 differs from the table; write it again with $1" >&2
    exit 1
fi
