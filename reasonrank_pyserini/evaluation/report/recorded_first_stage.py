"""The first-stage run that a reproduction reranked, found by what the reproduction noted of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...files.caches import file_sha256
from ...jobs.rerank_input import clean_run
from ...jobs.trace import has_own_strategy, read_manifest
from ...runfile import read_run
from ...scoring import Run


def recorded_first_stage(folder: Path) -> Run | None:
    """The run that was reranked into a task's folder of a reproduction, without the candidates that the result lacks.

    None where it is not needed (sliding windows show the order before), not noted, gone, or no longer the same file.
    """
    if not has_own_strategy(folder) or not (folder / "run.trec").is_file():
        return None
    path = _noted(folder)
    inputs = read_manifest(folder).get("inputs")
    sha256 = inputs.get("run") if isinstance(inputs, dict) else None
    if path is None or not path.is_file() or file_sha256(path) != sha256:
        return None
    final = {id: {hit.id for hit in hits} for id, hits in read_run(folder / "run.trec").items()}
    return {
        id: [hit for hit in hits if hit.id in final[id]]
        for id, hits in clean_run(path, None).items()
        if id in final
    }


def _noted(folder: Path) -> Path | None:
    """The file that the reproduction's leaderboard names for the folder's task."""
    try:
        board: Any = json.loads((folder.parent / "leaderboard.json").read_text(encoding="utf-8"))
        noted = board["first_stage_files"][folder.resolve().name]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder.parent / noted if isinstance(noted, str) else None
