#!/bin/sh
# SPDX-License-Identifier: MIT
# families.sh QZOO [MODEL...]: prints the gain and the cost of int8 for each model and backend, as a
# markdown table (bench/FAMILIES.md). Without models: all that `QZOO list` has.
#
# One thread, the model's own image size, seeded random weights, synthetic calibration: latencies
# are those of real weights, but SQNR and agreement only show how faithful the arithmetic is. Needs an
# idle machine. QZOO_CALIB: another calibration. QZOO_SECONDS: the time for each measurement.
set -eu
qzoo=$1
shift
table=$(mktemp)
trap 'rm -f "$table"' EXIT
# shellcheck disable=SC2046 # names of models have no spaces
[ $# -gt 0 ] || set -- $("$qzoo" list --quiet --json - | sed -n 's/^ *"name": "\([^"]*\)".*/\1/p')
head=1,2p
for model; do
    rows='3,$p'
    for backend in fbgemm qnnpack native; do
        if "$qzoo" bench "$model" --ptq --backend $backend --calib "${QZOO_CALIB:-synthetic:8}" \
            --threads 1 --seconds "${QZOO_SECONDS:-2}" --quiet --markdown "$table"; then
            sed -n "$head;$rows" "$table"
            head='' rows='/| int8 |/p' # one heading, one fp32 row a model
        else
            echo "| $model | failed | $backend |"
        fi
    done
done
