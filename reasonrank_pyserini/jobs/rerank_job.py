"""One reranking, checked: everything that can be found out before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets.docids import DOCID_STYLES
from ..errors import UnknownNameError
from ..prompts.texts import replace_lone_surrogates
from ..ranking.model_request import ModelRequest
from ..ranking.oracle_plan import OraclePlan
from ..ranking.plan import Plan
from ..ranking.settings import Settings
from .collection import Collection, open_collection
from .judgements import read_judgements
from .orders import Renamed
from .rerank_input import RerankInput, from_requests, from_run, from_server
from .rerank_request import OracleRequest, RerankRequest
from .run_folder import RunFolder
from .saying import Say, silent
from .task_runs import TAG, calls, windows


@dataclass(frozen=True, slots=True)
class Job:
    """A checked request: inputs read, settings resolved, nothing heavy loaded."""

    request: RerankRequest
    plan: Plan | OraclePlan
    work: RerankInput
    tokenizer: Any

    @classmethod
    def prepare(cls, request: RerankRequest, say: Say = silent) -> Job:
        """Raises InputError for everything that cannot work; `say` takes what the user should know before it starts."""
        request.check()
        if request.docid_style not in DOCID_STYLES:
            raise UnknownNameError("docid style", request.docid_style, DOCID_STYLES)
        if isinstance(request.judge, OracleRequest):
            job = cls(request, *_oracle(request, request.judge, say), tokenizer=None)
        else:
            job = cls(request, *_with_model(request, request.judge))
        for note in job._notes():
            say(note)
        return job

    def _notes(self) -> list[str]:
        found = [*self.work.notes, *plan_notes(self.plan)]
        empty = sum(not self.work.counts[query.id] for query in self.work.queries)
        if empty:
            found.append(f"{empty} queries have no candidates and stay empty")
        return found

    @property
    def windows(self) -> int:
        """Windows of all queries together."""
        return windows(self.work, self.plan.settings)

    @property
    def calls(self) -> int:
        """Requests to a model for all queries together."""
        return calls(self.work, self.plan.settings) if isinstance(self.plan, Plan) else 0

    def folder(self, more: Mapping[str, Any] | None = None) -> RunFolder:
        """The output folder for this configuration, in which `more` replaces parts."""
        request = self.request
        usual = (request.docid_style, request.tag) == ("hub", TAG)
        written = {} if usual else {"docid_style": request.docid_style, "tag": request.tag}
        configuration = {**work_configuration(self.plan, self.work), **(more or {}), **written}
        return RunFolder(request.folder, configuration, overwrite=request.overwrite)

    def written(self, run: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        """A run with its docids in the requested style."""
        return Renamed(run, DOCID_STYLES[self.request.docid_style])


def work_configuration(plan: Plan | OraclePlan, work: RerankInput) -> dict[str, Any]:
    """What a result depends on: how it is judged, its inputs, its queries. Equal ones may share a folder."""
    return {
        **plan.configuration(),
        "inputs": dict(work.inputs),
        "queries": [query.id for query in work.queries],
    }


def plan_notes(plan: Plan | OraclePlan) -> list[str]:
    """What the user should know of how windows will be judged, a line each."""
    if isinstance(plan, OraclePlan):
        return ["the judge is an oracle: windows are ordered by the judgements, without a model"]
    found = []
    if not plan.known:
        found.append(
            f"{plan.config.model} has no profile of its own: the generic one is used (`profile` NAME or FILE.toml)"
        )
    if plan.engine == "openai" and plan.config.api == "chat":
        found.append(
            "chat mode: the server makes the prompt, so control strings in passages cannot be neutralised"
        )
    return found


def fit_context(plan: Plan, works: Sequence[RerankInput]) -> tuple[Plan, Any]:
    """The plan with room for the longest query of the works, and the tokenizer that measured it."""
    tokenizer = plan.tokenizer()
    if tokenizer is None:
        return plan, None
    queries = (query.text for work in works for query in work.queries)
    longest = max((len(tokenizer(replace_lone_surrogates(text)).input_ids) for text in queries), default=0)
    return plan.with_query_tokens(2 * longest), tokenizer


def _collection(request: RerankRequest) -> Collection | None:
    """The collection; a request file has queries and texts of its own and needs none, a server has texts."""
    asked = request.collection
    if request.first_stage_url is not None:
        return Collection(asked)
    if request.run is not None:
        return open_collection(asked)
    return open_collection(asked) if asked.named and not isinstance(request.requests, str | Path) else None


def _with_model(request: RerankRequest, model: ModelRequest) -> tuple[Plan, RerankInput, Any]:
    """The plan, the input and the tokenizer."""
    collection = _collection(request)
    tokens = collection.passage_tokens if collection is not None else None
    data = collection.dataset if collection is not None else None
    dataset = data.id if data is not None else ""
    plan = Plan.make(model, dataset_passage_tokens=tokens, dataset=dataset)
    work = _work(request, collection, plan.settings)
    plan, tokenizer = fit_context(plan, [work])
    return plan, work, tokenizer


def _oracle(request: RerankRequest, oracle: OracleRequest, say: Say) -> tuple[OraclePlan, RerankInput]:
    """An oracle reads neither queries nor texts; the collection is for exclusions and judgements."""
    assert request.run is not None
    dataset = request.collection.dataset
    collection = open_collection(request.collection) if dataset is not None else None
    data = collection.dataset if collection is not None else None
    qrels = read_judgements(data, oracle.qrels, oracle.qrels_kind, say=say)
    plan = OraclePlan.make({"": qrels}, oracle.noise, oracle.settings)
    work = from_run(
        request.run, collection, depth=plan.settings.depth, texts=False, limit=request.limit,
        ids=request.query_ids, by_score=not plan.settings.compat,
    )  # fmt: skip
    if not any(qrels.get(q.id, {}).get(c.id, 0) > 0 for q, candidates in work.load() for c in candidates):
        say("no candidate has a grade above 0, so the oracle keeps every order: are the ids of one kind?")
    return plan, work


def _work(request: RerankRequest, collection: Collection | None, settings: Settings) -> RerankInput:
    if request.first_stage_url is not None:
        assert collection is not None
        return from_server(
            request.first_stage_url, collection, depth=settings.depth, limit=request.limit,
            ids=request.query_ids,
        )  # fmt: skip
    if request.run is None:
        assert request.requests is not None
        documents = collection.documents() if collection is not None else None
        return from_requests(request.requests, documents, limit=request.limit, ids=request.query_ids)
    assert collection is not None
    return from_run(
        request.run, collection, depth=settings.depth, limit=request.limit, ids=request.query_ids,
        by_score=not settings.compat,
    )  # fmt: skip
