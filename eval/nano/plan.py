"""The plan of the ablation: the command lines that make each arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from arms import (
    BASE_SEED,
    CURVE_ARMS,
    KINDS,
    MIN_NDCG,
    POOL,
    SHIPPED,
    STAGE_SETTINGS,
    Arm,
    Lists,
    chain,
    kinds,
)
from running import Step

from reasonrank_pyserini.training.recipe_loading import load_recipe, parse_settings

EDITION = 2
"""Of the nano world and its teacher: the first edition's figures are in eval/results/nano."""
NOISE, PICK_NOISE = 0.5, 0.05
"""Share of the fitting passages in the second half of a list that the teacher overlooks when it ranks, and share of
its picks that are wrong."""
FINE_TUNED, HELD_OUT = 1200, 100
"""Train topics whose lists fine-tuning sees, the first ones, and whose lists no training sees, the last ones;
reinforcement gets those between."""
SPLITS = ("test-settings", "test")
"""Test topics over pairs of clues that were trained on, in new settings; and over pairs that were not."""
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


def settings(overrides: Sequence[str], rehearse: bool, arms: Sequence[Arm]) -> dict[str, Any]:
    """All that the results of the arms depend on; InputError for overrides that the recipe does not know.

    What only the shipped model depends on is included when one of its arms is.
    """
    recipe = load_recipe("nano", parse_settings(overrides)).as_dict()
    shipped = SHIPPED if any(arm in SHIPPED for arm in arms) else ()
    lists = {name: asdict(each) for name, each in kinds(shipped).items()}
    return {
        "edition": EDITION, "noise": NOISE, "pick_noise": PICK_NOISE, "list_sizes": KINDS["all"].sizes, "pool": POOL,
        "min_ndcg": MIN_NDCG, "fine_tuned": FINE_TUNED, "held_out": HELD_OUT, "stages": STAGE_SETTINGS,
        "candidates": CANDIDATES, "depth": DEPTH, "rehearse": rehearse, "set": list(overrides),
        "recipe": {name: recipe[name] for name in ("network", "sft", "grpo")},
        **({"shipped": {"lists": lists, "arms": [asdict(arm) for arm in shipped]}} if shipped else {}),
    }  # fmt: skip


def world_steps(folder: Path) -> list[Step]:
    """The world, and for each test split its first stage and what that one scores."""
    steps = [Step("world", ("nano", "world", "-o", str(folder / "world")), _sources(folder)[0])]
    for split in SPLITS:
        run = _first_stage(folder, split)
        search = (
            "retrieve", "--dataset", f"nano/{split}", "--method", "bm25", "--k", str(CANDIDATES), "-o", str(run),
        )  # fmt: skip
        scores = folder / "scores" / split / "bm25.json"
        steps += [Step(f"bm25/{split}", search, run), _evaluation(f"bm25/{split}/score", split, run, scores)]
    return steps


def list_steps(folder: Path, seen: Mapping[str, Lists], url: str, limit: Sequence[str]) -> list[Step]:
    """Those lists of the teacher at `url` that the kinds seen are taken from, each once."""
    sources, needs = _sources(folder, "train"), (_sources(folder)[0],)
    steps = dict[Path, Step]()
    for lists in seen.values():
        for size in dict.fromkeys((*lists.sizes, *lists.reinforced)):
            output = made_lists(folder, lists, size)
            arguments = (
                "synthesize", "--sources", *map(str, sources), "--dataset", "nano/train",
                "--model", "nano-teacher", "--base-url", url, "--pool", str(lists.pool), "--list-size", str(size),
                "--min-ndcg", str(MIN_NDCG[lists.made]), "--seed", str(size), *limit, "-o", str(output),
            )  # fmt: skip
            steps[output] = Step(f"lists/{output.name}", arguments, output / "manifest.json", needs)
    return list(steps.values())


def made_lists(folder: Path, lists: Lists, size: int) -> Path:
    """The folder of the teacher's lists of that size, which several kinds may be taken from."""
    pool = "" if lists.pool == POOL else f"-of-{lists.pool}"
    return folder / "lists" / f"{lists.made}-{size}{pool}"


def model_of(folder: Path, arm: str, seed: int) -> Path:
    """The folder of a model; the one that all arms start from has no seed of its own."""
    return folder / f"seed-{seed}" / arm if chain(arm)[-1].start else folder / arm


