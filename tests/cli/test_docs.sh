#!/bin/bash
# SPDX-License-Identifier: MIT
# test_docs.sh QZOO DOCS TOOLS: every command and option of the tables is in the manual pages and in
# the completion, also under the name zoo-COMMAND. The pages have no roff errors. TOOLS is the
# build folder with the pages and the completion.
set -u
qzoo=$(realpath "$1") docs=$(realpath "$2") tools=$(realpath "$3")
ran=0 bad=0
complain() {
    bad=$((bad + 1))
    echo "FAIL: $*"
}

# offered WORD...: what bash offers after these words, into $offers. A subshell for each line would
# take most of this test's time.
offers=
# shellcheck disable=SC1091
source "$tools/completions/qzoo" || complain "the completion is no bash"
offered() {
    # shellcheck disable=SC2034 # read by _qzoo
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _qzoo
    local IFS=$'\n'
    offers="${COMPREPLY[*]}"
}
# contains LINES LINE MESSAGE
contains() {
    ran=$((ran + 1))
    [[ $'\n'$1$'\n' == *$'\n'"$2"$'\n'* ]] || complain "$3"
}
# completes LAST MESSAGE WORD...: LAST is among what is offered after the words
completes() {
    local last=$1 message=$2
    shift 2
    offered "$@"
    contains "$offers" "$last" "$message"
}

commands=$("$docs" commands)
[ "$(wc -w <<<"$commands")" -ge 6 ] || complain "the table has too few commands"
help=$("$qzoo" --help)
for command in $commands; do
    page=$tools/man/qzoo-$command.1
    ran=$((ran + 1))
    grep -qE "^  $command " <<<"$help" || complain "qzoo --help does not name $command"
    grep -q "fB$command" "$tools/man/qzoo.1" || complain "qzoo(1) does not name $command"
    [ -L "$tools/zoo-$command" ] || complain "there is no zoo-$command (tools/meson.build)"
    if ! [ -f "$page" ]; then
        complain "no page qzoo-$command.1 (tools/meson.build, tools/man)"
        continue
    fi
    grep -q '^\.SH EXAMPLES' "$page" || complain "qzoo-$command.1 has no examples"
    completes "$command" "completion lacks $command" qzoo "${command:0:1}"
    text=$(<"$page")
    options=$("$qzoo" "$command" --help | sed -nE 's/^  (-[^ ]+) .*/\1/p')
    [ -n "$options" ] || complain "qzoo $command --help lists no options"
    for option in $options; do
        ran=$((ran + 1))
        [[ $text == *"\\fB${option//-/\\-}\\fR"* ]] || complain "qzoo-$command.1 lacks $option"
        completes "$option" "completion of $command lacks $option" qzoo "$command" "${option:0:2}"
    done
    offered "zoo-$command" -
    for option in $options; do
        contains "$offers" "$option" "completion of zoo-$command lacks $option"
    done
    # and no option that the program refuses
    offered qzoo "$command" -
    for option in $offers; do
        [[ $'\n'$options$'\n' == *$'\n'"$option"$'\n'* ]] ||
            complain "completion of $command offers $option, which is no option"
    done
done
for pair in '--backend qnnpack' '--observer histogram' '--isa ref' '--fuse none'; do
    read -r option value <<<"$pair"
    completes "$value" "completion lacks $pair" qzoo bench "$option" "${value:0:1}"
    completes "$value" "completion lacks ${pair/ /=}" qzoo bench "$option" = "${value:0:1}"
done
completes resnet50 "completion lacks model names" qzoo bench resnet5
for subcommand in list fetch verify path prune show convert; do
    completes "$subcommand" "completion lacks weights $subcommand" qzoo weights "${subcommand:0:1}"
    completes "$subcommand" "completion lacks zoo-weights $subcommand" zoo-weights "${subcommand:0:1}"
done
completes IMAGENET1K_V2 "completion lacks weights" qzoo weights fetch resnet50 :
completes resnet50:IMAGENET1K_V2 "completion lacks weights by name" qzoo weights fetch resnet50
completes IMAGENET1K_V2 "completion lacks weights behind a colon" qzoo weights fetch resnet50 : IMA
completes IMAGENET1K_V1 "completion lacks tags" qzoo bench resnet50 --weights I
completes default "completion lacks the tag default" qzoo bench resnet50 --weights d
# the instruction sets of this CPU, no others
offered qzoo bench --isa ''
for isa in $offers; do
    ran=$((ran + 1))
    "$qzoo" run squeezenet1_1 none.npy --isa "$isa" >/dev/null 2>"${TMPDIR:-/tmp}/isa.$$"
    [ $? != 5 ] || complain "completion offers --isa $isa, which this CPU lacks: $(cat "${TMPDIR:-/tmp}/isa.$$")"
done
rm -f "${TMPDIR:-/tmp}/isa.$$"

# zsh and fish, where they are
zsh_file=$tools/completions/_qzoo fish_file=$tools/completions/qzoo.fish
fish_text=$(<"$fish_file")
for command in $commands; do
    line=$(grep -E "^ +$command\) subcommands=" "$zsh_file")
    for option in $("$qzoo" "$command" --help | sed -nE 's/^  (-[^ ]+) .*/\1/p'); do
        ran=$((ran + 1))
        [[ $line == *[\'\ ]"$option"[\'\ ]* ]] ||
            complain "zsh's completion of $command lacks $option"
        word=${option#-} kind=-s
        [ "${option#--}" = "$option" ] || word=${option#--} kind=-l
        [[ $fish_text == *"complete -c zoo-$command $kind $word "* ]] ||
            complain "fish's completion of $command lacks $option"
    done
done
head -n 1 "$zsh_file" | grep -q '^#compdef qzoo zoo-list ' || complain "zsh's completion has no #compdef"
if command -v zsh >/dev/null; then
    ran=$((ran + 1))
    zsh -n "$zsh_file" || complain "zsh does not read its completion"
else
    echo "zsh is not here: its completion was not read"
fi
if command -v fish >/dev/null; then
    ran=$((ran + 1))
    fish -n "$fish_file" || complain "fish does not read its completion"
    contains "$(fish -c "source $fish_file; complete -C 'qzoo bench --backend '" | cut -f 1)" qnnpack \
        "fish's completion lacks --backend qnnpack"
    contains "$(fish -c "source $fish_file; complete -C 'qzoo weights f'" | cut -f 1)" fetch \
        "fish's completion lacks weights fetch"
else
    echo "fish is not here: its completion was not read"
fi
if command -v groff >/dev/null; then
    for page in "$tools"/man/*.1; do
        ran=$((ran + 1))
        problems=$(groff -ww -man -Tutf8 -z "$page" 2>&1)
        [ -z "$problems" ] || complain "$problems"
    done
else
    echo "groff is not here: the pages' markup was not checked"
fi
echo "$ran checks, $bad failed"
[ "$ran" -gt 100 ] && [ "$bad" = 0 ]
