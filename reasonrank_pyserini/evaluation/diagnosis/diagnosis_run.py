"""`diagnose`: the traces of finished rerankings, a diagnosis for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...datasets import load_dataset
from ...errors import InputError, ReasonRankError
from ...jobs.judgements import QrelsSource, read_judgements
from ...jobs.saying import Say, silent
from ...jobs.trace import read_manifest, read_trace, recorded_settings
from ...prompts.answers import KINDS
from ...scoring import Qrels
from ..report.report_inputs import find_folders
from ..report.report_sources import no_downloads, recorded_dataset
from .calibration import Calibration, calibration
from .judged_windows import JudgedTrace, judged_trace, relevant_ids
from .position_bias import PositionBias, position_bias
from .self_agreement import SelfAgreement, self_agreement

if TYPE_CHECKING:
    from ...datasets import Dataset

USUALLY = 0.9
"""Repeats shown in the order given before, from which share on agreement means keeping the order shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisRequest:
    """The folders of rerankings, or folders that hold such folders, and perhaps judgements.

    `qrels_kind` (`plain`, `fixed`) chooses among the judgements of a data set. Without `qrels` and `dataset` a folder's
    judgements are those of the data set that its manifest names, as far as it is on this machine.
    """

    folders: Sequence[str | Path]
    qrels: QrelsSource | None = None
    dataset: str | Path | Dataset | None = None
    qrels_kind: str | None = None


@dataclass(frozen=True, slots=True)
class TaskDiagnosis:
    """What one reranking's trace says about its judge.

    `windows` counts all windows, `used` those that the figures are about (see `judged_windows.JudgedTrace`), `queries`
    all queries with windows, `judged_queries` those of them with judgements. `calibration` is None without judgements.
    `notes`: what to know before reading the figures, one line each.
    """

    name: str
    model: str
    queries: int
    judged_queries: int
    windows: int
    used: int
    statuses: Mapping[str, int]
    forced: int
    errors: int
    qrels: str
    agreement: SelfAgreement
    position: PositionBias
    calibration: Calibration | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Judgements:
    """Grades by query and document id, what they are called, and the setting that gave them."""

    qrels: Qrels
    name: str
    source: str = ""


def diagnose(request: DiagnosisRequest, *, say: Say = silent) -> list[TaskDiagnosis]:
    """A diagnosis of every reranking in the folders, in their order.

    A trace that is still being written counts as far as it goes. `say` takes notes on the judgements, one line each.
    Raises InputError for what is not a reranking, an empty trace, and judgements of other queries.
    """
    if request.qrels is not None and request.dataset is not None:
        raise InputError("`dataset` and `qrels` both give judgements: give one of them")
    folders, leaderboards = find_folders([Path(folder) for folder in request.folders])
    kinds = [request.qrels_kind, *(str(board["qrels_kind"]) for board in leaderboards)]
    kind = next(filter(None, kinds), "plain")
    given = _given(request, say)
    found = [_diagnose(name, path, given, kind) for name, path in folders]
    if given is not None and not any(one.judged_queries for one in found):
        queries = sum(one.queries for one in found)
        raise InputError(
            f"{given.source}: none of the {queries} reranked queries is judged there; "
            "give the judgements that belong to this reranking"
        )
    return found


def _given(request: DiagnosisRequest, say: Say) -> _Judgements | None:
    """The judgements that the request names."""
    if request.qrels is None and request.dataset is None:
        if request.qrels_kind is not None:
            raise InputError("`qrels_kind` chooses among the judgements of a data set: use it with `dataset`")
        return None
    kind = request.qrels_kind or "plain"
    qrels = read_judgements(request.dataset, request.qrels, kind, say=say)
    if request.dataset is None:
        name = "" if isinstance(request.qrels, Mapping) else str(request.qrels)
        return _Judgements(qrels, name or "qrels", f"`qrels` {name}".rstrip())
    named = request.dataset if isinstance(request.dataset, str | Path) else request.dataset.id
    return _Judgements(qrels, f"{named} ({kind})", f"`dataset` {named}")


