"""Scores of runs by ir_measures, on records in memory."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

from .errors import InputError, UnknownNameError
from .files.decreasing import float32
from .files.lines import printable
from .types import ScoredDocument

if TYPE_CHECKING:
    from ir_measures import Measure

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Sequence[ScoredDocument] | Sequence[str]]
Duplicates = Literal["first", "last"]
"""Which rank counts of a document that a query lists twice."""

_LONGEST_NAME = 100
_LARGEST_CUTOFF = 1_000_000
_LARGEST_GRADE = 2**31 - 1
"""trec_eval's; larger ones would wrap around."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over the judged queries and the values behind them, by measure name as ir_measures writes it.

    `missing`: judged queries without documents in the run (they count as 0); `unjudged`: queries of the
    run without judgements (they do not count). `zero`: why no order of this run could score, empty if one could.
    """

    means: dict[str, float]
    per_query: dict[str, dict[str, float]]
    missing: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    zero: str = ""

    def __iter__(self) -> Iterator[Any]:
        """So that `means, per_query = score(...)` works."""
        return iter((self.means, self.per_query))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, one line each."""
        found = []
        if self.missing:
            found.append(
                f"{_queries(self.missing)} with judgements not in the run, counted as 0 (`run_queries` leaves them out)"
            )
        if self.unjudged:
            found.append(f"{_queries(self.unjudged)} of the run without judgements, ignored")
        if self.zero:
            found.append(self.zero)
        return tuple(found)


def score(
    qrels: Qrels, run: Run, measures: Iterable[str | Measure], *, duplicates: Duplicates = "first"
) -> Scores:
    """The measures' means over all queries of `qrels`, and their values per query.

    `run` holds scored documents, ordered by score as trec_eval does (float32, equal scores by docid
    descending), or docids in rank order. Of a document listed twice the first rank counts or, as in
    evaluations that read a run into a dictionary (pytrec_eval), the last. Raises UnknownNameError for a
    measure that does not exist, InputError for one that cannot be computed.
    """
    if not any(qrels.values()):
        raise InputError("no judgements to score with")
    _check(qrels, run)
    parsed = list(dict.fromkeys(map(parse_measure, measures)))
    if not parsed:
        raise InputError("no measures: give one or more, for example nDCG@10")
    queries = {query: str(number) for number, query in enumerate(qrels, 1)}
    means, values = _calculate(parsed, *_anonymous(qrels, run, queries, duplicates))
    per_query = {query: values.get(name, {}) for query, name in queries.items()}
    return Scores(
        means,
        {query: {str(one): found.get(str(one), 0.0) for one in parsed} for query, found in per_query.items()},
        tuple(query for query in qrels if not run.get(query)),
        tuple(query for query in run if query not in qrels),
        _zero(qrels, run, parsed),
    )


def _check(qrels: Qrels, run: Run) -> None:
    """InputError for what only looks like judgements or a run: scores in a dictionary, letters, NaN, fractions."""
    for query, hits in run.items():
        if isinstance(hits, str | Mapping | set | frozenset):
            raise InputError(
                f"the run's query {query!r} has a {type(hits).__name__}: give a list of ScoredDocuments or docids"
            )
        for hit in hits:
            if not isinstance(hit, str) and hit.score != hit.score:
                raise InputError(
                    f"the run's query {query!r} has a document without a score: {hit.id!r} (NaN)"
                )
    for query, grades in qrels.items():
        for document, grade in grades.items():
            if not isinstance(grade, Integral) or abs(grade) > _LARGEST_GRADE:
                kind = "too large" if isinstance(grade, Integral) else "not an int"
                raise InputError(f"the grade {grade!r} of query {query!r}, document {document!r} is {kind}")


def zero_reason(qrels: Qrels, run: Run) -> str:
    """Why no order of the run could score: no grade above 0, or not one judged document; empty if one could."""
    if not any(grade > 0 for grades in qrels.values() for grade in grades.values()):
        return "no judgement has a grade above 0: every score is 0"
    both = [query for query in qrels if run.get(query) and qrels[query]]
    for query in both:
        if any((one if isinstance(one, str) else one.id) in qrels[query] for one in run[query]):
            return ""
    if not both:
        return ""
    first = run[both[0]][0]
    ours, theirs = first if isinstance(first, str) else first.id, next(iter(qrels[both[0]]))
    return (
        f"not one document of the run is judged: are the document ids of one kind? query {printable(both[0])} has "
        f"{printable(ours)} in the run and {printable(theirs)} in the judgements"
    )


def _zero(qrels: Qrels, run: Run, measures: Sequence[Measure]) -> str:
    """`zero_reason`, or the measures whose lowest relevant grade no judgement reaches."""
    if known := zero_reason(qrels, run):
        return known
    highest = max(grade for grades in qrels.values() for grade in grades.values())
    above = [str(one) for one in measures if one.params.get("rel", 1) > highest]
    return f"no judgement has a grade above {highest}: {', '.join(above)} is 0" if above else ""


