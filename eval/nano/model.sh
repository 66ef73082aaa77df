#!/usr/bin/env bash
# The shipped model from nothing, with its seed: the nano world, exercises, the teacher's lists of 3 to 10 passages,
# fine-tuning, reinforcement, and what each scores on the held-out topics. The same command again continues.
#   bash eval/nano/model.sh build/nano-model
set -euo pipefail
output=${1:?a folder}
mkdir -p "$output"
cd "$output"
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1
# Memory of large tensors is kept, not given back at every step: a third of the time otherwise.
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296}

[ -e world/test.sources-web.jsonl ] || reasonrank nano world -o world
reasonrank retrieve --dataset nano/test --method bm25 --k 100 -o bm25.trec

coproc teacher { exec reasonrank nano teacher --noise 0.2 --port 0; }
trap 'kill "$teacher_PID"' EXIT
read -r url <&"${teacher[0]}"
for n in 3 4 5 6 7 8 9 10; do
    reasonrank synthesize --sources world/train.sources-{web,qa,coding,math}.jsonl --dataset nano/train --pool 20 \
        --list-size $n --seed $n --min-ndcg 0.9 --model nano-teacher --base-url "$url" -o lists/$n
done
cat lists/{3,4,6,7,8,9,5,10}/sft.jsonl > sft.jsonl
cat lists/{3,6,8,10}/rl.jsonl > rl.jsonl

reasonrank train sft --recipe nano --data world/exercises.jsonl --set seed=1 scheduler=constant_with_warmup -o base
reasonrank train sft --recipe nano --data sft.jsonl --model base --set seed=1 order=shuffled steps=600 save_steps=300 -o sft
reasonrank train grpo --recipe nano --data rl.jsonl --model sft --set seed=1 learning_rate=3e-5 prompts=8 batch=64 save_steps=12 -o grpo

for model in base sft grpo; do
    reasonrank rerank --run bm25.trec --dataset nano/test --depth 40 --model $model --profile nano --engine transformers \
        --max-failed 1 -o reranked/$model
    reasonrank evaluate --run reranked/$model/run.trec --dataset nano/test -m nDCG@10
done
