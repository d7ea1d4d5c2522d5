#!/bin/sh
# SPDX-License-Identifier: MIT
# Every shell script passes shellcheck and may be executed.
set -eu
cd "$(dirname "$0")/../.."
bad=0
# whose first line names a shell; one awk and few shellchecks: a process for each file takes minutes
files=$(git ls-files | grep -vE '/fixtures/|\.(c|h|inc|cpp|build|md|json|csv|txt|py)$' | LC_ALL=C awk '
    { file = $0 }
    (getline line <file) > 0 && line ~ /^#!\/(bin\/(ba)?sh|usr\/bin\/env bash)/ { print file }
    { close(file) }')
[ "$(echo "$files" | wc -l)" -ge 20 ] || { echo "scripts.sh sees too few scripts: it is broken"; bad=1; }
for file in $files; do
    [ -x "$file" ] || { echo "$file: cannot be executed"; echo "    mend: chmod +x $file"; bad=1; }
done
# shellcheck disable=SC2086 # no name has a space
if ! printf '%s\n' $files | xargs -P 2 -n 8 shellcheck -x -P . -S warning; then
    echo "    mend: as shellcheck says, or a disable line with the reason"
    bad=1
fi
exit $bad
