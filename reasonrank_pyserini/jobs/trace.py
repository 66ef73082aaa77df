"""The readers of a rerank folder's trace.jsonl and manifest.json."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..datasets.docids import DOCID_STYLES
from ..errors import FileFormatError, InputError, UnknownNameError
from ..files.locks import held_configuration
from ..runfile import read_run
from ..strategies import reorder

TRACES = ("trace.jsonl", "trace.jsonl.part")
"""The finished trace, and the one that is still being written."""


@dataclass(frozen=True, slots=True)
class TracedWindow:
    """One line of a trace: the docids shown, the same docids in the model's order, and the model's text.

    `status` is a ParseStatus value; `error` the message of a failed call whose window kept its order; `scores`, of a
    judge that gives some, are in the order of `window`, None for a passage without one.
    """

    query_id: str
    window: tuple[str, ...]
    order: tuple[str, ...]
    status: str
    reasoning: str = ""
    answer: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    cached: bool = False
    forced: bool = False
    error: str | None = None
    scores: tuple[float | None, ...] | None = None

    @classmethod
    def from_record(cls, record: Any) -> Self:
        """The window of a parsed line; ValueError with what is wrong with it."""
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
        names = ("query_id", "window", "order", "status")
        if missing := [name for name in names if name not in record]:
            raise ValueError(f"no {missing[0]!r}: this is not a line of a rerank trace")
        window, order = (tuple(_ids(record[name], name)) for name in ("window", "order"))
        if sorted(window) != sorted(order) or len(set(window)) < len(window):
            raise ValueError("'order' is not a permutation of 'window'")
        error, seconds = record.get("error"), float(record.get("seconds") or 0)
        if not math.isfinite(seconds):
            raise ValueError("'seconds' is not a finite number")
        return cls(
            str(record["query_id"]), window, order, str(record["status"]),
            str(record.get("reasoning") or ""), str(record.get("answer") or ""),
            int(record.get("prompt_tokens") or 0), int(record.get("completion_tokens") or 0),
            seconds, bool(record.get("cached")), bool(record.get("forced")),
            None if error is None else str(error), _scores(record.get("scores"), len(window)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class QueryResult:
    """One query: docids before and after reranking, and its windows in the order they finished.

    Windows of a sliding window say where each candidate was. With another strategy `before` is empty, and `after`
    is too until the reranking is finished; so is `after` where the order is `fused` with the first stage (how, such as
    "rrf, weight 0.5").
    """

    id: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    windows: tuple[TracedWindow, ...]
    fused: str = ""


def read_trace(folder: str | Path) -> Iterator[TracedWindow]:
    """The windows of a folder's trace in the order they finished; the trace may still be being written.

    Raises InputError for a folder without a trace, FileFormatError for a bad line.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise InputError(f"there is no folder {folder}: give an output folder of `reasonrank rerank`")
    path = next((p for name in TRACES if (p := folder / name).is_file()), None)
    if path is None:
        raise InputError(f"{folder} holds no trace.jsonl: give an output folder of `reasonrank rerank`")
    return _windows(path)


def read_query(folder: str | Path, query_id: str) -> QueryResult:
    """One query of a folder's trace: the candidates that its windows showed, and the windows.

    Raises UnknownNameError for a query without windows, and the errors of `read_trace`.
    """
    windows: list[TracedWindow] = []
    known: dict[str, None] = {}
    for window in read_trace(folder):
        known[window.query_id] = None
        if window.query_id == query_id:
            windows.append(window)
    if not windows:
        raise UnknownNameError("query", query_id, known)
    before, after = orders(windows)
    fused, own = fusion_of(Path(folder)), has_own_strategy(Path(folder))
    if own or fused:
        path = Path(folder) / "run.trec"
        after = [hit.id for hit in read_run(path).get(query_id, ())] if path.is_file() else []
    if not own and fused:  # the windows name documents as the collection does
        written = {style(id): id for style in DOCID_STYLES.values() for id in before}
        after = [written[id] for id in after if id in written]
    return QueryResult(query_id, () if own else tuple(before), tuple(after), tuple(windows), fused)


def has_own_strategy(folder: Path) -> bool:
    """Whether a folder's reranking has another strategy than the sliding window, or shows windows several times."""
    settings = recorded_settings(folder)
    options = settings.get("strategy_args")
    return "strategy" in settings or (isinstance(options, dict) and "samples" in options)


def fusion_of(folder: Path) -> str:
    """How a folder's order is fused with the first stage, such as "rrf, weight 0.5"; empty for not at all."""
    settings = recorded_settings(folder)
    return f"{settings['fuse']}, weight {settings.get('fuse_weight')}" if settings.get("fuse") else ""


def recorded_settings(folder: Path) -> Mapping[str, Any]:
    """The settings that a folder's reranking has; empty where they cannot be read."""
    note = folder / "journal" / "configuration.json"
    try:
        settings = (held_configuration(folder, read_manifest(folder), note) or {}).get("settings")
    except InputError:  # a trace can be read without its manifest
        return {}
    return settings if isinstance(settings, dict) else {}


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The folder's manifest.json; {} while the reranking is not finished."""
    path = Path(folder) / "manifest.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FileFormatError(path, None, f"cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise FileFormatError(path, None, "this is not the manifest of a rerank folder")
    return found


def orders(windows: Sequence[TracedWindow]) -> tuple[list[str], list[str]]:
    """One query's candidates before its first and after its last window, without those that no window showed."""
    before: list[str] = []
    after: list[str] = []
    for step in windows:
        known = set(after)
        new = [id for id in step.window if id not in known]
        before = new + before
        after = new + after
        reorder(after, step.window, step.order)
    return before, after


def by_query(windows: Iterator[TracedWindow]) -> Mapping[str, list[TracedWindow]]:
    """The windows of every query, in the order they finished; queries in order of appearance."""
    found: dict[str, list[TracedWindow]] = {}
    for window in windows:
        found.setdefault(window.query_id, []).append(window)
    return found


def _windows(path: Path) -> Iterator[TracedWindow]:
    number = 0
    try:
        with open(path, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:
                    if path.suffix == ".part":
                        return  # the line being written right now
                    raise FileFormatError(path, number, f"not JSON ({error})") from error
                yield _window(path, number, record)
    except UnicodeDecodeError as error:
        raise FileFormatError(path, number + 1, "not UTF-8") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _window(path: Path, number: int, record: Any) -> TracedWindow:
    try:
        return TracedWindow.from_record(record)
    except (TypeError, ValueError, OverflowError) as error:
        raise FileFormatError(path, number, str(error)) from error


def _ids(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(id, str) for id in value):
        raise ValueError(f"{name!r} is not a list of docids")
    return value


def _scores(value: Any, count: int) -> tuple[float | None, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != count:
        raise ValueError("'scores' is not a list with a value for each docid of 'window'")
    scores = tuple(None if one is None else float(one) for one in value)
    if not all(one is None or math.isfinite(one) for one in scores):
        raise ValueError("'scores' has a value that is not a finite number")
    return scores
