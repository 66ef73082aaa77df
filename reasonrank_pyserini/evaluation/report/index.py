"""What the page reads at once: the summary of every result, and one small record per query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ... import __version__
from ...jobs.trace import QueryResult
from ...types import ParseStatus
from .blocks import GROUP
from .report_inputs import Result, number
from .report_scores import MEASURES, Scored, mean_of_means, of_query, pooled, score_result, summary
from .report_sources import Sources

STATUSES = tuple(status.value for status in ParseStatus)
_TEASER = 220
_DEEPEST = 6


def make_index(
    title: str, results: Sequence[tuple[Result, Sources]], leaderboards: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The page's data without passages, windows and searchable text."""
    scored = [score_result(result, sources) for result, sources in results]
    known = {str(place): one for place, one in enumerate(scored) if one is not None}
    return {
        "title": title,
        "version": __version__,
        "group": GROUP,
        "measure": MEASURES[0],
        "statuses": STATUSES,
        "leaderboards": list(leaderboards),
        "all": summary(pooled(list(known.values()))) if len(known) > 1 else None,
        "mean": mean_of_means(known) if len(known) > 1 else None,
        "results": [_result(*both, one) for both, one in zip(results, scored, strict=True)],
        "queries": [
            _query(position, query, sources, one)
            for position, ((result, sources), one) in enumerate(zip(results, scored, strict=True))
            for query in result.queries
        ],
    }


def _result(result: Result, sources: Sources, scored: Scored | None) -> dict[str, Any]:
    manifest = result.manifest
    windows = [window for query in result.queries for window in query.windows]
    statuses = Counter(window.status for window in windows)
    engine = manifest.get("engine")
    return {
        "name": result.name,
        "finished": bool(manifest),
        "model": str(manifest.get("model") or ""),
        "revision": str(manifest.get("revision") or ""),
        "engine": str(engine.get("name") or "") if isinstance(engine, dict) else str(engine or ""),
        "fused": result.fused,
        "made_by": str(manifest.get("version") or ""),
        "queries": len(result.queries),
        "windows": len(windows),
        "statuses": dict(statuses),
        "deadline": int(manifest.get("deadline") or 0),
        "errors": sum(window.error is not None for window in windows),
        "messages": Counter(w.error for w in windows if w.error is not None).most_common(10),
        "cached": sum(window.cached for window in windows),
        "forced": sum(window.forced for window in windows),
        "prompt_tokens": sum(window.prompt_tokens for window in windows),
        "completion_tokens": sum(window.completion_tokens for window in windows),
        "seconds": number(manifest.get("seconds")),
        "model_seconds": round(sum(window.seconds for window in windows), 3),
        "qrels": sources.qrels_name if scored is not None else "",
        "left_out": scored.left_out if scored is not None else 0,
        "scores": summary(scored) if scored is not None else [],
        "details": _details(manifest),
    }


def _details(manifest: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The manifest as titled lists of (name, value)."""
    parts = {
        "Settings": {**_part(manifest, "settings"), **_prefixed(manifest, "profile")},
        "Engine": manifest.get("engine"),
        "Inputs": manifest.get("inputs"),
        "Counts": manifest.get("counts"),
        "Environment": manifest.get("environment"),
        "Command": {"command": " ".join(map(str, command))}
        if isinstance(command := manifest.get("command"), list)
        else None,
    }
    return [(title, rows) for title, part in parts.items() if (rows := _flat(part))]


def _part(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = manifest.get(name)
    return part if isinstance(part, dict) else {}


def _prefixed(manifest: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {f"{name}.{key}": value for key, value in _part(manifest, name).items()}


def _flat(value: Any, prefix: str = "", depth: int = 0) -> list[tuple[str, str]]:
    """Nested values as (dotted name, text); None and empty values are left out."""
    if isinstance(value, dict) and depth < _DEEPEST:
        return [
            row
            for key, inner in value.items()
            for row in _flat(inner, f"{prefix}.{key}" if prefix else str(key), depth + 1)
        ]
    if isinstance(value, list) and depth < _DEEPEST:
        if all(not isinstance(inner, dict | list) for inner in value):
            value = ", ".join(map(str, value))
        else:
            return [row for at, one in enumerate(value, 1) for row in _flat(one, f"{prefix}.{at}", depth + 1)]
    return [] if value in (None, "", {}) else [(prefix, str(value))]


def _query(position: int, query: QueryResult, sources: Sources, scored: Scored | None) -> dict[str, Any]:
    windows = query.windows
    statuses = Counter(window.status for window in windows)
    first, last = set(query.before[:10]), set(query.after[:10])
    text = sources.queries.get(query.id, "")
    return {
        "r": position,
        "id": query.id,
        "q": text if len(text) <= _TEASER else text[:_TEASER] + "…",
        "b": of_query(scored.before.per_query, query.id) if scored else None,
        "a": of_query(scored.after.per_query, query.id) if scored else None,
        "s": [statuses[name] for name in STATUSES],
        "e": sum(window.error is not None for window in windows),
        "n": len(windows),
        "p": sum(window.prompt_tokens for window in windows),
        "c": sum(window.completion_tokens for window in windows),
        "t": round(sum(window.seconds for window in windows), 3),
        "m": len(last - first),
    }
