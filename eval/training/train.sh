#!/usr/bin/env bash
# Both stages of a recipe on one machine.
#   bash eval/training/train.sh 7b sft.jsonl rl.jsonl out/
# CONFIG=fsdp|zero3|zero3-offload, GPUS=8. Stopped by a crash or a signal: the same command continues.
set -euo pipefail
recipe=${1:?7b, 32b, 8b or a TOML file} sft=${2:?sft.jsonl} rl=${3:?rl.jsonl} output=${4:?a folder}
here=$(cd "$(dirname "$0")" && pwd)
launch=(accelerate launch --config_file "$here/${CONFIG:-fsdp}.yaml" --num_processes "${GPUS:-8}" "$(command -v reasonrank)")
reasonrank train sft --recipe "$recipe" --data "$sft" --dry-run --gpus "${GPUS:-8}"
"${launch[@]}" train sft --recipe "$recipe" --data "$sft" -o "$output/sft"
"${launch[@]}" train grpo --recipe "$recipe" --data "$rl" --model "$output/sft" --vllm -o "$output/model"
