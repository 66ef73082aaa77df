"""Shared by the benchmarks: ratios of alternating rounds with intervals, workers driven over pipes, figures as JSON."""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95% bootstrap interval over rounds."""

    value: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g}..{self.high:.3g})"


def ratio(above: Sequence[float], below: Sequence[float]) -> Interval:
    """The sum of `above` over the sum of `below`, where the i-th of both were measured in the same round."""
    pairs = list(zip(above, below, strict=True))
    return _bootstrapped(pairs, lambda chosen: sum(a for a, _ in chosen) / sum(b for _, b in chosen))


def median(values: Sequence[float]) -> Interval:
    """The median of repeated measurements."""
    return _bootstrapped(list(values), statistics.median)


def _bootstrapped(rounds: Sequence[Any], figure: Callable[[Sequence[Any]], float]) -> Interval:
    chance = random.Random(0)
    drawn = sorted(figure(chance.choices(rounds, k=len(rounds))) for _ in range(RESAMPLES))
    low, high = drawn[RESAMPLES * 25 // 1000], drawn[RESAMPLES * 975 // 1000 - 1]
    return Interval(figure(rounds), low, high, len(rounds))


class Worker:
    """A long-lived process that answers one JSON line with one JSON line; its own output goes to stderr.

    Used to alternate rounds between two environments. The clone that holds this file comes first on its path.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        )  # fmt: skip

    def ask(self, question: Any) -> Any:
        """What the worker answers; RuntimeError when it ended instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with exit code {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60 if kind is None else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            if kind is None:
                raise


def serve(make: Callable[[], Callable[[Any], Any]]) -> None:
    """A worker's loop: what `make()` gives answers every line until standard input ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be read as an answer
    answer = make()
    for line in sys.stdin:
        out.write(json.dumps(answer(json.loads(line))) + "\n")
        out.flush()


def side_by_side(description: str | None) -> argparse.ArgumentParser:
    """The arguments of a script that measures RankLLM too: requests, tokenizer, its Python, a worker's name."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("requests", type=Path)
    parser.add_argument("tokenizer")
    parser.add_argument("--rankllm-python", default=sys.executable)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", choices=("ours", "rankllm"), help=argparse.SUPPRESS)
    return parser


def requests_of(path: Path, queries: int | None = None) -> list[dict[str, Any]]:
    """Requests as plain records: query id and text, candidates as [docid, text, score]."""
    from reasonrank_pyserini.files.requests import read_requests

    return [
        {
            "id": request.query.id,
            "text": request.query.text,
            "candidates": [[c.id, c.document.text, c.score] for c in request.candidates],
        }
        for request in list(read_requests(path))[:queries]
    ]


def write_figures(path: Path | None, figures: Mapping[str, Any] | Sequence[Any]) -> None:
    """The figures as JSON, intervals as records; nothing without a path."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=1, default=asdict) + "\n")
