"""Seconds and tokens a query, ReasonRank (listwise) against Rank1 (pointwise, 100 calls), top 100, same requests.

    python eval/bench/reasonrank_and_rank1.py [--requests FILE.jsonl --tokenizer FOLDER] [--engine transformers]
        [--only modelled|measured] [--picture FILE.png] [--json FILE]

Modelled: both models at 7B on modelled GPUs (`two_rerankers_modelled.py`), by class of GPU, by how many queries are
asked at once, and by the length of Rank1's answers, which was not published, with the published ratios. Measured:
both rerankers' real prompts and calls through one real engine with the same two-layer random-weight model, in
alternating rounds (`two_rerankers_measured.py`); answers have the lengths of the model's times `--scale`. It shows how
calls and rounds turn into time on an engine that batches, on this machine; it says nothing about 7B or about GPUs.
Ratios are Rank1's seconds over ReasonRank's: under 1, Rank1 is faster. Without --requests the queries are made up,
without --tokenizer one is learnt from them. vLLM on a CPU is enough for --engine vllm.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ratios import ratio, write_figures
from rerankers_picture import draw_rerankers
from throughput import make_model
from two_rerankers_measured import Rerankers, Round, made_up, requests_of_file, rounds
from two_rerankers_modelled import (
    PAPER_GPU,
    PAPER_GPUS,
    PAPER_QUERIES,
    PUBLISHED,
    answer_at,
    by_answer,
    by_class,
    by_load,
    rank1,
    reasonrank,
    web_search,
)

from reasonrank_pyserini.files.requests import Request

LOADS, LENGTHS = (1, 2, 4, 8, 16, 32, 64, 116), (150.0, 300.0, 600.0)
ANSWERS = (50.0, 100.0, 200.0, 300.0, 400.0, 600.0, 900.0, 1200.0)
USUAL = 300.0


def modelled(queries: int, answers: Sequence[float], prefix_cache: bool) -> dict[str, Any]:
    """All modelled figures, for at most `queries` queries at once."""
    loads = [load for load in LOADS if load <= queries]
    return {
        "tokens": {"ReasonRank": reasonrank().spent(queries), "Rank1": rank1(USUAL).spent(queries)},
        "classes": by_class(USUAL, queries, prefix_cache),
        "loads": loads,
        "by_load": by_load(loads, LENGTHS, prefix_cache),
        "answers": list(answers),
        "by_answer": by_answer(answers, queries, prefix_cache),
        "web_search": web_search(USUAL, prefix_cache),
        "published": PUBLISHED,
    }


def show_modelled(found: Mapping[str, Any]) -> None:
    print(f"modelled, not measured; Rank1's answers of {USUAL:g} tokens where nothing else is said\n")
    for name, spent in found["tokens"].items():
        print(
            f"{name:<11}{spent['calls']:>5.0f} calls, {spent['in']:>7,.0f} tokens in, {spent['out']:>7,.0f} out"
        )
    print("\n| one GPU, seconds a query | ReasonRank | Rank1 | ratio |\n| --- | ---: | ---: | ---: |")
    for row in found["classes"]:
        for load in ("alone", "full"):
            print(f"| {row['gpu']}, {load} {cells(row[load])}")
    print(f"| {PAPER_GPU}, alone, short passages {cells(found['web_search'])}")
    on = f"{PAPER_GPUS} x {PAPER_GPU} as one engine, seconds a query"
    heads = [f"{answer:g} tokens" for answer in found["answers"]]
    print(f"\n| {on} | ReasonRank | {' | '.join(heads)} |\n| --- |{' ---: |' * (len(heads) + 1)}")
    for way, values in found["by_answer"].items():
        shown = [f"{value['Rank1']:.1f} ({value['ratio']:.2f})" for value in values]
        print(f"| {way} | {values[0]['ReasonRank']:.1f} | {' | '.join(shown)} |")
    print("\nlength of Rank1's answers at which the ratio is the published one:")
    for way, values in found["by_answer"].items():
        ratios = [value["ratio"] for value in values]
        places = {
            name: answer_at(value, found["answers"], ratios) for name, value in found["published"].items()
        }
        print(f"  {way}: " + ", ".join(f"{name} {place:.0f}" for name, place in places.items() if place))


def cells(row: Mapping[str, float]) -> str:
    return f"| {row['ReasonRank']:.1f} | {row['Rank1']:.1f} | {row['ratio']:.2f} |"


def measured(flags: argparse.Namespace) -> dict[str, Any]:
    """What both rerankers took in every round, with the ratio of their seconds by load."""
    given = requests_of_file(flags.requests) if flags.requests else made_up(max(flags.loads), flags.depth)
    begin = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(str(folder / "model"), flags.tokenizer or str(learnt(given, folder / "tokenizer")))
        with Rerankers(folder / "model", flags.engine, flags.scale, flags.depth) as rerankers:
            found = rounds(rerankers, given, flags.loads, flags.rounds, say)
    lines = [line(load, sides) for load, sides in found.items()]
    about = {"engine": flags.engine, "scale": flags.scale, "load": [begin, os.getloadavg()[0]]}
    return {**about, "lines": lines}


def say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def line(load: int, sides: Mapping[str, Sequence[Round]]) -> dict[str, Any]:
    seconds = {name: [one.seconds for one in done] for name, done in sides.items()}
    each = {
        name: {
            field: sum(getattr(one, field) for one in done) / load / len(done)
            for field in ("seconds", "calls", "prompt_tokens", "new_tokens")
        }
        for name, done in sides.items()
    }
    return {"load": load, **each, "ratio": ratio(seconds["Rank1"], seconds["ReasonRank"])}


def learnt(given: Sequence[Request], folder: Path) -> Path:
    """A tokenizer that was learnt from the requests; ` true` and ` false` are tokens of it."""
    from reasonrank_pyserini.training.network import CHAT_TEMPLATE, learn_tokenizer

    texts = [f"{request.query.text} true false" for request in given] * 20
    tokenizer = learn_tokenizer([*texts, *(one.document.text for one in given[0].candidates)], 600)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def show_measured(found: Mapping[str, Any]) -> None:
    before, after = found["load"]
    print(
        f"\nmeasured: {found['engine']}, a two-layer random-weight model, answers times {found['scale']:g}, "
        f"load of the machine {before:.1f} before, {after:.1f} after\n"
    )
    print(
        "| queries at once | ReasonRank, s a query | tokens in + out | Rank1, s a query | tokens in + out | ratio |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | --- |")
    for each in found["lines"]:
        sides = [
            f"{side['seconds']:.1f} | {side['prompt_tokens']:,.0f} + {side['new_tokens']:,.0f}"
            for side in (each["ReasonRank"], each["Rank1"])
        ]
        print(f"| {each['load']} | {' | '.join(sides)} | {each['ratio']} |")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=Path)
    parser.add_argument("--tokenizer", help="folder; it becomes the small model's")
    parser.add_argument("--only", choices=("modelled", "measured"))
    parser.add_argument("--queries", type=int, default=PAPER_QUERIES, help="modelled, at once")
    parser.add_argument(
        "--answers", type=float, nargs="+", default=ANSWERS, help="modelled lengths of Rank1's"
    )
    parser.add_argument(
        "--prefix-cache", action="store_true", help="modelled: a query's prompts share their start"
    )
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--rounds", type=int, default=5, help="measured")
    parser.add_argument("--loads", type=int, nargs="+", default=[1, 4], help="measured: queries at once")
    parser.add_argument("--depth", type=int, default=100, help="measured: candidates of a query")
    parser.add_argument("--scale", type=float, default=0.05, help="measured: of the answers' lengths")
    parser.add_argument("--picture", type=Path, metavar="FILE.png")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    flags, figures = arguments(), dict[str, Any]()
    if flags.only != "measured":
        figures["modelled"] = modelled(flags.queries, flags.answers, flags.prefix_cache)
        show_modelled(figures["modelled"])
    if flags.only != "modelled":
        figures["measured"] = measured(flags)
        show_measured(figures["measured"])
    write_figures(flags.json, figures)
    if flags.picture:
        draw_rerankers(figures, flags.picture)


if __name__ == "__main__":
    main()
