#!/bin/sh
# SPDX-License-Identifier: MIT
# families.sh QZOO [MODEL...]: what int8 gains and costs, by model and backend, as Markdown (kept in
# bench/FAMILIES.md). Without models: all that `QZOO list` names.
#
# One thread, the model's own image size, seeded random weights, synthetic calibration. Latencies
# are those of real weights; SQNR and agreement only say how faithful the arithmetic is. Run it on a
# calm machine. QZOO_CALIB: another calibration. QZOO_SECONDS: how long each model is measured.
set -eu
qzoo=$1
shift
# shellcheck disable=SC2046 # names of models have no spaces
[ $# -gt 0 ] || set -- $("$qzoo" list | awk 'NR > 1 { print $1 }')

first=1
for model; do
    for backend in fbgemm qnnpack native; do
        # the heading once
        "$qzoo" bench "$model" --ptq --backend $backend --calib "${QZOO_CALIB:-synthetic:8}" \
            --threads 1 --seconds "${QZOO_SECONDS:-2}" --markdown - |
            tail -n +"$first"
        first=3
    done
done
