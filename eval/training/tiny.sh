#!/usr/bin/env bash
# Two processes on a machine without a GPU: shows that a configuration starts, with a small model of yours.
#   bash eval/training/tiny.sh model/ sft.jsonl out/
set -euo pipefail
model=${1:?a small model} data=${2:?sft.jsonl} output=${3:?a folder}
# `accelerate launch --cpu --num_processes 2` runs one process and does not say so: torchrun runs two.
ACCELERATE_USE_CPU=true OMP_NUM_THREADS=1 torchrun --nproc_per_node 2 "$(command -v reasonrank)" \
    train sft --recipe tiny --model "$model" --data "$data" -o "$output"
