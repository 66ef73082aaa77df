"""One `reasonrank rerank`: everything that can be checked before a model is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..assembly import Plan
from ..engines import ENGINES, result_arguments
from ..errors import InputError, UnknownNameError
from ..models import model_identity
from ..prompts import PromptBuilder
from ..settings import QUERY_ROOM
from .collection import Collection, open_collection
from .rerank_inputs import Work, from_requests, from_run

SETTINGS = ("window", "step", "passes", "depth", "passage_tokens", "reasoning_tokens", "seed", "compat")


@dataclass(frozen=True, slots=True)
class Job:
    """A checked request: inputs read, settings resolved, prompts ready, nothing heavy loaded."""

    plan: Plan
    work: Work
    builder: PromptBuilder
    tokenizer: Any
    command: tuple[str, ...]

    @classmethod
    def prepare(cls, flags: Mapping[str, Any], command: Sequence[str]) -> Job:
        """Raises InputError for whatever cannot work."""
        collection = open_collection(flags) if flags["run"] is not None else None
        plan = make_plan(flags, collection)
        work = _work(flags, collection, plan.settings.depth)
        tokenizer = plan.tokenizer()
        if tokenizer is not None:
            longest = max((len(tokenizer(query.text).input_ids) for query in work.queries), default=0)
            plan = make_plan(flags, collection, query_tokens=2 * longest)
        return cls(plan, work, plan.builder(tokenizer), tokenizer, tuple(command))

    def notes(self) -> list[str]:
        """What the user should know before it starts, a line each."""
        plan, found = self.plan, [*self.work.notes]
        if not plan.known:
            found.append(
                f"no profile was made for {plan.config.model}: the generic one is used (--profile NAME or FILE.toml)"
            )
        if plan.engine == "openai" and plan.config.api == "chat":
            found.append(
                "chat mode: the server makes the prompt, so control strings in passages cannot be neutralised"
            )
        empty = sum(not self.work.counts[query.id] for query in self.work.queries)
        if empty:
            found.append(f"{empty} queries have no candidates and stay empty")
        return found

    @property
    def windows(self) -> int:
        """Windows to judge, all queries together."""
        settings, counts = self.plan.settings, self.work.counts
        return sum(settings.strategy.calls(min(counts[q.id], settings.depth)) for q in self.work.queries)

    def configuration(self) -> dict[str, Any]:
        """What the result depends on; two jobs with the same one may share a folder."""
        config = self.plan.config
        return {
            "model": dict(model_identity(config.model, config.revision)),
            "tokenizer": config.tokenizer,
            "engine": self.plan.engine,
            "api": config.api,
            "engine_args": result_arguments(self.plan.engine, config.args),
            "settings": self.plan.settings.as_dict(),
            "inputs": dict(self.work.inputs),
            "queries": [query.id for query in self.work.queries],
        }


def make_plan(
    flags: Mapping[str, Any], collection: Collection | None, query_tokens: int = QUERY_ROOM
) -> Plan:
    """The flags of the command line as a Plan."""
    engine = flags["engine"] or ("openai" if flags["base_url"] else "vllm")
    if engine not in ENGINES and ":" not in engine:
        raise UnknownNameError("engine", engine, ENGINES, "or give your own as module:attribute")
    if flags["base_url"] and engine != "openai":
        raise InputError(f"--base-url belongs to --engine openai, not {engine}")
    return Plan.make(
        flags["model"],
        engine,
        revision=flags["revision"],
        tokenizer=flags["tokenizer"],
        profile=flags["profile"],
        base_urls=tuple(flags["base_url"]),
        api=flags["api"],
        engine_args=engine_arguments(flags["engine_arg"]),
        dataset_passage_tokens=collection.passage_tokens if collection is not None else None,
        query_tokens=query_tokens,
        flags={**{name: flags[name] for name in SETTINGS}, "compat": flags["compat"] or None},
    )


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
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = {"True": True, "False": False, "None": None}.get(value, value)
    return found


def _work(flags: Mapping[str, Any], collection: Collection | None, depth: int) -> Work:
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
        hashes=collection.hashes(),
    )
