#!/usr/bin/env bash
# A model of the second edition, from scratch: the ablation's arm "SFT + RL" with seed 1, and what it scores on the test topics.
# The same command again continues; the model is DIR/seed-1/grpo.
#   bash eval/nano/model.sh build/nano-model
set -euo pipefail
output=${1:?a folder}
exec python "$(dirname "$0")/ablation.py" -o "$output" --seeds 1 --arms grpo --jobs "${JOBS:-1}"
