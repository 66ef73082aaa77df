"""The plan of the ablation: its arms, and the command lines that make each of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from running import Step, fresh

from reasonrank_pyserini.errors import UnknownNameError
from reasonrank_pyserini.training.list_records import read_rows, write_rows
from reasonrank_pyserini.training.recipe_loading import load_recipe, parse_settings

NOISE = 0.2
"""Share of the teacher's orders that are for a mistaken concept."""
LIST_SIZES = (10, 5)
"""Passages of the lists that are made of every train topic, one list of each size; reinforcement sees the first."""
POOL = 20
"""Candidates that the teacher picks from: BM25's first, so that a list has one to three relevant passages."""
MIN_NDCG = {"filter": 0.9, "no-filter": 0.0}
DEPTH, CANDIDATES = 40, 100
DOMAINS = ("web", "qa", "coding", "math")
REHEARSAL = {
    "lists": ("--limit", "40"),
    "test": ("--limit", "4"),
    "train": (
        "sft.steps=20", "sft.batch=4", "sft.per_device_batch=4",
        "grpo.rounds=20", "grpo.prompts=2", "grpo.rollouts=4", "grpo.batch=8", "grpo.max_completion=16",
    ),
}  # fmt: skip
"""What a rehearsal adds to the commands that make lists, that rerank the test topics, and to the recipe."""

MAIN = "grpo"
"""The whole recipe: every other arm is compared with it."""
FIRST_STAGE, PAPER_FIRST_STAGE = "first stage", 30.59


@dataclass(frozen=True, slots=True)
class Arm:
    """A model that one training makes: `stage` sft or grpo, from the model of `start`, on the lists of `data`.

    `paper`: nDCG@10 on BRIGHT of the same arm of ReasonRank-7B (arXiv 2508.07050), None where it has none.
    """

    name: str
    title: str
    stage: str
    start: str
    data: str
    paper: float | None = None
    settings: tuple[str, ...] = ()


ARMS = (
    Arm("base", "before: exercises only", "sft", "", "exercises",
        settings=("scheduler=constant_with_warmup",)),
    Arm("grpo-only", "RL only", "grpo", "base", "all", 28.69),
    Arm("sft", "SFT only", "sft", "base", "all", 33.15),
    Arm(MAIN, "SFT + RL", "grpo", "sft", "all", 35.74),
    Arm("grpo-ndcg", "SFT + RL, nDCG-only reward", "grpo", "sft", "all", 34.20,
        ("recall_weight=0", "rbo_weight=0")),
    Arm("sft-no-filter", "no self-consistency filter, SFT", "sft", "base", "no-filter"),
    Arm("grpo-no-filter", "no self-consistency filter, SFT + RL", "grpo", "sft-no-filter", "no-filter", 34.20),
    Arm("sft-web", "web lists only, SFT", "sft", "base", "web"),
    Arm("grpo-web", "web lists only, SFT + RL", "grpo", "sft-web", "web", 30.08),
)  # fmt: skip
"""In the order of the table."""
_BY_NAME = {arm.name: arm for arm in ARMS}


def chain(name: str) -> tuple[Arm, ...]:
    """The trainings that lead to an arm, in order, its own the last; UnknownNameError for no arm."""
    if name not in _BY_NAME:
        raise UnknownNameError("arm", name, _BY_NAME)
    arm = _BY_NAME[name]
    return (*(chain(arm.start) if arm.start else ()), arm)


def with_starts(names: Iterable[str]) -> list[Arm]:
    """The arms and all that they are trained from, each once, after what it needs."""
    return list(dict.fromkeys(arm for name in names for arm in chain(name)))


def settings(overrides: Sequence[str], rehearse: bool) -> dict[str, Any]:
    """All that the results depend on; InputError for overrides that the recipe does not know."""
    recipe = load_recipe("nano", parse_settings(overrides)).as_dict()
    return {
        "noise": NOISE, "list_sizes": LIST_SIZES, "pool": POOL, "min_ndcg": MIN_NDCG,
        "candidates": CANDIDATES, "depth": DEPTH, "rehearse": rehearse, "set": list(overrides),
        "recipe": {name: recipe[name] for name in ("network", "sft", "grpo")},
    }  # fmt: skip


