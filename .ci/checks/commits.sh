#!/bin/sh
# SPDX-License-Identifier: MIT
# Every commit since this rule came reads "area: summary": at most 72 columns, lower case after the
# colon (unless a name follows), no final period; then an empty line before the body.
set -eu
cd "$(dirname "$0")/../.."
since=$(git log --diff-filter=A --format=%H -- .ci/checks/commits.sh | tail -n 1)
# landed while the rule did, or past it, and too late to be mended
exempt='
e7ab98ff6c35bbf81f29e58a2079957498e8b2d9
65962b86fbbbfd1e77d49122bdf59a0b5e8d5868
433b06b310c9e6dbc9ae7328fd5106075142b33e
68920b9f35624f858dcbf90edf2677c7b4e97e69
'
bad=0
for commit in $(git rev-list --no-merges ${since:+"$since^.."}HEAD 2>/dev/null ||
    git rev-list --no-merges HEAD); do
    case $exempt in *"$commit"*) continue ;; esac
    subject=$(git log -1 --format=%s "$commit")
    second=$(git log -1 --format=%B "$commit" | sed -n 2p)
    problem=
    echo "$subject" | grep -qE '^[a-z0-9_./, -]+: [^ ].*[^ ]$' || problem='is not "area: summary"'
    echo "$subject" | grep -qE '^[^:]+: [A-Z][a-z]' && problem='begins its summary with a capital'
    echo "$subject" | grep -qE '\.$' && problem='ends in a period'
    [ "$(printf %s "$subject" | wc -m)" -le 72 ] || problem='has more than 72 columns'
    [ -z "$second" ] || problem='has no empty line after its first'
    [ -n "$problem" ] || continue
    echo "$(git log -1 --format=%h "$commit") \"$subject\": $problem"
    bad=1
done
[ $bad = 0 ] || echo "    mend: git commit --amend (or git rebase -i): \"area: what it does, as an order\""
exit $bad
