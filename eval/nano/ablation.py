"""The paper's ablation in miniature, on the nano world: every arm trained from scratch, reranked, compared.

    python eval/nano/ablation.py -o build/nano [--seeds 1 2 3] [--arms grpo sft] [--jobs 2]
    python eval/nano/ablation.py -o build/nano --table      # only what is there
    python eval/nano/ablation.py -o build/try --rehearse    # that it runs, in minutes: the figures mean nothing

All of it is `reasonrank` commands; logs/ has what they said. Stopped, the same command continues. It ends in
ablation.md, ablation.png and curves.png. Needs pip install 'reasonrank-pyserini[train]'; no network, no GPU.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arms import ARMS, FIRST_SEED, SHIPPED, Arm, kinds, with_starts
from lists import write_data
from pictures import draw_arms, draw_curves
from plan import (
    NOISE,
    PICK_NOISE,
    REHEARSAL,
    SPLITS,
    arm_steps,
    curve_steps,
    list_steps,
    settings,
    world_steps,
)
from results import compared, read_results
from running import Runner, fresh
from table import details, markdown, notes, overview, text

from reasonrank_pyserini.errors import InputError, ReasonRankError
from reasonrank_pyserini.files.atomic import atomic_open
from reasonrank_pyserini.files.locks import differences, read_json


def claim(folder: Path, mine: Mapping[str, Any]) -> None:
    """Note an ablation's settings; InputError when the folder holds one with others."""
    note = folder / "settings.json"
    held = read_json(note)
    if held is not None and (changed := differences(held, mine)):
        raise InputError(f"{folder} holds another ablation ({changed}): choose another -o, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_open(note) as stream:
        json.dump(mine, stream, indent=1)


def run_all(asked: argparse.Namespace, arms: Sequence[Arm]) -> None:
    """Every step that is missing; ReasonRankError when some fail."""
    folder, rehearse = asked.output, asked.rehearse
    overrides = [*(REHEARSAL["train"] if rehearse else ()), *asked.set]
    claim(folder, settings(overrides, rehearse, arms))
    runner = Runner(folder, asked.jobs, say)
    runner.run(world_steps(folder))
    seen = kinds(arms)
    lists = list_steps(folder, seen, "", ())
    if not all(fresh(step.makes, step.needs) for step in lists):
        with runner.teacher(NOISE, PICK_NOISE) as url:
            runner.run(list_steps(folder, seen, url, REHEARSAL["lists"] if rehearse else ()))
    write_data(folder, asked.seeds, seen)
    limit = REHEARSAL["test"] if rehearse else ()
    steps = (arm_steps(folder, arm, seed, overrides, limit) for seed in asked.seeds for arm in arms)
    runner.run(list({step.name: step for some in steps for step in some}.values()))
    runner.run(curve_steps(folder, asked.seeds, arms))


def conclude(folder: Path, seeds: Sequence[int]) -> None:
    """Print the table of what is there; write ablation.md and the pictures."""
    found = {split: read_results(folder, split, seeds) for split in SPLITS}
    lines = compared(found)
    whole, parts = overview(lines), {split: details(found, seeds) for split, found in lines.items()}
    print(text(whole), *(f"\nnano/{split}\n{text(cells)}" for split, cells in parts.items()), sep="\n")
    tables = [markdown(whole), *(f"nano/{split}:\n\n{markdown(cells)}" for split, cells in parts.items())]
    with atomic_open(folder / "ablation.md") as stream:
        stream.write("\n\n".join((*tables, *notes(folder, seeds))) + "\n")
    draw_arms(lines, folder / "ablation.png")
    draw_curves(folder, seeds, folder / "curves.png")


def say(line: str) -> None:
    """A line for the user on standard error."""
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """Those of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="N", help="Of the trainings."
    )
    parser.add_argument(
        "--arms",
        nargs="+",
        default=[arm.name for arm in ARMS],
        metavar="ARM",
        help=f"Some of {', '.join(arm.name for arm in ARMS)} (default: these), and of "
        f"{', '.join(arm.name for arm in SHIPPED)}, which make the shipped model; with what they start from.",
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="Commands side by side.")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="STAGE.KEY=VALUE", help="Over the recipe nano."
    )
    parser.add_argument("--rehearse", action="store_true", help="A few steps of everything.")
    parser.add_argument(
        "--table", action="store_true", help="Run nothing: table and pictures of what is there."
    )
    asked = parser.parse_args()
    if asked.jobs < 1 or len(set(asked.seeds)) < len(asked.seeds) or min(asked.seeds) < FIRST_SEED:
        parser.error("--jobs is 1 or more; --seeds are different, 1 or more")
    return asked


def main() -> int:
    """The exit status: 0 when all is done, 2 for bad input, 130 after Ctrl-C, 1 when a step failed."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        arms = with_starts(asked.arms)
        if not asked.table:
            run_all(asked, arms)
        conclude(asked.output, asked.seeds)
    except KeyboardInterrupt:
        say("interrupted: the same command again continues")
        return 130
    except ReasonRankError as error:
        say(f"ablation: {error}")
        return 2 if isinstance(error, InputError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
