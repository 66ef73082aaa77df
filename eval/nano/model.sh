#!/usr/bin/env bash
# The shipped model, from scratch, and what it scores on the test topics: the second edition's recipe, "SFT + RL" with
# seed 1, on lists of 2 to 10 passages. The same command again continues; the model is DIR/seed-1/grpo-every-size.
#   bash eval/nano/model.sh build/nano-model
set -euo pipefail
output=${1:?a folder}
exec python "$(dirname "$0")/ablation.py" -o "$output" --seeds 1 --arms grpo-every-size --jobs "${JOBS:-1}"