def arm_steps(
    folder: Path, arm: Arm, seed: int, overrides: Sequence[str], limit: Sequence[str]
) -> list[Step]:
    """An arm with one seed: trained, then for each test split the topics reranked and scored."""
    model = model_of(folder, arm.name, seed)
    name = str(model.relative_to(folder))
    data = folder / "world" / "exercises.jsonl"
    start: tuple[str, ...] = ()
    needs: tuple[Path, ...] = ()
    if arm.start:
        before = model_of(folder, arm.start, seed)
        lists = {
            "sft": fine_tuning_lists(folder, arm.data, seed),
            "grpo": reinforcement_lists(folder, arm.data),
        }
        data = lists[arm.stage]
        start, needs = ("--model", str(before)), (before / "manifest.json",)
    own_seed = seed if arm.start else BASE_SEED
    train = (
        "train", arm.stage, "--recipe", "nano", "--data", str(data), *start,
        "--set", f"seed={own_seed}", *arm.own_settings, *overrides, "-o", str(model),
    )  # fmt: skip
    made = model / "manifest.json"
    steps = [Step(name, train, made, (data, *needs))]
    for split in SPLITS:
        reranked, first = reranked_of(folder, arm.name, own_seed, split), _first_stage(folder, split)
        rerank = (
            "rerank", "--run", str(first), "--dataset", f"nano/{split}", "--depth", str(DEPTH),
            "--model", str(model), "--profile", "nano", "--engine", "transformers", "--engine-arg", "batch_size=48",
            "--max-failed", "1", *limit, "-o", str(reranked),
        )  # fmt: skip
        done, scores = reranked / "manifest.json", folder / "scores" / split / f"{arm.name}-{own_seed}.json"
        steps += [
            Step(f"{name}/{split}/rerank", rerank, done, (first, made)),
            _evaluation(f"{name}/{split}/score", split, reranked / "run.trec", scores, done),
        ]
    return steps


def reranked_of(folder: Path, arm: str, seed: int, split: str) -> Path:
    """Where a model's reranking of a test split is."""
    return folder / "reranked" / split / f"{arm}-{seed}"


def curve_steps(folder: Path, seeds: Sequence[int], arms: Sequence[Arm]) -> list[Step]:
    """The rewards on held-out lists: of each checkpoint of the arms of a curve, and of the models they start from.

    To be asked for after the trainings: a checkpoint has its name by its step.
    """
    data, steps = held_out(folder), list[Step]()
    for seed in seeds:
        for arm in arms:
            if arm.name not in CURVE_ARMS:
                continue
            trained = model_of(folder, arm.name, seed)
            made = {0: model_of(folder, arm.start, seed)}
            for checkpoint in (trained / "checkpoints").glob("checkpoint-*"):
                made[int(checkpoint.name.rpartition("-")[2])] = checkpoint
            for number, model in sorted(made.items()):
                name = f"seed-{seed}/held-out/{arm.name}/{number}"
                scores, needs = folder / f"{name}.json", (data, trained / "manifest.json")
                score = (
                    "train", "score", "--model", str(model), "--data", str(data), "--max-completion", "160",
                )  # fmt: skip
                steps.append(Step(name, score, scores, needs, printed=True))
    return steps


def fine_tuning_lists(folder: Path, kind: str, seed: int) -> Path:
    """Lists of that kind, in the seed's order."""
    return folder / "data" / kind / f"sft-{seed}.jsonl"


def reinforcement_lists(folder: Path, kind: str) -> Path:
    """Lists of that kind, in one order for all seeds."""
    return folder / "data" / kind / "rl.jsonl"


def held_out(folder: Path) -> Path:
    """Lists that no training sees."""
    return folder / "data" / "held-out.jsonl"


def _first_stage(folder: Path, split: str) -> Path:
    return folder / f"bm25.{split}.trec"


def _evaluation(name: str, split: str, run: Path, scores: Path, *needs: Path) -> Step:
    arguments = (
        "evaluate", "--run", str(run), "--dataset", f"nano/{split}", "-m", "nDCG@10", "--per-query", "--json",
    )  # fmt: skip
    return Step(name, arguments, scores, (run, *needs), printed=True)


def _sources(folder: Path, split: str = SPLITS[0]) -> list[Path]:
    """Those of domain web first; of the last split they are the last files that are written."""
    return [folder / "world" / f"{split}.sources-{domain}.jsonl" for domain in DOMAINS]
