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
# one awk for all files: a process for each would take most of a minute
git ls-files | grep -E '\.(c|h|inc|cpp|sh|py|build|md)$|^\.ci/' | exempt="$exempt" awk '
    BEGIN {
        count = split(ENVIRON["exempt"], rows, "\n")
        for (i = 1; i <= count; i++) {
            split(rows[i], words, " ")
            is_exempt[words[1]] = 1
        }
    }
    {
        file = $0
        for (lines = 0; (getline line <file) > 0;)
            lines++
        close(file)
        seen += lines > 0
        if (file in is_exempt && lines > 0 && lines < 600) {
            print file ": is exempt, but has only " lines " lines"
            print "    mend: take it out of the list in .ci/checks/length.sh"
            bad = 1
        } else if (!(file in is_exempt) && lines >= 600) {
            print file ": " lines " lines"
            print "    mend: divide it by topic (the word of the topic in both names)"
            bad = 1
        }
    }
    END {
        if (seen < 100) {
            print "length.sh sees " seen + 0 " files: it is broken"
            bad = 1
        }
        exit bad
    }'
