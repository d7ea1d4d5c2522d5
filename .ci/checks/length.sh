#!/bin/sh
# SPDX-License-Identifier: MIT
# A file is one topic, and has less than 600 lines.
#
# Exempt are lists that grow with what they list, not with thought, one a line below with its reason.
set -eu
cd "$(dirname "$0")/../.."
exempt='
weights/catalogue/catalogue_torchvision.inc    facts, written by a script
tests/unit/preprocess_goldens.inc    numbers, written by a script
'
bad=0
for file in $(git ls-files | grep -E '\.(c|h|inc|cpp|sh|py|build|md)$|^\.ci/'); do
    [ -f "$file" ] || continue
    lines=$(grep -c '' "$file" || true)
    long=$([ "$lines" -ge 600 ] && echo yes || echo no)
    if echo "$exempt" | grep -q "^$file "; then
        [ $long = yes ] && continue
        echo "$file: is exempt, but has only $lines lines"
        echo "    mend: take it out of the list in .ci/checks/length.sh"
        bad=1
    elif [ $long = yes ]; then
        echo "$file: $lines lines"
        echo "    mend: divide it by topic (the word of the topic in both names)"
        bad=1
    fi
done
exit $bad
