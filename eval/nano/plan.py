"""The plan of the ablation: its arms, and the command lines that make each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from running import Step

from reasonrank_pyserini.errors import UnknownNameError
from reasonrank_pyserini.training.recipe_loading import load_recipe, parse_settings

EDITION = 2
"""Of the nano world and its teacher: the first edition's figures are in eval/results/nano."""
NOISE, PICK_NOISE = 0.5, 0.05
"""Share of the fitting passages in the second half of a list that the teacher overlooks when it ranks, and share of
its picks that are wrong."""
LIST_SIZES = (10, 7)
"""Passages of the lists that are made of every train topic, one list of each size; reinforcement sees the first."""
POOL = 20
"""Candidates that the teacher picks from: BM25's first, so that a list has one to three relevant passages."""
MIN_NDCG = {"filter": 0.4, "no-filter": 0.0}
"""The paper's threshold of the self-consistency filter, and none."""
FINE_TUNED, HELD_OUT = 1200, 100
"""Train topics whose lists fine-tuning sees, the first ones, and whose lists no training sees, the last ones;
reinforcement gets those between."""
SPLITS = ("test-settings", "test")
"""Test topics over pairs of clues that were trained on, in new settings; and over pairs that were not."""
DEPTH, CANDIDATES = 40, 100
DOMAINS = ("web", "qa", "coding", "math")
STAGE_SETTINGS = {
    "sft": ("steps=240", "order=given"),
    "grpo": ("keep_checkpoints=4",),
}
"""What is set over the recipe nano: fine-tuning takes the same steps on every kind of lists."""
CURVE_ARMS = ("grpo", "grpo-ndcg", "grpo-only")
"""The arms whose checkpoints are scored on held-out lists, for a curve."""
REHEARSAL = {
    "lists": ("--limit", "40"),
    "test": ("--limit", "4"),
    "train": (
        "sft.steps=20", "sft.batch=4", "sft.per_device_batch=4",
        "grpo.rounds=20", "grpo.prompts=2", "grpo.rollouts=4", "grpo.batch=8", "grpo.max_completion=16",
    ),
}  # fmt: skip
"""What a rehearsal adds to the commands that make lists, that rerank the test topics, and to the recipe."""

FIRST_SEED = 1
"""Seeds of trainings count from here."""
BASE_SEED = 0
"""Of the exercises: every arm and seed starts from the same model, as the paper's from one Qwen2.5."""
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

    @property
    def own_settings(self) -> tuple[str, ...]:
        """The stage's own settings."""
        return (*STAGE_SETTINGS.get(self.stage if self.start else "", ()), *self.settings)


ARMS = (
    Arm("base", "before: exercises only", "sft", "", "exercises",
        settings=("scheduler=constant_with_warmup",)),
    Arm("grpo-only", "RL only", "grpo", "base", "all", 28.69),
    Arm("sft", "SFT only", "sft", "base", "all", 33.15),
    Arm(MAIN, "SFT + RL", "grpo", "sft", "all", 35.74),
    Arm("grpo-ndcg", "SFT + RL, nDCG-only reward", "grpo", "sft", "all", 34.20,
        settings=("recall_weight=0", "rbo_weight=0")),
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
        "edition": EDITION, "noise": NOISE, "pick_noise": PICK_NOISE, "list_sizes": LIST_SIZES, "pool": POOL,
        "min_ndcg": MIN_NDCG, "fine_tuned": FINE_TUNED, "held_out": HELD_OUT, "stages": STAGE_SETTINGS,
        "candidates": CANDIDATES, "depth": DEPTH, "rehearse": rehearse, "set": list(overrides),
        "recipe": {name: recipe[name] for name in ("network", "sft", "grpo")},
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
            "grpo": folder / "data" / arm.data / "rl.jsonl",
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
