"""From sources to outcomes: the teacher's two calls for each source, many at once."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ...errors import EngineDiedError, EngineError
from ...jobs.run_folder import split_reasoning
from ...permutation import parse
from ...ranking.scheduler import stream
from ...types import Completion, Document, ParseStatus
from ..list_records import Record
from .outcomes import MIN_NDCG, QueryOutcome, Reason, consistency
from .pools import Pool
from .sources import Source
from .teacher import Teacher, read_picks

LIST = 20
"""Most passages of a training list: the window of the published models."""

OnError = Literal["raise", "drop"]


@dataclass(frozen=True, slots=True)
class ListOptions:
    """How lists are made from the teacher's picks.

    `size`: most passages of a list; `min_ndcg`: the least consistency of a list that is kept; `on_error`: a failed call
    raises, or drops its source.
    """

    size: int = LIST
    min_ndcg: float = MIN_NDCG
    seed: int = 0
    on_error: OnError = "raise"


async def synthesize(
    pools: Iterable[Pool], teacher: Teacher, options: ListOptions | None = None
) -> AsyncGenerator[QueryOutcome, None]:
    """The outcome of every pool as it is ready, in no fixed order; `pools` is read lazily.

    A failed call raises, or with `on_error="drop"` drops its source.
    """
    rules = options or ListOptions()

    def active() -> int:
        requests = teacher.engine.limits.requests
        return requests + max(2, requests // 4)

    async def one(pool: Pool) -> QueryOutcome:
        return await outcome_of(pool, teacher, rules)

    async for outcome in stream(pools, one, active):
        yield outcome


async def outcome_of(pool: Pool, teacher: Teacher, options: ListOptions) -> QueryOutcome:
    """The outcome of one source; the second call is made only when the first one picked something."""
    if len(pool.documents) < 2:
        return QueryOutcome(pool.source, reason=Reason.FEW, detail=f"{len(pool.documents)} candidates")
    paid: list[Completion] = []
    try:
        paid.append(await teacher.pick(pool.source, pool.documents))
        picks = read_picks(paid[0].text, len(pool.documents))
        if not picks:
            reason = Reason.UNREADABLE_PICKS if picks is None else Reason.NOTHING_RELEVANT
            return QueryOutcome(pool.source, reason=reason, completions=tuple(paid))
        shown, relevant = make_list(pool, picks, options)
        paid.append(await teacher.rank(pool.source, shown))
    except EngineDiedError:
        raise
    except EngineError as error:
        if options.on_error == "raise":
            raise type(error)(f"query {pool.source.id}: {error}") from error
        detail = " ".join(str(error).split())
        return QueryOutcome(pool.source, reason=Reason.FAILED_CALL, detail=detail, completions=tuple(paid))
    return _judged(pool.source, shown, relevant, tuple(paid), options)


def make_list(
    pool: Pool, picks: Sequence[int], options: ListOptions
) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """The list to rank, shuffled, and the docids of it that are relevant.

    At least one place in four goes to candidates that were not picked, as far as there are any; they are drawn at
    random. The draw depends on the seed and the query alone.
    """
    draw = random.Random(f"{options.seed}\0{pool.source.dataset}\0{pool.source.id}")
    picked = [pool.documents[index] for index in picks]
    chosen = frozenset(picks)
    others = [document for index, document in enumerate(pool.documents) if index not in chosen]
    reserved = min(len(others), options.size // 4)
    positives = picked[: options.size - reserved]
    negatives = draw.sample(others, min(len(others), options.size - len(positives)))
    shown = [*positives, *negatives]
    draw.shuffle(shown)
    relevant = frozenset(document.id for document in positives)
    return tuple(shown), tuple(document.id for document in shown if document.id in relevant)


def _judged(
    source: Source,
    shown: tuple[Document, ...],
    relevant: tuple[str, ...],
    paid: tuple[Completion, ...],
    options: ListOptions,
) -> QueryOutcome:
    text = paid[-1].text
    parsed = parse(text, len(shown))
    if parsed.status is not ParseStatus.CLEAN:
        return QueryOutcome(source, reason=Reason.UNREADABLE_ORDER, detail=parsed.status, completions=paid)
    record = Record(
        dataset=source.dataset,
        qid=source.id,
        initial_list=tuple(document.id for document in shown),
        final_list=tuple(shown[index].id for index in parsed.order),
        reasoning=split_reasoning(text)[0],
        relevant_docids=relevant,
    )
    agreed = consistency(record)
    reason, detail = None, ""
    if not record.reasoning:
        reason = Reason.NO_REASONING
    elif agreed < options.min_ndcg:
        reason, detail = Reason.INCONSISTENT, f"{agreed:.4f} < {options.min_ndcg:g}"
    return QueryOutcome(source, record, reason, detail, shown, paid, agreed)
