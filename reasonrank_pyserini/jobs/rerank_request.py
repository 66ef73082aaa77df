"""What a user asks of a reranking, and what comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.trec import check_tag
from ..ranking.model_request import ModelRequest, SettingOverrides
from ..ranking.scheduler import OnError, checked_deadline
from ..types import ParseStatus, ScoredDocument
from .collection import CollectionRequest
from .manifest import WindowCounts
from .rerank_input import RequestSource
from .run_folder import read_written_run
from .run_source import RunSource
from .task_runs import TAG


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleRequest:
    """Windows ordered by relevance, without a model: what a first stage allows at most.

    `noise`: standard deviation of an error on each grade. `qrels`: a qrels file or grades by query and document id;
    None takes those of the collection's data set, of the kind `qrels_kind` (plain, fixed).
    """

    noise: float = 0.0
    qrels: str | Path | Mapping[str, Mapping[str, int]] | None = None
    qrels_kind: str = "plain"
    settings: SettingOverrides = field(default_factory=SettingOverrides)


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest:
    """A reranking into a folder that can be continued.

    `output`: the folder for run.trec, trace.jsonl, manifest.json and the journal (only `estimate` can do without).
    Candidates come from one of `run`, a TREC run file or hits by query id with the texts and queries of
    `collection`; `requests`, a RankLLM request file or (Query, candidates) pairs with their texts; and
    `first_stage_url`, the address of an index of Pyserini's REST server, which is asked for the candidates of the
    collection's queries and their texts. `judge`: the model, or an oracle. `limit`: only the first queries;
    `query_ids`: only these. `on_error`: a failing window ends the run (raise) or keeps its order and is counted
    (keep). `max_failed`: the share of unreadable answers that ends the run after 50 windows. `deadline`: seconds
    per query, waiting for the engine included; then its order so far is taken. `replay`: no engine is started, all
    answers come from the folder's journal. `overwrite`: replace the result of another configuration. `tag` and
    `docid_style` (hub, castorini) are for run.trec. `command` is recorded.
    """

    output: str | Path | None = None
    judge: ModelRequest | OracleRequest
    run: RunSource | None = None
    requests: RequestSource | None = None
    first_stage_url: str | None = None
    collection: CollectionRequest = field(default_factory=CollectionRequest)
    limit: int | None = None
    query_ids: tuple[str, ...] | None = None
    on_error: OnError = "raise"
    max_failed: float = 0.5
    deadline: float | None = None
    replay: bool = False
    overwrite: bool = False
    tag: str = TAG
    docid_style: str = "hub"
    command: tuple[str, ...] = ()

    def check(self, *, into_folder: bool = False) -> None:
        """InputError for fields that do not go together; `into_folder`: also when no folder is given."""
        if sum(given is not None for given in (self.run, self.requests, self.first_stage_url)) != 1:
            raise InputError(
                "give one of `run` (a TREC run), `requests` (queries with candidates) and `first_stage_url` (a server)"
            )
        if into_folder:
            _ = self.folder
        if self.replay and self.deadline is not None:
            raise InputError("a replay waits for no engine: leave `deadline` out")
        if isinstance(self.judge, OracleRequest) and self.run is None:
            raise InputError("`judge` oracle reranks a `run`, not `requests` or a server's candidates")
        if isinstance(self.judge, OracleRequest) and self.replay:
            raise InputError("`judge` oracle records no answers: leave `replay` out")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"`limit` is {self.limit}: give at least 1")
        checked_deadline(self.deadline)
        check_tag(self.tag)

    @property
    def folder(self) -> Path:
        """The output folder; InputError when none was given."""
        if self.output is None:
            raise InputError("give `output`, the folder for run.trec, trace.jsonl and manifest.json")
        return Path(self.output)


@dataclass(frozen=True, slots=True)
class RerankCounts:
    """What a reranking did: windows by ParseStatus, tokens, failed windows that kept their order, their messages
    by number, queries cut short by the deadline, and what was done to prompts and answers (`notes`)."""

    queries: int
    windows: int
    statuses: Mapping[str, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    errors: int = 0
    error_messages: Mapping[str, int] = field(default_factory=dict)
    deadline: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def nothing_read(self) -> bool:
        """Whether there were answers and none could be read."""
        failed = self.statuses.get(ParseStatus.FAILED.value, 0)
        return self.errors < failed == sum(self.statuses.values())

    @classmethod
    def recorded(cls, manifests: Sequence[Mapping[str, Any]]) -> RerankCounts:
        """The counts of finished results together, as their manifests have them."""
        maps = ("statuses", "error_messages", "counts")
        summed = {name: Counter[str]() for name in maps}
        for manifest in manifests:
            for name in maps:
                summed[name].update(manifest.get(name) or {})
        names = ("queries", "windows", "prompt_tokens", "completion_tokens", "errors", "deadline")
        totals = {name: sum(manifest.get(name) or 0 for manifest in manifests) for name in names}
        return cls(
            **totals,
            statuses=summed["statuses"],
            error_messages=summed["error_messages"],
            notes=summed["counts"],
        )

    @classmethod
    def of(cls, queries: int, tally: WindowCounts) -> RerankCounts:
        """The counts of a finished run."""
        values = dict(tally.as_dict())
        return cls(queries, notes=values.pop("counts"), **values)


@dataclass(frozen=True, slots=True)
class RerankResult:
    """A finished reranking. `already_there`: the folder held this result, nothing was done; `replayed`: the journal
    gave it. `unreadable`: no answer at all could be read, which only `max_failed` 1 accepts."""

    folder: Path
    counts: RerankCounts
    already_there: bool = False
    replayed: bool = False
    unreadable: bool = False

    @property
    def complete(self) -> bool:
        """Whether no window failed, no query was cut short, and not all answers were unreadable."""
        return not self.counts.errors and not self.counts.deadline and not self.unreadable

    def run(self) -> dict[str, list[ScoredDocument]]:
        """The reranked run as run.trec has it; queries without candidates are not in it."""
        return read_written_run(self.folder / "run.trec")
