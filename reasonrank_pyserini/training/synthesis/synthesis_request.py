"""The request for a synthesis, and its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...first_stages.opening import SearchOptions
from ...jobs.collection import CollectionRequest
from ...types import ScoredDocument
from ..decontamination import NGRAM
from .list_making import ListOptions
from .outcomes import Reason
from .pages import PASSAGE_WORDS
from .pools import POOL
from .sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherOptions:
    """Which model teaches, how it is reached and sampled, and at what price.

    `engine`: openai (a chat server at `base_urls`) or module:attribute; `engine_args` are recorded, so no secrets.
    `prompts`: a TOML file in place of the built-in prompts. `max_tokens` of an answer include its reasoning. Prices
    are per million tokens.
    """

    model: str | None = None
    base_urls: tuple[str, ...] = ()
    engine: str = "openai"
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    prompts: str | Path | None = None
    temperature: float = 0.6
    top_p: float = 0.95
    max_tokens: int = 8192
    price_in: float | None = None
    price_out: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateOptions:
    """Where a source's candidates come from, besides its own pages.

    `collection` gives the documents. They are searched by `method` (None: bm25), or found by `run`: a TREC file or
    ScoredDocuments by query id. `pool`: most candidates of a source. `page_words`: most words of a passage of a page.
    """

    collection: CollectionRequest = field(default_factory=CollectionRequest)
    method: str | None = None
    search: SearchOptions = field(default_factory=SearchOptions)
    run: str | Path | Mapping[str, Sequence[ScoredDocument]] | None = None
    pool: int = POOL
    page_words: int = PASSAGE_WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentOptions:
    """The prompts that the lists are rendered for; `passage_tokens` are shown to the teacher too.

    Passages are cut by the student's `tokenizer`, or by words where it is None.
    """

    style: str = "reasonrank"
    tokenizer: str | None = None
    passage_tokens: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisRequest:
    """A synthesis: `sources`, their candidates, a teacher and rules make training lists in the folder `output`.

    `sources`: JSONL files (see `sources`) or Sources; `domain` is for those that name none. What shares `ngram` words
    in a row with an evaluation of `against` (ids of `load_dataset`, or files) is dropped. `limit`: only so many
    sources. `max_failed`: the share of unreadable answers that stops the run, after 50 queries. `output` is not
    needed for an estimate; `overwrite` replaces another configuration's result there. `command` is recorded in the
    manifest.
    """

    sources: Sequence[str | Path | Source]
    teacher: TeacherOptions
    candidates: CandidateOptions = field(default_factory=CandidateOptions)
    lists: ListOptions = field(default_factory=ListOptions)
    student: StudentOptions = field(default_factory=StudentOptions)
    domain: str | None = None
    against: tuple[str, ...] = ()
    ngram: int = NGRAM
    limit: int | None = None
    max_failed: float = 0.5
    output: str | Path | None = None
    overwrite: bool = False
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SynthesisResult:
    """A finished synthesis; `counts` are the manifest's: kept and dropped lists, calls, tokens, money."""

    folder: Path
    counts: Mapping[str, Any]

    @property
    def kept(self) -> int:
        """Lists that were kept."""
        return int(self.counts["kept"])

    @property
    def failed_calls(self) -> int:
        """Queries that were dropped because a call failed."""
        return int(self.counts["dropped"].get(str(Reason.FAILED_CALL), 0))
