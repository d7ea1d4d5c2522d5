#!/bin/sh
# SPDX-License-Identifier: MIT
# Every commit since this rule came reads "area: summary": at most 72 columns, lower case after the
# colon (unless a name follows), no final period; then an empty line before the body.
set -eu
cd "$(dirname "$0")/../.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
since=$(git log --diff-filter=A --format=%H -- .ci/checks/commits.sh | tail -n 1)
# landed while the rule did, or past it, and too late to be mended
exempt='
e7ab98ff6c35bbf81f29e58a2079957498e8b2d9
65962b86fbbbfd1e77d49122bdf59a0b5e8d5868
433b06b310c9e6dbc9ae7328fd5106075142b33e
68920b9f35624f858dcbf90edf2677c7b4e97e69
'
# One git and one awk for all commits: a few processes for each would take minutes. Records end in
# a byte 1; the fields of a record are the hash, and the message line by line.
git log --no-merges --format='%H%n%B%x01' ${since:+"$since^.."}HEAD >"$log" 2>/dev/null ||
    git log --no-merges --format='%H%n%B%x01' >"$log"
exempt="$exempt" LC_ALL=C.UTF-8 awk -v RS='\001' -F '\n' '
    {
        first = NR == 1 ? 1 : 2 # a line end follows the byte
        hash = $first
        subject = $(first + 1)
        if (hash == "" || index(ENVIRON["exempt"], hash))
            next
        seen++
        problem = ""
        if (subject !~ /^[a-z0-9_.\/, -]+: [^ ].*[^ ]$/) problem = "is not \"area: summary\""
        if (subject ~ /^[^:]+: [A-Z][a-z]/) problem = "begins its summary with a capital"
        if (subject ~ /\.$/) problem = "ends in a period"
        if (length(subject) > 72) problem = "has more than 72 columns"
        if ($(first + 2) != "") problem = "has no empty line after its first"
        if (problem == "")
            next
        print substr(hash, 1, 8) " \"" subject "\": " problem
        bad = 1
    }
    END {
        if (bad)
            print "    mend: git commit --amend (or git rebase -i): \"area: what it does, as an order\""
        if (!seen) {
            print "commits.sh sees no commit: it is broken"
            bad = 1
        }
        exit bad
    }' "$log"