def parse_measure(name: str | Measure) -> Measure:
    """The ir_measures object of a name such as `nDCG@10`, `AP(rel=2)` or trec_eval's `ndcg_cut_10`."""
    if not isinstance(name, str):
        return _checked(name)
    if (found := _known(name)) is not None:
        return found
    if (wrong := re.fullmatch(r"([A-Za-z]\w*)@[-.\w]*", name)) and _known(f"{wrong[1]}@10"):
        hint = f"a cutoff is a whole number from 1 to {_LARGEST_CUTOFF:,}"
        raise UnknownNameError("measure", name[:_LONGEST_NAME], [f"{wrong[1]}@10"], hint)
    examples = ("nDCG@10", "AP", "P@30", "R@100", "RR@10", "ERR@20", "AP(rel=2)", "Judged@10")
    hint = "any name of ir_measures or trec_eval; several are given one by one"
    raise UnknownNameError("measure", name[:_LONGEST_NAME], examples, hint)


def _known(name: str) -> Measure | None:
    """The measure of that name; None where there is none, or nothing here can compute it."""
    import ir_measures

    if len(name) > _LONGEST_NAME:
        return None
    for parse, spelled in ((ir_measures.parse_measure, _spelled(name)), (_trec_measure, name)):
        with contextlib.suppress(NameError, ValueError, AssertionError, KeyError, TypeError, SyntaxError):
            return _checked(parse(spelled))
    return None


def _spelled(name: str) -> str:
    """The name with the capitals of ir_measures: `ndcg@10` is nDCG@10."""
    import ir_measures

    end = next((place for place, char in enumerate(name) if char in "@("), len(name))
    known: dict[str, str] = {one.lower(): one for one in ir_measures.measures.registry}
    return known.get(name[:end].lower(), name[:end]) + name[end:]


def _trec_measure(name: str) -> Measure:
    """The measure that trec_eval calls so; ValueError where that is none or several."""
    import ir_measures

    with contextlib.redirect_stdout(io.StringIO()):  # it prints the measures that it leaves out
        (found,) = ir_measures.parse_trec_measure(name)
    return found


def _checked(measure: Measure) -> Measure:
    """The measure, if its parameters are complete and an installed package can compute it."""
    import ir_measures

    try:
        measure.validate_params()
        able = ir_measures.DefaultPipeline.supports(measure)
    except (AssertionError, KeyError) as error:
        raise ValueError(str(error)) from error
    cutoff = measure.params.get("cutoff", 1)
    if not able or not isinstance(cutoff, int) or not 1 <= cutoff <= _LARGEST_CUTOFF:
        raise ValueError(f"{measure} cannot be computed")
    return measure


def _anonymous(
    qrels: Qrels, run: Run, queries: Mapping[str, str], duplicates: Duplicates
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Both with plain ids instead of the user's (some providers write text files, which spaces in ids would break),
    the run with strictly decreasing scores in trec_eval's order."""
    grades: dict[str, dict[str, int]] = {}
    scores: dict[str, dict[str, float]] = {}
    for query, name in queries.items():
        judged = qrels[query]
        ranked = _ranked(run.get(query, ()), duplicates)
        names = {one: f"d{number}" for number, one in enumerate(dict.fromkeys([*ranked, *judged]))}
        grades[name] = {names[one]: grade for one, grade in judged.items()}
        if judged and max(judged.values()) < 0:
            grades[name]["none"] = 0  # trec_eval's code crashes where every grade of a query is negative
        if ranked:
            scores[name] = {names[one]: float(len(ranked) - at) for at, one in enumerate(ranked)}
    return grades, scores


def _ranked(documents: Sequence[ScoredDocument | str], duplicates: Duplicates) -> list[str]:
    scored: dict[str, float] = {}
    for place, one in enumerate(documents):
        name = one if isinstance(one, str) else one.id
        if duplicates == "last" or name not in scored:
            scored[name] = float(-place) if isinstance(one, str) else float32(one.score)
    return sorted(scored, key=lambda one: (scored[one], one), reverse=True)


def _calculate(
    measures: Sequence[Measure], qrels: dict[str, dict[str, int]], run: dict[str, dict[str, float]]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    import ir_measures

    try:
        found = ir_measures.calc(measures, qrels, run)
    except (
        *(ValueError, RuntimeError, AssertionError, ArithmeticError, LookupError, TypeError),
        *(OSError, subprocess.SubprocessError),
    ) as error:
        asked = " ".join(map(str, measures))
        raise InputError(f"ir_measures cannot compute {asked}: {' '.join(str(error).split())}") from error
    per_query: dict[str, dict[str, float]] = {}
    for value in found.per_query:
        per_query.setdefault(value.query_id, {})[str(value.measure)] = float(value.value)
    return {str(one): float(found.aggregated[one]) for one in measures}, per_query


def _queries(ids: Sequence[str]) -> str:
    shown = ", ".join(map(printable, ids[:5])) + (", ..." if len(ids) > 5 else "")
    return f"{len(ids)} {'query' if len(ids) == 1 else 'queries'} ({shown})"
