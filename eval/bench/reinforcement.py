"""Processor time of a round of reinforcement: as TRL runs it, and ours, in which answers share their prompt.

    python eval/bench/reinforcement.py RL.jsonl [--model DIR] [--rounds 4] [--against trl static] [--json FILE]

RL.jsonl: what `reasonrank synthesize` writes (see eval/nano/plan.py). Recipe nano from the shipped model, 32 prompts,
one thread and one process for each way; their rounds alternate, and every round is a training of its own, its seed
that of all. TRL's ways take our prompts and rewards; `static` has its generation write to a static cache.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

from ratios import ROOT, Worker, ratio, serve, write_figures

OTHERS = ("trl", "static")
PARTS = {
    "answers": "_generate",
    "reference, rewards": "_generate_and_score_completions",  # the answers are taken off below
    "forward": "_compute_loss",
    "round": "train",
}


def trained(way: str, given: argparse.Namespace) -> Callable[[Any], dict[str, float]]:
    """What gives the processor seconds of each part of one round, from the shipped weights, for a seed."""
    import torch
    import trl

    from reasonrank_pyserini import training
    from reasonrank_pyserini.training import grpo, grpo_trainer

    torch.set_num_threads(1)
    if way != "ours":
        grpo_trainer.can_share = lambda trainer: False
    if way == "static":
        asked = grpo.trainer_arguments
        grpo.trainer_arguments = lambda *a, **k: {**asked(*a, **k), "cache_implementation": "static"}
    spent: dict[str, float] = {}
    for part, method in PARTS.items():
        setattr(trl.GRPOTrainer, method, timed(getattr(trl.GRPOTrainer, method), partial(add, spent, part)))

    def one(seed: int) -> dict[str, float]:
        spent.update(dict.fromkeys(PARTS, 0.0))
        with tempfile.TemporaryDirectory() as folder:
            training.run(
                training.TrainRequest(
                    stage="grpo", recipe="nano", data=given.data, model=str(given.model),
                    output=Path(folder) / "out", overrides={"rounds": 1, "prompts": 32, "batch": 256, "seed": seed},
                )
            )  # fmt: skip
        spent["reference, rewards"] -= spent["answers"]
        before = sum(spent[part] for part in PARTS if part != "round")
        return {**spent, "backward, rest": spent["round"] - before}

    return one


def add(spent: dict[str, float], part: str, seconds: float) -> None:
    spent[part] += seconds


def timed(method: Callable[..., Any], note: Callable[[float], None]) -> Callable[..., Any]:
    """The method, whose processor seconds are noted."""

    @wraps(method)
    def run(*arguments: Any, **named: Any) -> Any:
        begin = time.process_time()
        try:
            return method(*arguments, **named)
        finally:
            note(time.process_time() - begin)

    return run


def measure(given: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    own = [sys.executable, __file__, str(given.data), "--model", str(given.model)]
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ("ours", *given.against)}
    one_thread = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    workers = {way: Worker([*own, "--worker", way], one_thread) for way in found}
    for seed in range(given.rounds):
        for way, worker in workers.items():
            found[way].append(worker.ask(seed))
            print(f"round {seed + 1}, {way}: {found[way][-1]['round']:.1f} s", file=sys.stderr)
    for worker in workers.values():
        worker.__exit__(None, None, None)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, default=ROOT / "reasonrank_pyserini" / "models" / "nano")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--against", nargs="+", choices=OTHERS, default=OTHERS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", choices=("ours", *OTHERS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        serve(lambda: trained(given.worker, given))
        return
    found = measure(given)
    print(f"{'median s of processor time':<28}" + "".join(f"{way:>10}" for way in found))
    for part in found["ours"][0]:
        medians = (statistics.median(one[part] for one in rounds) for rounds in found.values())
        print(f"{part:<28}" + "".join(f"{seconds:>10.1f}" for seconds in medians))
    ours = [one["round"] for one in found["ours"]]
    ratios = {way: ratio([one["round"] for one in found[way]], ours) for way in given.against}
    for way, value in ratios.items():
        print(f"a round of {way} divided by ours: {value}")
    write_figures(given.json, {"seconds": found, "ratios": ratios})


if __name__ == "__main__":
    main()
