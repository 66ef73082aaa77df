"""The host path: what building and encoding one window costs, ours against RankLLM's, in alternating rounds.

    python eval/bench/host_path.py REQUESTS.jsonl TOKENIZER --rankllm-python VENV/bin/python [--json FILE]

VENV: an environment with `rank-llm` (0.26.0 was measured), transformers and torch. REQUESTS: queries with 100
candidates. Every query's windows of a whole reranking are made (20 passages, step 10, with a made-up but fixed
order after each), so most passages are seen twice. Each repeat starts both processes again; each round is a few
queries that neither has seen before; rounds alternate.

- ours: `PromptBuilder.build`, Documents to token ids, as `LLMJudge` calls it;
- RankLLM's: `RankListwiseOSLLM.create_prompt` with its ReasonRank template, as its loop calls it per window
  (it tokenises twice to count), and `+ engine` with the tokenising of that text that the engine then does.

RankLLM cuts passages at 300 words, ours at 512 tokens; whether any passage of REQUESTS is cut is stated. Times
are of CPU (all threads of the process) and of the clock. "again" is the same windows a second time.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from ratios import Worker, ratio, requests_of, serve, side_by_side, write_figures

WINDOW, STEP, CONTEXT, ANSWER = 20, 10, 32768, 3172


def spans(candidates: int) -> Iterator[tuple[int, int]]:
    """The windows of one pass, last first, as [start, end)."""
    end = candidates
    while True:
        start = max(end - WINDOW, 0)
        yield start, end
        if start == 0:
            return
        end -= STEP


def rank_key(docid: str) -> bytes:
    """The made-up order: both sides put the passages of every window in it."""
    return hashlib.sha256(docid.encode()).digest()


class Clock:
    """Milliseconds of CPU and of the clock spent in `with` blocks."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0

    def __enter__(self) -> None:
        self.cpu -= time.process_time() * 1e3
        self.wall -= time.perf_counter() * 1e3

    def __exit__(self, *_: object) -> None:
        self.cpu += time.process_time() * 1e3
        self.wall += time.perf_counter() * 1e3


def our_worker(tokenizer_folder: str) -> Callable[[Any], Any]:
    from transformers import AutoTokenizer

    from reasonrank_pyserini.prompts import PromptBuilder
    from reasonrank_pyserini.types import Document

    builder = PromptBuilder("reasonrank", AutoTokenizer.from_pretrained(tokenizer_folder), context=CONTEXT)
    assert builder.piecewise

    def answer(requests: list[dict[str, Any]]) -> dict[str, float]:
        clock, windows, tokens = Clock(), 0, 0
        for request in requests:
            documents = [Document(id, text) for id, text, _ in request["candidates"]]
            for start, end in spans(len(documents)):
                with clock:
                    built = builder.build(request["text"], documents[start:end], answer_tokens=ANSWER)
                windows, tokens = windows + 1, tokens + built.tokens
                documents[start:end] = sorted(documents[start:end], key=lambda d: rank_key(d.id))
        return {"windows": windows, "tokens": tokens, "cpu": clock.cpu, "wall": clock.wall}

    return answer


def rankllm_worker(tokenizer_folder: str) -> Callable[[Any], Any]:
    import rank_llm.rerank.vllm_handler as handler
    from transformers import AutoTokenizer

    class TokenizerOnly:
        """Stands in for the engine, which is not part of this measurement."""

        def __init__(self, model: str, **_: Any) -> None:
            self._tokenizer = AutoTokenizer.from_pretrained(model)

        def get_tokenizer(self) -> Any:
            return self._tokenizer

    handler.VllmHandler = TokenizerOnly
    from rank_llm.data import Candidate, Query, Result
    from rank_llm.rerank.listwise.rank_listwise_os_llm import TEMPLATES, RankListwiseOSLLM

    reranker = RankListwiseOSLLM(
        tokenizer_folder, prompt_template_path=TEMPLATES / "reasonrank_template.yaml", context_size=CONTEXT,
        window_size=WINDOW, stride=STEP, device="cpu",
    )  # fmt: skip
    tokenizer = reranker._vllm_handler.get_tokenizer()

    def answer(requests: list[dict[str, Any]]) -> dict[str, float]:
        clock, engine, windows, tokens = Clock(), Clock(), 0, 0
        for request in requests:
            found = [Candidate(id, score, {"text": text}) for id, text, score in request["candidates"]]
            result = Result(Query(request["text"], request["id"]), found, [])
            for start, end in spans(len(found)):
                with clock:
                    prompt, length = reranker.create_prompt(result, start, end)
                with engine:
                    tokenizer.encode(prompt)
                windows, tokens = windows + 1, tokens + length
                found[start:end] = sorted(found[start:end], key=lambda c: rank_key(c.docid))
        return {
            "windows": windows, "tokens": tokens, "cpu": clock.cpu, "wall": clock.wall,
            "engine_cpu": engine.cpu, "engine_wall": engine.wall,
        }  # fmt: skip

    return answer


