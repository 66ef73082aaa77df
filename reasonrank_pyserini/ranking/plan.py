"""Plan: a model, an engine and settings put together, before anything is loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..engines import (
    Engine,
    EngineConfig,
    load_engine,
    result_arguments,
)
from ..engines.gate import ThrottledEngine
from ..engines.journal import EngineRecord, Journal, Recorded, Replay, find_record, write_record
from ..errors import InputError, JournalError
from ..models.identity import has_weights, load_tokenizer, model_identity
from ..models.identity import model_context as context_of
from ..models.preflight import preflight
from ..models.profiles import Profile, find_profile
from ..prompts import MessageStyle, PromptBuilder, get_style
from ..prompts.prompt_thread import PromptThread
from ..prompts.score_lines import with_score_lines
from .engine_choice import chosen_engine
from .judge import Judge, RoutedJudge, TaskKey
from .judge_making import JudgeMaker, check_reachable
from .model_request import ModelRequest
from .reranker_parts import RerankerParts
from .settings import QUERY_ROOM, Settings
from .strategy_settings import check_scores_come

AUTHORS_SPARE = 128
"""Tokens that the program of Retro*'s authors keeps free in addition to prompt and answer."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will run: `profile` and whether it was made for this model (`known`), settings, engine, context."""

    engine: str
    config: EngineConfig
    profile: Profile
    known: bool
    settings: Settings
    model_context: int
    context: int
    dataset: str = ""

    @classmethod
    def make(
        cls, request: ModelRequest, *, dataset_passage_tokens: int | None = None, dataset: str = ""
    ) -> Plan:
        """Nothing heavy is loaded; InputError for names and values that cannot work.

        `dataset_passage_tokens`: how long the data set wants passages shown. `dataset`: its id, for prompts that depend
        on it; where the tasks have names (`TaskKey`), the part before the slash. `context` is what prompts and answers
        need, at most what the model has; the `max_model_len` engine argument decides when given.
        """
        engine, api = chosen_engine(request), request.api
        profile, known = find_profile(request.model, request.profile)
        settings = Settings.resolve(profile, request.settings, dataset_passage_tokens=dataset_passage_tokens)
        check_reachable(settings, api)
        check_scores_come(settings.strategy, settings.ranking_strategy, settings.style, settings.judge.kind)
        if api == "chat":
            if request.settings.force_answer:
                raise InputError("a chat message cannot be continued: leave out `force_answer` or `api` chat")
            settings = replace(settings, force_answer=False)
        if settings.constrained and engine in ("transformers", "openai"):
            raise InputError(
                f"constrained answers need engine vllm, not {engine}: leave the setting out (a missing answer is "
                "requested separately)"
            )
        limit = context_of(request.model, request.revision) or profile.context
        config = EngineConfig(
            request.model,
            request.revision,
            request.tokenizer,
            base_urls=request.base_urls,
            servers=request.servers,
            replicas=request.replicas,
            ray=request.ray,
            vllm_python=request.vllm_python,
            api="chat" if api == "chat" else "completions",
            args=dict(request.engine_args),
        )
        model_context = min(limit, profile.context) if known else limit
        plan = cls(engine, config, profile, known, settings, model_context, model_context, dataset)
        return plan.with_query_tokens(QUERY_ROOM)

    def with_query_tokens(self, tokens: int) -> Plan:
        """The plan with room for queries of `tokens` tokens, both appearances in the prompt together."""
        context = int(self.config.args.get("max_model_len", 0)) or min(
            self.settings.context_needed(tokens), self.model_context
        )
        self._check_answer(context)
        return replace(self, config=replace(self.config, max_model_len=context), context=context)

    def configuration(self) -> dict[str, Any]:
        """What a result depends on besides its input."""
        return {**self.requested_config(), "settings": self.settings.as_dict()}

    def requested_config(self) -> dict[str, Any]:
        """The model and the engine as requested."""
        config = self.config
        return {
            "model": dict(model_identity(config.model, config.revision)),
            "tokenizer": config.tokenizer,
            "engine": self.engine,
            "api": config.api,
            "engine_args": result_arguments(self.engine, config.args),
        }

    def replay_record(self, journal: str | Path | None) -> EngineRecord:
        """The engine that the journal's answers came from, for a replay without engine and weights.

        A journal without a record of it is taken to belong to the engine as it would be started now. Raises InputError
        where that engine cannot be identified on this machine, and where there is no journal.
        """
        if journal is None or not Path(journal).is_dir():
            which = "no journal is given" if journal is None else f"there is no journal {journal}"
            raise InputError(f"{which}: a replay needs the folder of a recorded run")
        requested = self.requested_config()
        record = find_record(Path(journal), requested, any_weights=not has_weights(self.config.model))
        if record is not None:
            return record
        return EngineRecord(requested, dict(load_engine(self.engine, self.config).identity), self.context)

    def manifest_entry(self) -> dict[str, Any]:
        """For a manifest: the model, its engine and its profile."""
        config = self.config
        return {
            "model": config.model,
            "revision": config.revision,
            "engine": {
                "name": self.engine,
                "api": config.api if self.engine == "openai" else None,
                "arguments": dict(config.args),
                "max_model_len": self.context,
            },
            "profile": {"name": self.profile.name, "made_for_this_model": self.known},
        }

    @property
    def needs_tokenizer(self) -> bool:
        """Token ids are sent unless a chat API tokenizes on the other side."""
        return self.config.api != "chat" or self.config.tokenizer is not None

    def preflight(self) -> tuple[str, ...]:
        """Notes on whether the model fits this machine, a line each; InputError when it does not."""
        config = self.config
        if config.ray is not None:  # the model runs on other machines
            return ()
        return preflight(config.model, config.revision, self.engine, self.profile, self.context, config.args)

    def tokenizer(self) -> Any | None:
        """The requested tokenizer, else the model's own; None where none is needed."""
        if not self.needs_tokenizer:
            return None
        local = self.config.tokenizer
        return load_tokenizer(local or self.config.model, None if local else self.config.revision)

    def builder(self, tokenizer: Any | None, context: int | None = None, task: str = "") -> PromptBuilder:
        """Prompts in the model's style, within its context (`context`: where it turned out to be smaller)."""
        style, settings = get_style(self.settings.style), self.settings
        if settings.judge.scores_shown:
            style = with_score_lines(style)
        if isinstance(style, MessageStyle):
            style = style.for_task("/".join(filter(None, (self.dataset, task))))
        context = context or self.context
        authors_cut = context - settings.sampling.max_tokens - AUTHORS_SPARE
        return PromptBuilder(
            style,
            tokenizer,
            passage_tokens=settings.passage_tokens,
            context=context,
            last_turn_tokens=authors_cut if settings.compat and settings.judge.reading == "score" else None,
        )

    def parts(
        self,
        *,
        tokenizer: Any | None = None,
        journal: str | Path | None = None,
        repeats: int = 1,
        replay: EngineRecord | None = None,
    ) -> RerankerParts:
        """What a Reranker is made of; nothing is started. `tokenizer`: where it is loaded already.

        With `repeats`, repeat i of a task (see `judge.TaskKey`) is judged with seed + i. With `replay` no engine is
        started: every completion comes from the journal, or is a ReplayMissError.
        """
        tokenizer = tokenizer if tokenizer is not None else self.tokenizer()
        engine = self._opened(journal, replay)

        def judge(served: int | None) -> Judge:
            context = replay.context if replay is not None else self._context(served)
            self._record_engine(engine, self.builder(tokenizer, context))
            thread = PromptThread()
            builders = lru_cache(64)(lambda task: self.builder(tokenizer, context, task))
            maker = JudgeMaker(self.settings, engine, thread)

            @lru_cache(64 * repeats)
            def judge_of(key: TaskKey) -> Judge:
                return maker.judge(builders(key.task), key.repeat)

            judge_of(TaskKey())  # what cannot work is said now
            return RoutedJudge(judge_of, thread.close)

        settings = self.settings
        return RerankerParts(judge, engine, settings.ranking_strategy, settings.depth, settings.fusion)

    def _context(self, served: int | None) -> int:
        """The context in tokens, where the running server may allow less; InputError when no answer fits into it."""
        if served is None or served >= self.context:
            return self.context
        self._check_answer(served)
        return served

    def _opened(self, journal: str | Path | None, replay: EngineRecord | None) -> Engine:
        if replay is not None and journal is not None:
            return Replay(Journal(journal), replay.identity)
        config = replace(self.config, log_folder=None if journal is None else Path(journal))
        engine: Engine = ThrottledEngine(load_engine(self.engine, config))
        return engine if journal is None else Recorded(engine, Journal(journal))

    def _record_engine(self, engine: Engine, builder: PromptBuilder) -> None:
        """Write into the journal, if there is one, which engine its answers come from."""
        if isinstance(engine, Recorded):
            record = EngineRecord(
                self.requested_config(), dict(engine.identity), builder.context or self.context
            )
            try:
                write_record(engine.journal.folder, record)
            except (
                JournalError
            ) as error:  # the run may need no new answer; if it does, the same error comes then
                log.warning("%s", error)

    def _check_answer(self, context: int) -> None:
        """InputError when the answer's budget alone fills the context."""
        budget = self.settings.room
        if budget >= context:
            raise InputError(
                f"the answer alone may take {budget} tokens, the context of {self.config.model} is {context}: "
                "lower `reasoning_tokens`"
            )
