"""The folders that a report is made of: rerankings, and the leaderboard of a folder that holds several."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import FileFormatError, InputError
from ...jobs.trace import (
    TRACES,
    QueryResult,
    TracedWindow,
    by_query,
    fusion_of,
    has_own_strategy,
    orders,
    read_manifest,
    read_trace,
)
from ...runfile import read_run
from ...scoring import Run
from ...types import ScoredDocument


@dataclass(frozen=True, slots=True)
class Result:
    """One reranking: its manifest ({} while it runs) and its queries, `before` in first-stage order; `fused`: how their
    orders are fused with the first stage, empty for not at all."""

    name: str
    path: Path
    manifest: Mapping[str, Any]
    queries: tuple[QueryResult, ...]
    fused: str = ""


def find_folders(given: Sequence[Path]) -> tuple[list[tuple[str, Path]], list[Mapping[str, Any]]]:
    """(name, folder) of every reranking among the folders and one level below them, and the leaderboards there.

    Raises InputError for a folder that neither is nor holds a reranking.
    """
    folders: dict[Path, str] = {}
    leaderboards: list[Mapping[str, Any]] = []
    for path in given:
        if not path.is_dir():
            raise InputError(f"there is no folder {path}: give an output folder of `reasonrank rerank`")
        if _is_result(path):
            folders.setdefault(path, path.resolve().name)
            continue
        inside = sorted(child for child in path.iterdir() if child.is_dir() and _is_result(child))
        if not inside:
            raise InputError(
                f"{path} holds no trace.jsonl, nor does a folder in it: give an output folder of `reasonrank rerank`"
            )
        folders.update({child: child.name for child in inside})
        if (path / "leaderboard.json").is_file():
            leaderboards.append(_leaderboard(path / "leaderboard.json"))
    return [(name, path) for path, name in _distinct(folders).items()], leaderboards


def read_result(name: str, path: Path, first_stage: Run | None = None) -> Result:
    """The reranking in a folder; without `first_stage` the order before is read off the windows.

    Raises InputError for an empty trace, and where the windows of another strategy than the sliding window do not say
    the order before, and for an unfinished reranking that is fused with the first stage in the end.
    """
    windows = by_query(read_trace(path))
    if not windows:
        raise InputError(f"{path} holds an empty trace: nothing has been reranked yet")
    if has_own_strategy(path) and (missing := windows.keys() - (first_stage or {}).keys()):
        raise InputError(
            f"the windows of {path}'s strategy do not show the first stage's order of {len(missing)} queries: "
            "give the first stage as `run`"
        )
    manifest, fused = read_manifest(path), fusion_of(path)
    if fused and not (path / "run.trec").is_file():
        raise InputError(
            f"{path} is not finished, and its order is fused with the first stage ({fused}), which the windows do not "
            "show: report it once it is finished"
        )
    final = read_run(path / "run.trec") if (path / "run.trec").is_file() else {}
    configuration = manifest.get("configuration")
    requested = configuration.get("queries") if isinstance(configuration, dict) else None
    ids = dict.fromkeys([*map(str, requested or ()), *final, *windows])
    queries = []
    for id in ids:
        after = [document.id for document in final.get(id, ())]
        queries.append(_query_result(id, windows.get(id, []), after, (first_stage or {}).get(id)))
    return Result(name, path, manifest, tuple(queries), fused)


def _query_result(
    id: str,
    steps: Sequence[TracedWindow],
    after: Sequence[str],
    first_stage: Sequence[ScoredDocument] | Sequence[str] | None,
) -> QueryResult:
    before, judged = orders(steps)
    if not after:
        after = judged
    if first_stage is not None:
        before = [one if isinstance(one, str) else one.id for one in first_stage]
    everything = dict.fromkeys([*before, *judged, *after])
    return QueryResult(id, tuple(everything), tuple(after), tuple(steps))


def _is_result(path: Path) -> bool:
    return any((path / name).is_file() for name in TRACES)


def _distinct(folders: Mapping[Path, str]) -> dict[Path, str]:
    """A distinct name for each folder: its own, else with its parent's, else the whole path."""
    found = dict(folders)
    for longer in (lambda path: f"{path.resolve().parent.name}/{path.resolve().name}", str):
        counts = Counter(found.values())
        found = {path: name if counts[name] == 1 else longer(path) for path, name in found.items()}
    return found


def _leaderboard(path: Path) -> Mapping[str, Any]:
    """The table as {"condition", "qrels_kind", "source", "footnotes", "rows", "average"}, scores times 100."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileFormatError(path, None, f"cannot be read ({error})") from error
    rows = found.get("rows") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FileFormatError(path, None, "this is not a leaderboard: it has no list of rows")
    average = found.get("average")
    table = [_row(row) for row in (*rows, *([average] if isinstance(average, dict) else []))]
    if isinstance(average, dict):
        table[-1]["task"] = str(average.get("label") or "Average")
    notes = found.get("footnotes")
    return {
        **{name: str(found.get(name) or "") for name in ("condition", "qrels_kind", "source")},
        "footnotes": [str(note) for note in notes] if isinstance(notes, list) else [],
        "rows": table[: len(rows)],
        "average": table[len(rows)] if isinstance(average, dict) else None,
    }


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    scores = ("first_stage", "ours", "published", "difference", "low", "high")
    numbers = {name: number(row.get(name)) for name in scores}
    return {
        "task": str(row.get("task") or "Average"),
        "queries": number(row.get("queries")),
        **{name: None if value is None else round(value, 4) for name, value in numbers.items()},
        "verdict": str(row.get("verdict") or ""),
    }


def number(value: Any) -> float | None:
    """The value if it is a finite number."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return value if real and abs(value) < sys.float_info.max else None