def measure(
    script: list[str], theirs: str, requests: list[dict[str, Any]], repeats: int, size: int
) -> dict[str, list[dict[str, float]]]:
    """The answers of all rounds: `ours`, `again` (ours, the same windows a second time) and `theirs`."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "again": [], "theirs": []}
    parts = [requests[i : i + size] for i in range(0, len(requests), size)]
    for _ in range(repeats):
        with Worker([sys.executable, *script, "ours"]) as we, Worker([theirs, *script, "rankllm"]) as they:
            for number, part in enumerate(parts):
                ask = {"ours": we, "theirs": they}
                for name in sorted(ask, reverse=number % 2 == 1):
                    found[name].append(ask[name].ask(part))
                found["again"].append(we.ask(part))
    return found


def report(rounds: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """The table, printed and returned."""

    def column(name: str, *keys: str) -> list[float]:
        return [sum(answer[key] for key in keys) for answer in rounds[name]]

    def mean(values: list[float]) -> float:
        return sum(values) / sum(column("ours", "windows"))

    tokens = {name: mean(column(name, "tokens")) for name in ("ours", "theirs")}
    print(f"{sum(column('ours', 'windows')):,.0f} windows; tokens a window: {tokens}")
    print(f"{'ms a window':<24} {'CPU':>8} {'clock':>8}   RankLLM's / ours, CPU (95% interval), clock")
    figures: dict[str, Any] = {"tokens": tokens}
    for label, name, keys in (
        ("ours", "ours", ("",)),
        ("ours, again", "again", ("",)),
        ("RankLLM", "theirs", ("",)),
        ("RankLLM + engine", "theirs", ("", "engine_")),
    ):
        cpu, wall = (column(name, *(key + unit for key in keys)) for unit in ("cpu", "wall"))
        row: dict[str, Any] = {"cpu_ms": mean(cpu), "wall_ms": mean(wall)}
        if name == "theirs":
            row["cpu_ratio"] = ratio(cpu, column("ours", "cpu"))
            row["wall_ratio"] = ratio(wall, column("ours", "wall"))
        figures[label] = row
        ratios = f"{row['cpu_ratio']}  {row['wall_ratio']}" if name == "theirs" else ""
        print(f"{label:<24} {row['cpu_ms']:>8.3f} {row['wall_ms']:>8.3f}   {ratios}")
    return figures


def main() -> None:
    parser = side_by_side(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--round-queries", type=int, default=5)
    given = parser.parse_args()
    if given.worker is not None:
        make = our_worker if given.worker == "ours" else rankllm_worker
        serve(lambda: make(given.tokenizer))
        return
    requests = requests_of(given.requests)
    longest = max(len(text.split()) for request in requests for _, text, _ in request["candidates"])
    print(
        f"the longest passage has {longest} words: {'some are' if longest > 300 else 'none is'} cut by RankLLM"
    )
    script = [__file__, str(given.requests), given.tokenizer, "--worker"]
    rounds = measure(script, given.rankllm_python, requests, given.repeats, given.round_queries)
    write_figures(given.json, {"longest_passage_words": longest, **report(rounds), "rounds": rounds})


if __name__ == "__main__":
    main()
