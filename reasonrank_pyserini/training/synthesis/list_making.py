"""Sources to outcomes: the two calls of each, many at once, nothing asked twice."""

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
from .outcomes import MIN_NDCG, Reason, SynthesisResult, consistency
from .pools import Pool
from .sources import Source
from .teacher import Teacher, read_picks

LIST = 20
"""Passages of a training list, at most: the window of the published models."""

OnError = Literal["raise", "drop"]


@dataclass(frozen=True, slots=True)
class ListOptions:
    """How lists are made of what the teacher picked."""

    size: int = LIST
    min_ndcg: float = MIN_NDCG
    seed: int = 0
    on_error: OnError = "raise"


async def synthesize(
    pools: Iterable[Pool], teacher: Teacher, making: ListOptions | None = None
) -> AsyncGenerator[SynthesisResult, None]:
    """The outcome of every pool as it is ready, in no fixed order; `pools` is read as there is room.

    A failing call raises, or with `on_error="drop"` ends its source alone.
    """
    rules = making or ListOptions()
    requests = teacher.engine.limits.requests

    async def one(pool: Pool) -> SynthesisResult:
        return await outcome_of(pool, teacher, rules)

    async for outcome in stream(pools, one, requests + max(2, requests // 4)):
        yield outcome


async def outcome_of(pool: Pool, teacher: Teacher, making: ListOptions) -> SynthesisResult:
    """Both calls of one source, or as many as are worth it."""
    if len(pool.documents) < 2:
        return SynthesisResult(pool.source, reason=Reason.FEW, detail=f"{len(pool.documents)} candidates")
    paid: list[Completion] = []
    try:
        paid.append(await teacher.pick(pool.source, pool.documents))
        picks = read_picks(paid[0].text, len(pool.documents))
        if not picks:
            reason = Reason.UNREADABLE_PICKS if picks is None else Reason.NOTHING_RELEVANT
            return SynthesisResult(pool.source, reason=reason, completions=tuple(paid))
        shown, relevant = make_list(pool, picks, making)
        paid.append(await teacher.rank(pool.source, shown))
    except EngineDiedError:
        raise
    except EngineError as error:
        if making.on_error == "raise":
            raise type(error)(f"query {pool.source.id}: {error}") from error
        detail = " ".join(str(error).split())
        return SynthesisResult(pool.source, reason=Reason.FAILED_CALL, detail=detail, completions=tuple(paid))
    return _judged(pool.source, shown, relevant, tuple(paid), making)


def make_list(
    pool: Pool, picks: Sequence[int], making: ListOptions
) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """The list to rank, shuffled, and the docids of it that are relevant.

    At least one place in four, where there is a candidate for it, goes to what was not picked; negatives
    are drawn from all that was not picked. The draw depends on the seed and the query alone.
    """
    draw = random.Random(f"{making.seed}\0{pool.source.dataset}\0{pool.source.id}")
    picked = [pool.documents[index] for index in picks]
    chosen = frozenset(picks)
    others = [document for index, document in enumerate(pool.documents) if index not in chosen]
    reserved = min(len(others), making.size // 4)
    positives = picked[: making.size - reserved]
    negatives = draw.sample(others, min(len(others), making.size - len(positives)))
    shown = [*positives, *negatives]
    draw.shuffle(shown)
    relevant = frozenset(document.id for document in positives)
    return tuple(shown), tuple(document.id for document in shown if document.id in relevant)


def _judged(
    source: Source,
    shown: tuple[Document, ...],
    relevant: tuple[str, ...],
    paid: tuple[Completion, ...],
    making: ListOptions,
) -> SynthesisResult:
    text = paid[-1].text
    parsed = parse(text, len(shown))
    if parsed.status is not ParseStatus.CLEAN:
        return SynthesisResult(source, reason=Reason.UNREADABLE_ORDER, detail=parsed.status, completions=paid)
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
    elif agreed < making.min_ndcg:
        reason, detail = Reason.INCONSISTENT, f"{agreed:.4f} < {making.min_ndcg:g}"
    return SynthesisResult(source, record, reason, detail, shown, paid, agreed)