def world_steps(folder: Path) -> list[Step]:
    """The world, its first stage, and what that one scores."""
    run, scores = folder / "bm25.trec", folder / "scores" / "bm25.json"
    search = (
        "retrieve",
        "--dataset",
        "nano/test",
        "--method",
        "bm25",
        "--k",
        str(CANDIDATES),
        "-o",
        str(run),
    )
    return [
        Step("world", ("nano", "world", "-o", str(folder / "world")), _sources(folder)[0]),
        Step("bm25", search, run),
        _evaluation("bm25/score", run, scores),
    ]


def list_steps(folder: Path, url: str, limit: Sequence[str]) -> list[Step]:
    """Lists of the teacher at `url`, with the self-consistency filter and without, for each size."""
    sources = _sources(folder)
    steps = []
    for kind, least in MIN_NDCG.items():
        for size in LIST_SIZES:
            output = folder / "lists" / f"{kind}-{size}"
            arguments = (
                "synthesize", "--sources", *map(str, _sources(folder, "train")), "--dataset", "nano/train",
                "--model", "nano-teacher", "--base-url", url, "--pool", str(POOL), "--list-size", str(size),
                "--min-ndcg", str(least), "--seed", str(size), *limit, "-o", str(output),
            )  # fmt: skip
            steps.append(Step(f"lists/{kind}-{size}", arguments, output / "manifest.json", (sources[0],)))
    return steps


def write_data(folder: Path) -> None:
    """`data/KIND/sft.jsonl` and `rl.jsonl` for all lists, those without the filter, and those of domain web."""
    web = {row["id"] for _, row in read_rows(_sources(folder, "train")[0])}
    for kind, made, chosen in (
        ("all", "filter", None),
        ("no-filter", "no-filter", None),
        ("web", "filter", web),
    ):
        for name, sizes in (("sft.jsonl", LIST_SIZES), ("rl.jsonl", LIST_SIZES[:1])):
            inputs = [folder / "lists" / f"{made}-{size}" / name for size in sizes]
            output = folder / "data" / kind / name
            if fresh(output, inputs):
                continue
            rows = [row for path in inputs for _, row in read_rows(path)]
            rows = [row for row in rows if chosen is None or _topic(row) in chosen]
            random.Random(0).shuffle(rows)
            output.parent.mkdir(parents=True, exist_ok=True)
            write_rows(output, rows)


def arm_steps(
    folder: Path, arm: Arm, seed: int, overrides: Sequence[str], limit: Sequence[str]
) -> list[Step]:
    """An arm with one seed: trained, reranking the test topics, scored."""
    name, place = f"seed-{seed}/{arm.name}", folder / f"seed-{seed}"
    model, reranked = place / arm.name, place / "reranked" / arm.name
    data = folder / "world" / "exercises.jsonl"
    start: tuple[str, ...] = ()
    needs: tuple[Path, ...] = ()
    if arm.start:
        data = folder / "data" / arm.data / {"sft": "sft.jsonl", "grpo": "rl.jsonl"}[arm.stage]
        start, needs = ("--model", str(place / arm.start)), (place / arm.start / "manifest.json",)
    train = (
        "train", arm.stage, "--recipe", "nano", "--data", str(data), *start,
        "--set", f"seed={seed}", *arm.settings, *overrides, "-o", str(model),
    )  # fmt: skip
    rerank = (
        "rerank", "--run", str(folder / "bm25.trec"), "--dataset", "nano/test", "--depth", str(DEPTH),
        "--model", str(model), "--profile", "nano", "--engine", "transformers", "--max-failed", "1", *limit,
        "-o", str(reranked),
    )  # fmt: skip
    made, done = model / "manifest.json", reranked / "manifest.json"
    scores = folder / "scores" / f"{arm.name}-{seed}.json"
    return [
        Step(name, train, made, (data, *needs)),
        Step(f"{name}/rerank", rerank, done, (folder / "bm25.trec", made)),
        _evaluation(f"{name}/score", reranked / "run.trec", scores, done),
    ]


def _evaluation(name: str, run: Path, scores: Path, *needs: Path) -> Step:
    arguments = (
        "evaluate",
        "--run",
        str(run),
        "--dataset",
        "nano/test",
        "-m",
        "nDCG@10",
        "--per-query",
        "--json",
    )
    return Step(name, arguments, scores, (run, *needs), printed=True)


def _sources(folder: Path, split: str = "test") -> list[Path]:
    """Those of domain web first; of the test split they are the last file that is written."""
    return [folder / "world" / f"{split}.sources-{domain}.jsonl" for domain in DOMAINS]


def _topic(row: Mapping[str, Any]) -> str:
    return str(row["extra_info"]["qid"] if "extra_info" in row else row["id"])
