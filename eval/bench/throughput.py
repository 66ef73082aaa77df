"""Throughput on vLLM: ours against RankLLM's own loop, same engine arguments and lengths, in alternating rounds.

    python eval/bench/throughput.py REQUESTS.jsonl TOKENIZER --rankllm-python VENV/bin/python [--json FILE]

VENV: an environment with `rank-llm` (0.26.0 was measured) and vLLM. A two-layer model with random weights is made
for the tokenizer, so this compares what surrounds a model; answers cannot be read, every window keeps its order,
and both sides judge the same windows (20 passages, step 10). Every answer has exactly --output-tokens tokens.

- ours: `Reranker` with `LLMJudge` and the vllm engine, as `Reranker.from_pretrained(..., engine="vllm")` makes it;
- RankLLM's: `RankListwiseOSLLM.rerank_batch_async` with its `VllmHandler` and its ReasonRank template, 32 windows
  in flight as is its default. Its code is not changed; it is handed `enforce_eager=True` (nothing can be compiled
  on a CPU without a compiler) and the length of the answers.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from ratios import Worker, ratio, requests_of, serve, side_by_side, write_figures

CONTEXT = 8192
SAME = {"enforce_eager": True, "max_logprobs": 30, "gpu_memory_utilization": 0.9}
"""What RankLLM gives vLLM besides the model and its length."""


def make_model(folder: str, tokenizer_folder: str) -> None:
    """A two-layer Qwen2 with random weights for the tokenizer."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=CONTEXT,
        eos_token_id=tokenizer.eos_token_id, tie_word_embeddings=True,
    )  # fmt: skip
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


def our_worker(model: str, tokens: int, stack: ExitStack) -> Callable[[Any], Any]:
    from transformers import AutoTokenizer

    from reasonrank_pyserini import Document, Query, Reranker
    from reasonrank_pyserini.engines import EngineConfig, load_engine
    from reasonrank_pyserini.engines.gate import ThrottledEngine
    from reasonrank_pyserini.prompts import PromptBuilder
    from reasonrank_pyserini.ranking.listwise_judge import LLMJudge
    from reasonrank_pyserini.types import Sampling

    engine = ThrottledEngine(load_engine("vllm", EngineConfig(model, max_model_len=CONTEXT, args=SAME)))
    builder = PromptBuilder("reasonrank", AutoTokenizer.from_pretrained(model), context=CONTEXT)
    judge = LLMJudge(builder, engine, Sampling(max_tokens=tokens))
    reranker = stack.enter_context(Reranker(judge, engine=engine))

    def answer(requests: list[dict[str, Any]]) -> dict[str, float]:
        given = [
            (Query(r["id"], r["text"]), [Document(id, text) for id, text, _ in r["candidates"]])
            for r in requests
        ]
        begin = time.perf_counter()
        steps = [step for ranking in reranker.rerank_many(given) for step in ranking.steps]
        seconds = time.perf_counter() - begin
        done = [step.verdict.completion for step in steps if step.verdict.completion]
        assert len(done) == len(steps)
        return {
            "seconds": seconds,
            "windows": len(done),
            "prompt_tokens": sum(completion.prompt_tokens for completion in done),
            "completion_tokens": sum(completion.completion_tokens for completion in done),
        }

    return answer


