#!/usr/bin/env bash
# The main job on a small collection of our own: BM25, reranking, scores. Sets up .venv if none is active.
# MODEL=liuwenhan/reasonrank-7B ENGINE=vllm bash eval/quickstart/run.sh   uses the real model on a GPU.
. "$(dirname "$0")/../environment.sh"
here=eval/quickstart
out=${OUT:-build/quickstart}
mkdir -p "$out"
if [ -n "${MODEL:-}" ]; then
    engine=(--model "$MODEL" --engine "${ENGINE:-vllm}")
else
    export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
    engine=(--model stand-in --profile reasonrank-7b --engine stand_in:StandIn --api chat)
    echo "The model here is a rule-based stand-in on a text of our own: it shows the machinery, not quality."
fi
data=(--corpus "$here/corpus.jsonl" --topics "$here/topics.tsv")
reasonrank retrieve "${data[@]}" --method bm25 --k 10 -o "$out/bm25.trec"
reasonrank rerank --run "$out/bm25.trec" "${data[@]}" "${engine[@]}" --overwrite -o "$out/reranked"
reasonrank show "$out/reranked" --query glass --top 5
reasonrank evaluate --run "$out/reranked/run.trec" --baseline "$out/bm25.trec" --qrels "$here/qrels.txt" -m nDCG@10 RR@10
reasonrank report "$out/reranked" "${data[@]}" --qrels "$here/qrels.txt" -o "$out/report.html"
