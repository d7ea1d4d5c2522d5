#!/bin/sh
# SPDX-License-Identifier: MIT
# families.sh QZOO [MODEL...]: what int8 gains and costs, model by model and backend by backend, as
# markdown (kept in bench/FAMILIES.md). Without models, all that `QZOO list` has.
#
# One thread, the model's own image size, seeded random weights, synthetic calibration: the latencies
# are those of real weights, SQNR and agreement only tell how faithful the arithmetic is. Wants a
# calm machine. QZOO_CALIB: another calibration; QZOO_SECONDS: how long each model is measured.
set -eu
qzoo=$1
shift
json=$(mktemp)
trap 'rm -f "$json"' EXIT
# shellcheck disable=SC2046 # names of models have no spaces
[ $# -gt 0 ] || set -- $("$qzoo" list --json - --quiet | sed -n 's/^ *"name": "\([^"]*\)".*/\1/p')

# the int8 result of $json as a row, its fp32 latency beside it
row() {
    tr -d '\n' <"$json" | awk -v backend="$1" '
        function field(text, name,   at) {
            if (!match(text, "\"" name "\": *\"?[^,\"}]*")) return ""
            at = substr(text, RSTART, RLENGTH); sub(/^[^:]*: *"?/, "", at); return at
        }
        function number(text, name, format,   at) {
            at = field(text, name)
            return at == "" || at == "null" ? "-" : sprintf(format, at)
        }
        {
            split($0, part, "\"precision\"")
            int8 = part[3]
            nodes = int8; sub(/.*"fallback_nodes"/, "", nodes)
            count = gsub(/"reason"/, "", nodes)
            fp32_ms = field(part[2], "median"); int8_ms = field(int8, "median")
            printf "| %s | %s | %s | %s | %d | %.2f | %.2f | %.2f |\n", field($0, "model"),
                backend, number(int8, "sqnr_db", "%.1f"), number(int8, "top1_agreement", "%.2f"),
                count, fp32_ms, int8_ms, int8_ms / fp32_ms
        }'
}

echo "| model | backend | SQNR dB | top-1 agreement | fallback nodes | fp32 ms | int8 ms | int8 / fp32 |"
echo "|---|---|---|---|---|---|---|---|"
for model; do
    for backend in fbgemm qnnpack native; do
        if "$qzoo" bench "$model" --ptq --backend $backend --calib "${QZOO_CALIB:-synthetic:8}" \
            --threads 1 --seconds "${QZOO_SECONDS:-2}" --quiet --json "$json"; then
            row $backend
        else
            echo "| $model | $backend | failed | | | | | |"
        fi
    done
done