def rankllm_worker(model: str, tokens: int, stack: ExitStack) -> Callable[[Any], Any]:
    import rank_llm.rerank.vllm_handler as handler

    class EagerHandler(handler.VllmHandler):  # type: ignore[misc]
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**{**arguments, "enforce_eager": True})

    handler.VllmHandler = EagerHandler
    from rank_llm.data import Candidate, Query, Request
    from rank_llm.rerank.listwise.rank_listwise_os_llm import TEMPLATES, RankListwiseOSLLM

    reranker = RankListwiseOSLLM(
        model, prompt_template_path=TEMPLATES / "reasonrank_template.yaml", context_size=CONTEXT,
        window_size=20, stride=10, device="cpu",
    )  # fmt: skip
    stack.callback(reranker.close)
    reranker.num_output_tokens = lambda current_window_size=None: tokens
    loop = asyncio.new_event_loop()

    def answer(requests: list[dict[str, Any]]) -> dict[str, float]:
        given = [
            Request(
                Query(r["text"], r["id"]),
                [Candidate(id, s, {"text": text}) for id, text, s in r["candidates"]],
            )
            for r in requests
        ]
        depth = len(given[0].candidates)
        begin = time.perf_counter()
        work = reranker.rerank_batch_async(
            given, 0, depth, populate_invocations_history=True, top_k_retrieve=depth
        )
        results = loop.run_until_complete(work)
        seconds = time.perf_counter() - begin
        done = [invocation for result in results for invocation in result.invocations_history]
        return {
            "seconds": seconds,
            "windows": len(done),
            "prompt_tokens": sum(invocation.input_token_count for invocation in done),
            "completion_tokens": sum(invocation.output_token_count for invocation in done),
        }

    return answer


def measure(given: argparse.Namespace, model: str) -> dict[str, list[dict[str, float]]]:
    requests = requests_of(given.requests)
    for request in requests:
        request["candidates"] = request["candidates"][: given.candidates]
    script = [__file__, str(given.requests), model, "--output-tokens", str(given.output_tokens), "--worker"]
    environment = {
        "VLLM_CPU_KVCACHE_SPACE": "1", "TORCHDYNAMO_DISABLE": "1", "HF_HUB_OFFLINE": "1",
        "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1",
    }  # fmt: skip
    found: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
    with (
        Worker([sys.executable, *script, "ours"], environment) as we,
        Worker([given.rankllm_python, *script, "rankllm"], environment) as they,
    ):
        ask = {"ours": we, "theirs": they}
        for worker in ask.values():
            worker.ask(requests[:2])  # whatever is done once
        for number in range(given.rounds):
            part = [requests[(number * given.queries + i) % len(requests)] for i in range(given.queries)]
            part = [{**request, "id": str(i)} for i, request in enumerate(part)]
            for name in sorted(ask, reverse=number % 2 == 1):
                found[name].append(ask[name].ask(part))
    return found


def report(rounds: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    print(f"{'':<10} {'windows/s':>10} {'prompt tok/s':>13} {'output tok/s':>13} {'tokens a window':>16}")
    for name, label in (("ours", "ours"), ("theirs", "RankLLM")):
        total = {key: sum(answer[key] for answer in rounds[name]) for key in rounds[name][0]}
        rates = {key: value / total["seconds"] for key, value in total.items()}
        each = {key: total[key] / total["windows"] for key in ("prompt_tokens", "completion_tokens")}
        figures[label] = {**rates, **{f"{key}_a_window": value for key, value in each.items()}}
        print(
            f"{label:<10} {rates['windows']:>10.2f} {rates['prompt_tokens']:>13,.0f} "
            f"{rates['completion_tokens']:>13,.0f} {each['prompt_tokens']:>9.0f}+{each['completion_tokens']:.0f}"
        )
    seconds = [[answer["seconds"] for answer in rounds[name]] for name in ("theirs", "ours")]
    figures["seconds_ratio"] = ratio(*seconds)
    print(f"RankLLM's seconds / ours, {len(seconds[0])} rounds (95% interval): {figures['seconds_ratio']}")
    return figures


def main() -> None:
    parser = side_by_side(__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--queries", type=int, default=12, help="in each round")
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--output-tokens", type=int, default=79, help="of every answer")
    given = parser.parse_args()
    if given.worker is not None:
        make = our_worker if given.worker == "ours" else rankllm_worker
        with ExitStack() as stack:
            serve(lambda: make(given.tokenizer, given.output_tokens, stack))
        return
    with tempfile.TemporaryDirectory() as model:
        make_model(model, given.tokenizer)
        rounds = measure(given, model)
    write_figures(given.json, {**report(rounds), "rounds": rounds})


if __name__ == "__main__":
    main()
