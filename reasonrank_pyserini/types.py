"""The records that travel between modules: frozen, slotted, ids are strings."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

TEXT_FIELDS = ("text", "segment", "contents", "body", "passage")
"""Names of a record's text, first found wins (as in the authors' `convert_doc_to_prompt_content`)."""

AnswerForm = Literal["tagged", "bare"]
"""`tagged`: `<think>..</think> <answer>[2] > [1]</answer>`; `bare`: `[2] > [1]` alone."""

Window = tuple[int, ...]
"""Candidates to judge together: indices into the query's candidate list, best so far first."""


@dataclass(frozen=True, slots=True)
class Query:
    """A topic: what is searched for."""

    id: str
    text: str


def is_missing(value: object) -> bool:
    """Whether a field is empty: None, or pandas' NaN, NA or NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


@dataclass(frozen=True, slots=True)
class Document:
    """A passage with its text as given; nothing is normalised here."""

    id: str
    text: str
    title: str = ""

    @classmethod
    def from_record(cls, id: str, record: Mapping[str, Any]) -> Document:
        """The document of a JSON record: text from the first of `TEXT_FIELDS` that is there, `title` if any."""
        text = next((record[name] for name in TEXT_FIELDS if not is_missing(record.get(name))), "")
        title = record.get("title")
        return cls(str(id), str(text), "" if is_missing(title) else str(title))


@dataclass(frozen=True, slots=True)
class ScoredDocument:
    """One line of a run: a docid and its score."""

    id: str
    score: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document retrieved by the first stage; `rank` counts from 1, 0 means unknown."""

    document: Document
    score: float = 0.0
    rank: int = 0

    @property
    def id(self) -> str:
        return self.document.id


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an engine takes at once: requests in flight and, if limited, the sum of their tokens."""

    requests: int
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input of one request: as token ids (if the tokenizer is known), as text, and as chat messages."""

    token_ids: tuple[int, ...] | None = None
    text: str = ""
    messages: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Permutation:
    """The form of an answer, for engines that can enforce it: `count` of the identifiers [1] to [`passages`].

    `written` is the part of the answer that the prompt ends with (`""`: none yet); None means that the answer comes
    later in the completion, opened by `<answer>` after the reasoning. `tagged` answers end with `</answer>`.
    """

    passages: int
    count: int
    answer: AnswerForm = "tagged"
    written: str | None = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a completion is sampled; every field is always sent, so that no server default applies.

    `top_k` 0 means off. `max_tokens` is the whole budget of new tokens, `reasoning_tokens` the part of it for
    reasoning (None: no such split). `answer` is the form that the parser expects. `permutation` is enforced by
    the vllm engine; another vLLM server enforces only its form; other engines ignore it. `stop`: texts that end the
    completion and are left out of it. `logprobs`: how many log-probabilities of the last token's position are wanted,
    besides those of `allowed_ids`, the only token ids that may be generated where there are any.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    max_tokens: int = 3172
    reasoning_tokens: int | None = None
    answer: AnswerForm = "tagged"
    permutation: Permutation | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    allowed_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine returned.

    `finish_reason` is `stop` or `length`; `seconds` is the wall time of the call; `cached`: from a journal; `forced`:
    the answer came from a second request (`completion_tokens` and `seconds` are the sums of both, `prompt_tokens` is
    the first's). `token_ids` are the generated ids without the one that ended the completion; None if unknown.
    `logprobs`: natural log-probabilities by token id at the position of the last token generated, that of the end of
    the turn or of a stop text included; None where none were asked for.
    """

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = "stop"
    seconds: float = 0.0
    cached: bool = False
    forced: bool = False
    token_ids: tuple[int, ...] | None = None
    logprobs: Mapping[int, float] | None = None


class ParseStatus(StrEnum):
    """How an answer was read."""

    CLEAN = "CLEAN"
    """A complete answer that names every passage exactly once."""
    REPAIRED = "REPAIRED"
    """Identifiers are missing, repeated, malformed or out of range, or the answer is not closed."""
    SALVAGED = "SALVAGED"
    """Read by the authors' rule that takes any digits (compat only)."""
    FAILED = "FAILED"
    """No answer: the window keeps its order."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A permutation of range(n), best first, and how it was obtained."""

    order: tuple[int, ...]
    status: ParseStatus


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's order of one window, relative to that window, best first.

    `scores`, from pointwise and groupwise judges, are in window order, NaN for a passage without one; `error` is the
    failure that was kept (`on_error="keep"`); `notes` counts changes to the prompt (passages shrunk, control strings
    neutralised, ...).
    """

    order: tuple[int, ...]
    status: ParseStatus = ParseStatus.CLEAN
    scores: tuple[float, ...] | None = None
    completion: Completion | None = None
    error: str | None = None
    notes: Mapping[str, int] = field(default_factory=dict)


Flow = Generator[list[Window], list[Verdict], tuple[int, ...]]
"""A strategy running on one query: yields windows that may be judged in parallel, receives their verdicts in the
same order, returns the final order of all candidates."""


@dataclass(frozen=True, slots=True)
class Step:
    """One judged window: its docids as shown, its docids as ranked, and the verdict.

    `sample` counts, from 0, the windows of the same round with the same documents.
    """

    window: tuple[str, ...]
    order: tuple[str, ...]
    verdict: Verdict
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Ranking:
    """A query's candidates in their final order, best first, and the steps that led to it.

    `cut_short`: the deadline passed before the last window, so the order is incomplete. `scores`: what a strategy that
    orders by scores thinks of each of `candidates`, NaN for one without a score, such as those that were not reranked;
    None for one that only orders. `deviations`: the standard deviations of these scores, where the strategy knows them.
    """

    query: Query
    candidates: tuple[Candidate, ...]
    steps: tuple[Step, ...] = ()
    cut_short: bool = False
    scores: tuple[float, ...] | None = None
    deviations: tuple[float, ...] | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(candidate.id for candidate in self.candidates)

    @property
    def errors(self) -> tuple[str, ...]:
        """The failures that were kept, one line each; empty when every window was judged."""
        return tuple(step.verdict.error for step in self.steps if step.verdict.error is not None)
