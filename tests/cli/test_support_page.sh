#!/bin/sh
# SPDX-License-Identifier: MIT
# test_support_page.sh PROGRAM PAGE: the page that is kept is what the program prints today.
set -eu
if ! "$1" | diff -u "$2" -; then
    echo "$2 is not what the table says: write it anew with $1" >&2
    exit 1
fi
