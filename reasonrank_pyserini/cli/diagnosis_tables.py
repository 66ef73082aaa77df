"""A diagnosis as tables of text."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from ..evaluation.diagnosis.counted_mean import FEW_QUERIES, CountedMean
from .terminal import aligned

if TYPE_CHECKING:
    from ..evaluation.diagnosis import TaskDiagnosis
    from ..evaluation.diagnosis.calibration import Calibration
    from ..evaluation.diagnosis.place_bands import Band
    from ..evaluation.diagnosis.position_bias import PositionBias
    from ..evaluation.diagnosis.score_calibration import ScoreCalibration
    from ..evaluation.diagnosis.self_agreement import SelfAgreement

Rows = list[list[str]]


def diagnosis_text(found: TaskDiagnosis) -> str:
    """The tables of one task, its notes first."""
    statuses = ", ".join(f"{name} {count:,}" for name, count in found.statuses.items())
    extra = [
        f"{count:,} {what}" for count, what in ((found.forced, "forced"), (found.errors, "errors")) if count
    ]
    head = [
        f"{found.name}{f': {found.model}' if found.model else ''}",
        f"queries {found.queries:,}, windows {found.windows:,} ({', '.join([statuses, *extra])}), used {found.used:,}",
    ]
    if found.qrels:
        head.append(f"judgements {found.qrels}, {found.judged_queries:,} queries")
    tables = [_agreement(found.agreement), *_position(found.position)]
    if found.calibration is not None:
        tables += _calibration(found.calibration)
    shown = "\n\n".join(aligned(rows) for rows in tables if len(rows) > 1)
    notes = [f"note: {note}" for note in found.notes]
    if "*" in shown:
        notes.append(f"note: * is a figure over fewer than {FEW_QUERIES} queries, too few to rely on")
    return "\n".join([*head, *notes]) + (f"\n\n{shown}" if shown else "")


def tasks_table(found: Sequence[TaskDiagnosis]) -> str:
    """The main figures of several tasks, one a row, and their means."""
    names = ("agreement", "order kept", "right", "first look", "shown above", "shown below", "AUC")
    figures = [_main_figures(one) for one in found]
    rows = [["task", "queries", *names]]
    rows += [
        [one.name, f"{one.queries:,}", *map(_mean, own)] for one, own in zip(found, figures, strict=True)
    ]
    means = [[one.mean for one in column if one.mean is not None] for column in zip(*figures, strict=True)]
    rows.append(
        [
            "mean of the tasks",
            f"{sum(one.queries for one in found):,}",
            *(f"{fmean(some):.3f}" if len(some) == len(found) else "-" for some in means),
        ]
    )
    return aligned(rows)


def _main_figures(found: TaskDiagnosis) -> list[CountedMean]:
    """The figures of a row of `tasks_table`."""
    own, nothing = found.calibration, CountedMean()
    right = [own.right, own.first_look, own.shown_above, own.shown_below] if own else [nothing] * 4
    auc = own.scores.auc if own and own.scores else nothing
    return [found.agreement.same, found.position.kept, *right, auc]


def _agreement(found: SelfAgreement) -> Rows:
    return _rows(
        ("agreement with itself", "share", "pairs"),
        ("judged twice: same order both times", found.same),
        ("  shown in the same order both times", found.shown_alike),
        ("  shown in opposite orders", found.shown_turned),
        ("    there the one shown first won twice", found.first_won),
        ("    there the one shown last won twice", found.last_won),
        ("  a relevant passage and another", found.relevant),
        ("    shown in opposite orders", found.relevant_turned),
        ("  shown again in the order given before", found.following),
    )


def _position(found: PositionBias) -> list[Rows]:
    kept = _rows(
        ("position", "share", "count"),
        (
            f"pairs kept as shown at first{'' if found.tau is None else f' (tau {found.tau:+.2f})'}",
            found.kept,
        ),
        ("windows unchanged", found.unchanged),
        ("windows nearly unchanged (tau 0.9)", found.nearly),
        ("windows reversed", found.reversed),
    )
    relevant = any(one.relevant.count for one in found.places)
    titles = ["first shown at", "place given", "95% interval", "ends first", "passages"]
    rows = [[*titles, *(["relevant: place given", "95% interval", "passages"] if relevant else [])]]
    for one in found.places:
        parts = [_mean(one.given, 2), _interval(one.given, 2), _mean(one.won), f"{one.given.count:,}"]
        if relevant:
            parts += [_mean(one.relevant, 2), _interval(one.relevant, 2), f"{one.relevant.count:,}"]
        rows.append([_range(one.first, one.last), *parts])
    return [kept, rows]


def _calibration(found: Calibration) -> list[Rows]:
    right = _rows(
        ("a relevant passage before another", "share", "pairs"),
        ("all windows", found.right),
        *((f"  places given {_range(one.first, one.last)} apart", one.figure) for one in found.gaps),
        (f"  completions of up to {found.median_tokens or 0:,.0f} tokens", found.short),
        ("  longer completions", found.long),
        ("both shown for the first time", found.first_look),
        ("  the relevant one shown above", found.shown_above),
        ("  the relevant one shown below", found.shown_below),
    )
    return [right, _bands(("place given", "relevant", "passages"), found.places), *_scores(found.scores)]


def _scores(found: ScoreCalibration | None) -> list[Rows]:
    if found is None:
        return []
    whole = _rows(
        ("scores", "value", "count"),
        ("AUC: pairs of a query", found.auc),
        ("calibration error: passages", found.error),
    )
    bins = _rows(
        ("score", "relevant", "passages"),
        *((f"{one.low:.3g} to {one.high:.3g}", one.relevant) for one in found.bins),
    )
    return [whole, bins]


def _bands(titles: tuple[str, str, str], bands: Sequence[Band]) -> Rows:
    return _rows(titles, *((_range(one.first, one.last), one.figure) for one in bands))


def _rows(titles: tuple[str, str, str], *figures: tuple[str, CountedMean]) -> Rows:
    """A heading and a row for each figure that was counted."""
    name, mean, count = titles
    rows = [[name, mean, "95% interval", count, "queries"]]
    rows += [
        [label, _mean(one), _interval(one), f"{one.count:,}", f"{one.queries:,}"]
        for label, one in figures
        if one.count
    ]
    return rows


def _mean(figure: CountedMean, digits: int = 3) -> str:
    if figure.mean is None:
        return "-"
    return f"{figure.mean:.{digits}f}{'*' * figure.few}"


def _interval(figure: CountedMean, digits: int = 3) -> str:
    if figure.low is None or figure.high is None:
        return "-"
    return f"{figure.low:.{digits}f}..{figure.high:.{digits}f}"


def _range(first: int, last: int | None) -> str:
    if last is None:
        return f"{first} or more"
    return str(first) if first == last else f"{first} to {last}"