def _diagnose(name: str, path: Path, given: _Judgements | None, kind: str) -> TaskDiagnosis:
    manifest, settings = read_manifest(path), recorded_settings(path)
    trace = judged_trace(read_trace(path), _asked(settings))
    if not trace.total:
        raise InputError(f"{path} holds an empty trace: nothing has been reranked yet")
    notes = [] if manifest else ["the reranking is not finished: this is about its windows so far"]
    judgements = given or _recorded(manifest, kind, notes)
    grades = {} if judgements is None else judgements.qrels
    relevant = {id: relevant_ids(grades[id]) for id in trace.windows if grades.get(id)}
    agreement = self_agreement(trace.windows, relevant)
    notes += [*_notes_on_windows(trace, settings), *_notes_on_agreement(agreement)]
    if judgements is not None and len(relevant) < len(trace.windows):
        notes.append(f"{len(trace.windows) - len(relevant)} of {len(trace.windows)} queries are not judged")
    return TaskDiagnosis(
        name=name,
        model=_judge_name(manifest),
        queries=len(trace.windows),
        judged_queries=len(relevant),
        windows=trace.total,
        used=trace.used,
        statuses=dict(sorted(trace.statuses.items())),
        forced=trace.forced,
        errors=trace.errors,
        qrels="" if judgements is None else judgements.name,
        agreement=agreement,
        position=position_bias(trace.windows, relevant),
        calibration=calibration(trace.windows, relevant) if relevant else None,
        notes=tuple(notes),
    )


def _judge_name(manifest: Mapping[str, Any]) -> str:
    judge = manifest.get("judge")
    oracle = judge.get("oracle") if isinstance(judge, dict) else None
    if isinstance(oracle, dict):
        return f"oracle with noise {oracle.get('noise', 0):g}" if oracle.get("noise") else "oracle"
    return str(manifest.get("model") or "")


def _asked(settings: Mapping[str, Any]) -> int | None:
    """How many of the best passages the judge of these settings names; None for all."""
    judge = settings.get("judge")
    reading = judge.get("reading") if isinstance(judge, dict) else None
    if isinstance(reading, str) and KINDS.get(reading) == "setwise":
        return 1
    count = settings.get("answer_k")
    return count if isinstance(count, int) and count > 0 else None


def _recorded(manifest: Mapping[str, Any], kind: str, notes: list[str]) -> _Judgements | None:
    """The judgements of the data set that the manifest names, if it is on this machine."""
    name = recorded_dataset(manifest)
    if name is None:
        notes.append("no judgements: with `qrels` or `dataset` there would be a calibration")
        return None
    try:
        with no_downloads():
            return _Judgements(load_dataset(name).qrels(kind), f"{name} ({kind})")
    except ReasonRankError as error:
        notes.append(f"no judgements: those of {name} are not on this machine ({error})")
        return None


def _notes_on_windows(trace: JudgedTrace, settings: Mapping[str, Any]) -> list[str]:
    notes = []
    if left := trace.left_out.total():
        parts = ", ".join(f"{status} {count}" for status, count in sorted(trace.left_out.items()))
        notes.append(
            f"{left} of {trace.total} windows are left out, their answers were not complete: {parts}"
        )
    if (asked := _asked(settings)) is not None:
        best = "passage" if asked == 1 else f"{asked} passages"
        notes.append(f"the judge names the best {best} of a window: pairs of other passages do not count")
    judge = settings.get("judge")
    if isinstance(judge, dict) and judge.get("shuffled"):
        notes.append(
            "prompts show windows in random order, which is not recorded: position bias is not visible"
        )
    return notes


def _notes_on_agreement(agreement: SelfAgreement) -> list[str]:
    if not agreement.same.count:
        return ["no pair of passages was judged twice, so agreement with itself is unknown"]
    if (agreement.following.mean or 0) >= USUALLY:
        return [
            "passages were shown again in the order that the window before gave them, and only those that it ranked "
            "high, so a judge that keeps the order shown agrees with itself, too: `strategy` groups shows another order"
        ]
    return []
