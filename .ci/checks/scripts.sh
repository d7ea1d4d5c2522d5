#!/bin/sh
# SPDX-License-Identifier: MIT
# Every shell script passes shellcheck and may be executed.
set -eu
cd "$(dirname "$0")/../.."
bad=0
for file in $(git ls-files | grep -vE '/fixtures/'); do
    [ -f "$file" ] || continue
    case $(head -c 64 "$file" | head -n 1 | tr -d '\0') in
    '#!/bin/sh'*|'#!/bin/bash'*|'#!/usr/bin/env bash'*) ;;
    *) continue ;;
    esac
    [ -x "$file" ] || { echo "$file: cannot be executed"; echo "    mend: chmod +x $file"; bad=1; }
    shellcheck -x -P . -S warning "$file" || { echo "    mend: as shellcheck says, or a disable line with the reason"; bad=1; }
done
exit $bad
