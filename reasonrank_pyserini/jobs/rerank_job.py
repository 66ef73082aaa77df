"""One `reasonrank rerank`: everything that can be checked before a model is loaded."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, UnknownNameError
from ..prompts.texts import replace_lone_surrogates
from ..ranking.model_request import ModelRequest, SettingOverrides
from ..ranking.oracle_plan import OraclePlan
from ..ranking.plan import Plan
from .collection import Collection, CollectionRequest, open_collection
from .rerank_input import RerankInput, from_requests, from_run
from .task_runs import windows

SETTINGS = (
    "window", "step", "passes", "depth", "passage_tokens", "reasoning_tokens", "seed", "force_answer", "answer_k",
)  # fmt: skip
SWITCHES = ("constrained", "compat")
SECRET_ARGUMENT = re.compile(r"(^|_)(key|secret|passw\w*|auth_token|access_token|bearer)$")


@dataclass(frozen=True, slots=True)
class Job:
    """A checked request: inputs read, settings resolved, nothing heavy loaded."""

    plan: Plan | OraclePlan
    work: RerankInput
    tokenizer: Any
    command: tuple[str, ...]

    @classmethod
    def prepare(cls, flags: Mapping[str, Any], command: Sequence[str]) -> Job:
        """Raises InputError for whatever cannot work."""
        if (noise := oracle_noise(flags["judge"])) is not None:
            plan, work = _oracle(flags, noise)
            return cls(plan, work, None, tuple(command))
        collection = open_collection(_collection_request(flags)) if flags["run"] is not None else None
        tokens = collection.passage_tokens if collection is not None else None
        model_plan = make_plan(flags, tokens)
        work = _work(flags, collection, model_plan.settings.depth)
        model_plan, tokenizer = fit_context(model_plan, [work])
        return cls(model_plan, work, tokenizer, tuple(command))

    def notes(self) -> list[str]:
        """What the user should know before it starts, a line each."""
        found = [*self.work.notes, *plan_notes(self.plan)]
        empty = sum(not self.work.counts[query.id] for query in self.work.queries)
        if empty:
            found.append(f"{empty} queries have no candidates and stay empty")
        return found

    @property
    def windows(self) -> int:
        """Windows to judge, all queries together."""
        return windows(self.work, self.plan.settings)

    def configuration(self) -> dict[str, Any]:
        """What the result depends on; two jobs with the same one may share a folder."""
        return work_configuration(self.plan, self.work)


def work_configuration(plan: Plan | OraclePlan, work: RerankInput) -> dict[str, Any]:
    """What the result of a work depends on: how it is judged, its inputs, its queries."""
    return {
        **plan.configuration(),
        "inputs": dict(work.inputs),
        "queries": [query.id for query in work.queries],
    }


def plan_notes(plan: Plan | OraclePlan) -> list[str]:
    """What the user should know of how windows will be judged, a line each."""
    if isinstance(plan, OraclePlan):
        return ["the judge is an oracle: windows are ordered by the judgements, no model is asked"]
    found = []
    if not plan.known:
        found.append(
            f"no profile was made for {plan.config.model}: the generic one is used (--profile NAME or FILE.toml)"
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


def make_plan(flags: Mapping[str, Any], passage_tokens: int | None) -> Plan:
    """The flags of the command line as a Plan."""
    if flags["model"] is None:
        raise InputError(
            "no model: give --model M, such as liuwenhan/reasonrank-7B (or --judge oracle, which needs none)"
        )
    request = ModelRequest(
        model=flags["model"],
        revision=flags["revision"],
        tokenizer=flags["tokenizer"],
        profile=flags["profile"],
        engine=flags["engine"],
        base_urls=tuple(flags["base_url"]),
        api=flags["api"],
        engine_args=engine_arguments(flags["engine_arg"]),
        settings=setting_flags(flags),
    )
    return Plan.make(request, dataset_passage_tokens=passage_tokens)


def setting_flags(flags: Mapping[str, Any]) -> SettingOverrides:
    """The settings among the flags, None where they were left out."""
    given = {**{name: flags[name] for name in SETTINGS}, **{name: flags[name] or None for name in SWITCHES}}
    return SettingOverrides(**given)


def engine_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE pairs as a mapping; a value is JSON where it parses as JSON (2, true, 0.9, [..]), else text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip().lstrip("-").replace("-", "_")
        if not equals or not key:
            raise InputError(
                f"--engine-arg {pair!r} is not KEY=VALUE, e.g. --engine-arg gpu_memory_utilization=0.8"
            )
        if SECRET_ARGUMENT.search(key):
            raise InputError(
                f"--engine-arg {key}: arguments are recorded, so keys come from the environment (OPENAI_API_KEY; "
                "api_key_env=NAME names another variable)"
            )
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = {"True": True, "False": False, "None": None}.get(value, value)
    return found


def oracle_noise(judge: str) -> float | None:
    """The noise of `--judge oracle` or `oracle:NOISE`; None for `llm`, InputError for anything else."""
    name, colon, noise = judge.partition(":")
    if name == "llm" and not colon:
        return None
    if name != "oracle":
        raise UnknownNameError("judge", judge, ("llm", "oracle"), "oracle:0.5 adds noise to the grades")
    try:
        value = float(noise) if colon else 0.0
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise InputError(f"--judge {judge}: the noise is a standard deviation, such as oracle:0.5")
    return value


def _collection_request(flags: Mapping[str, Any]) -> CollectionRequest:
    names = ("dataset", "index", "corpus", "topics", "excluded")
    return CollectionRequest(**{name: flags[name] for name in names})


def _oracle(flags: Mapping[str, Any], noise: float) -> tuple[OraclePlan, RerankInput]:
    from .judgements import read_judgements

    if flags["run"] is None:
        raise InputError("--judge oracle reranks a --run, not --requests")
    collection = open_collection(_collection_request(flags)) if flags["dataset"] else None
    qrels = read_judgements(flags["dataset"], flags["qrels"], flags["qrels_kind"], say=_note)
    plan = OraclePlan.make({"": qrels}, noise, setting_flags(flags))
    work = from_run(
        flags["run"],
        None,
        None,
        source="",
        depth=plan.settings.depth,
        excluded=collection.excluded if collection is not None else None,
        limit=flags["limit"],
        ids=flags["query_ids"],
        hashes=collection.hashes() if collection is not None else {},
    )
    return plan, work


def _note(note: str) -> None:
    print(f"note: {note}", file=sys.stderr)


def _work(flags: Mapping[str, Any], collection: Collection | None, depth: int) -> RerankInput:
    if collection is None:
        return from_requests(flags["requests"], flags["limit"], flags["query_ids"])
    return from_run(
        flags["run"],
        collection.topics(),
        collection.documents(),
        source=collection.name,
        depth=depth,
        excluded=collection.excluded,
        limit=flags["limit"],
        ids=flags["query_ids"],
        rename=collection.rename,
        hashes=collection.hashes(),
    )
