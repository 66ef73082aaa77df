#!/usr/bin/env bash
# A row of a published leaderboard on one machine: fetch what it needs, rerank, print the table.
#   bash eval/reproduction/reproduce.sh bright reasonrank-7b out/
# Further arguments go to `reasonrank reproduce`, e.g. --engine-arg tensor_parallel_size=2.
# Stopped by SIGTERM, SIGUSR1, Ctrl-C or a crash: the same command continues.
# Checked with bash -n; the tests run its two commands.
set -euo pipefail
benchmark=${1:?bright, r2med or beir} condition=${2:?a condition, see: reasonrank reproduce bright --list}
output=${3:?a folder for the result}
shift 3
reasonrank fetch "$benchmark" --condition "$condition"
reasonrank reproduce "$benchmark" --condition "$condition" "$@" -o "$output"
