"""The files of a synthesis: records, rendered examples, dropped sources, queries and documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...datasets.memory_documents import MemoryDocuments
from ...errors import InputError
from ...prompts import PromptStyle
from ...types import Completion, Document
from ..list_records import Record, write_records, write_rows
from ..rendering import render, rl_row, sft_row
from .outcomes import Histogram, QueryOutcome

FILES = ("records.jsonl", "sft.jsonl", "rl.jsonl", "filtered.jsonl", "queries.jsonl", "documents.jsonl")


def held_documents(documents: Iterable[Document]) -> MemoryDocuments:
    """The documents as a docstore; InputError for one docid with two texts."""
    held: dict[str, Document] = {}
    for document in documents:
        if held.setdefault(document.id, document) != document:
            raise InputError(f"document {document.id!r} has two texts: pages need a file or url of their own")
    return MemoryDocuments(held.values())


@dataclass(frozen=True, slots=True)
class Money:
    """Prices per million tokens; None where they were not given."""

    price_in: float | None = None
    price_out: float | None = None

    def cost(self, tokens_in: float, tokens_out: float) -> float | None:
        """The cost of these tokens; None without prices."""
        if self.price_in is None or self.price_out is None:
            return None
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6


def write_outcomes(
    folder: Path,
    outcomes: Sequence[QueryOutcome],
    *,
    style: PromptStyle | str,
    tokenizer: Any = None,
    passage_tokens: int | None = None,
) -> None:
    """Write `FILES`, each whole or not at all, in the order of the outcomes.

    Examples are rendered in the student's prompt `style`, passages cut by its `tokenizer` (None: by words).
    """
    documents = held_documents(document for outcome in outcomes for document in outcome.documents)
    kept = [record for outcome in outcomes if (record := kept_record(outcome)) is not None]
    queries = {outcome.source.id: outcome.source.text for outcome in outcomes}
    examples = list(
        render(kept, queries, documents, style=style, tokenizer=tokenizer, passage_tokens=passage_tokens)
    )
    write_records(folder / "records.jsonl", kept)
    write_rows(folder / "sft.jsonl", map(sft_row, examples))
    pairs = zip(examples, kept, strict=True)
    write_rows(folder / "rl.jsonl", (rl_row(example, record.dataset) for example, record in pairs))
    write_rows(folder / "filtered.jsonl", (dropped_row(o) for o in outcomes if o.reason is not None))
    write_rows(folder / "queries.jsonl", ({"id": id, "text": text} for id, text in queries.items()))
    write_rows(folder / "documents.jsonl", map(_document_row, documents))


def kept_record(outcome: QueryOutcome) -> Record | None:
    """The record of an outcome when it is kept, else None."""
    return outcome.record if outcome.reason is None else None


def dropped_row(outcome: QueryOutcome) -> dict[str, Any]:
    """A dropped source as a row: the reason, and its record where there is one."""
    row = {"dataset": outcome.source.dataset, "qid": outcome.source.id, "reason": str(outcome.reason)}
    return {**row, "detail": outcome.detail, **(asdict(outcome.record) if outcome.record else {})}


def counts(outcomes: Sequence[QueryOutcome], histogram: Histogram, money: Money) -> dict[str, Any]:
    """The manifest's counts: kept and dropped lists by reason and data set; calls, tokens and money."""
    kept = Counter(outcome.source.dataset for outcome in outcomes if outcome.reason is None)
    by_dataset = Counter(outcome.source.dataset for outcome in outcomes)
    paid = [completion for outcome in outcomes for completion in outcome.completions]
    return {
        "sources": len(outcomes),
        "kept": kept.total(),
        "dropped": dict(Counter(str(o.reason) for o in outcomes if o.reason is not None)),
        "datasets": {name: {"sources": n, "kept": kept[name]} for name, n in by_dataset.items()},
        "judged": len(histogram.values),
        "min_ndcg": histogram.threshold,
        "kept_by_threshold": {f"{tenth / 10:.1f}": histogram.kept(tenth / 10) for tenth in range(1, 8)},
        "all": spent(paid, money),
        "this_time": spent([completion for completion in paid if not completion.cached], money),
    }


def spent(completions: Sequence[Completion], money: Money) -> dict[str, Any]:
    """The number of completions, their tokens, and their cost where prices are known."""
    tokens_in = sum(completion.prompt_tokens for completion in completions)
    tokens_out = sum(completion.completion_tokens for completion in completions)
    cost = money.cost(tokens_in, tokens_out)
    found: Mapping[str, Any] = {} if cost is None else {"money": round(cost, 6)}
    tokens = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    return {"calls": len(completions), **tokens, **found}


def _document_row(document: Document) -> dict[str, Any]:
    title = {"title": document.title} if document.title else {}
    return {"id": document.id, **title, "text": document.text}
