"""The folder of one reranking: run.trec, trace.jsonl, manifest.json, journal/; results are whole or not there."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from ..errors import OutputError
from ..runfile import read_run, write_run
from ..types import Query, ScoredDocument, Step, Verdict
from .held_folder import HeldFolder, disk_errors

_KEPT = "; what was recorded is kept: free space and run the same command again"


class RunFolder(HeldFolder):
    """A folder held by this process alone while it works on one configuration.

    Entering refuses, with InputError, a folder that another process is writing or that holds another
    configuration's result (`overwrite` allows that and keeps the journal, whose entries stay valid).
    `finished`: the same configuration is already complete here; no failed window was kept, no query was cut short.
    """

    def __init__(
        self, path: str | Path, configuration: Mapping[str, Any], *, overwrite: bool = False
    ) -> None:
        super().__init__(path, configuration, notes="journal", overwrite=overwrite)
        self.finished = False
        self._made = False
        self._trace: TextIO | None = None
        self._traced = False

    @property
    def journal(self) -> Path:
        return self.notes

    def __enter__(self) -> Self:
        self._made = not os.path.lexists(self.path)
        self._acquire()
        return self

    def _claim(self) -> None:
        self.holds_other(
            "the result of another configuration",
            "choose another `output`, or `overwrite` (recorded answers are kept)",
        )
        manifest = self.manifest
        wanting = manifest.get("errors") or manifest.get("deadline")
        self.finished = self.complete(manifest) and not wanting and not self.overwrite
        if not self.finished:
            self.write_configuration()

    def trace(self, query: Query, step: Step) -> None:
        """Append one window to trace.jsonl.part as it happens."""
        with disk_errors(self.path, _KEPT):
            if self._trace is None:
                self._trace = open(self.path / "trace.jsonl.part", "w", encoding="utf-8")  # noqa: SIM115
                self._traced = True
            self._trace.write(json.dumps(trace_line(query, step)) + "\n")
            self._trace.flush()

    def finish(self, run: Mapping[str, Sequence[str]], tag: str, manifest: Mapping[str, Any]) -> None:
        """Write the run and the manifest and give the trace its name; the manifest comes last."""
        with disk_errors(self.path, _KEPT):
            (self.path / "manifest.json").unlink(missing_ok=True)
            write_run(self.path / "run.trec", run, tag)
            self._close_trace()
            part = self.path / "trace.jsonl.part"
            if not self._traced:  # an existing part belongs to another run
                part.write_bytes(b"")
            os.replace(part, self.path / "trace.jsonl")
            self.write_manifest(manifest)

    def _close_trace(self) -> None:
        trace, self._trace = self._trace, None
        if trace is not None:
            trace.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with disk_errors(self.path, _KEPT):
                self._close_trace()
        except OutputError:
            if error is None:
                raise
        finally:
            try:
                if error is not None and self._made:
                    self._undo()
            finally:
                self._lock.release()

    def _withdraw(self) -> None:
        if self._made:
            self._undo()

    def _undo(self) -> None:
        """Remove what this process made, if nothing was recorded in it."""
        if any(self.journal.glob("*.journal")):
            return
        notes = (path.name for path in self.journal.glob("engine-*.json"))
        with contextlib.suppress(OSError):  # the failure that leads here is being raised
            for name in ("lock", "configuration.json", *notes):
                (self.journal / name).unlink(missing_ok=True)
            (self.path / "trace.jsonl.part").unlink(missing_ok=True)
        for folder in (self.journal, self.path):
            with contextlib.suppress(OSError):  # not empty: other files stay
                folder.rmdir()


def trace_line(query: Query, step: Step) -> dict[str, Any]:
    """One window as `trace.jsonl` keeps it; `reasoning` and `answer` are the two parts of the model's text."""
    verdict, completion = step.verdict, step.verdict.completion
    text = completion.text if completion is not None else ""
    reasoning, answer = split_reasoning(text)
    return {
        "query_id": query.id,
        "window": list(step.window),
        "order": list(step.order),
        "status": verdict.status.value,
        "reasoning": reasoning,
        "answer": answer,
        "prompt_tokens": completion.prompt_tokens if completion else 0,
        "completion_tokens": completion.completion_tokens if completion else 0,
        "seconds": round(completion.seconds, 4) if completion else 0.0,
        "cached": completion.cached if completion else False,
        "forced": completion.forced if completion else False,
        "sample": step.sample,
        **({"scores": _scores(verdict)} if verdict.scores is not None else {}),
        **({"error": verdict.error} if verdict.error is not None else {}),
        **({"notes": dict(verdict.notes)} if verdict.notes else {}),
    }


def _scores(verdict: Verdict) -> list[float | None]:
    """The scores in window order; None for those that are not finite, which JSON does not have."""
    return [score if math.isfinite(score) else None for score in verdict.scores or ()]


def split_reasoning(text: str) -> tuple[str, str]:
    """The model's text as (reasoning, answer): cut after the last `</think>`, tags removed; unfinished reasoning
    has no answer."""
    head, closed, tail = text.rpartition("</think>")
    if closed:
        return head.removeprefix("<think>").strip(), tail.strip()
    if "<think>" in text:
        return text.partition("<think>")[2].strip(), ""
    return "", text.strip()


def read_written_run(path: Path) -> dict[str, list[ScoredDocument]]:
    """A run.trec of ours; {} for an empty one, where no query had candidates."""
    return read_run(path) if path.stat().st_size else {}
