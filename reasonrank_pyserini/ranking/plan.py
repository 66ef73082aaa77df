"""Plan: a model, an engine and settings put together, before anything is loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..engines import ENGINES, Engine, EngineConfig, default_engine, load_engine, result_arguments
from ..engines.gate import ThrottledEngine
from ..engines.journal import EngineRecord, Journal, Recorded, Replay, find_record, write_record
from ..errors import InputError, JournalError, UnknownNameError
from ..models.identity import has_weights, load_tokenizer, model_identity
from ..models.identity import model_context as context_of
from ..models.preflight import preflight
from ..models.profiles import Profile, find_profile
from ..prompts import PromptBuilder, get_style
from ..prompts.prompt_thread import PromptThread
from ..strategies import RankingStrategy
from .judge import Judge, JudgeFactory, LLMJudge, RoutedJudge
from .model_request import ModelRequest
from .settings import QUERY_ROOM, Settings

APIS = ("completions", "chat")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RerankerParts:
    """What `Reranker.from_parts` starts: how to judge, the engine if there is one, strategy and depth."""

    judge: Judge | JudgeFactory
    engine: Engine | None
    strategy: RankingStrategy
    depth: int


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

    @classmethod
    def make(cls, request: ModelRequest, *, dataset_passage_tokens: int | None = None) -> Plan:
        """Nothing heavy is loaded; InputError for names and values that cannot work.

        `dataset_passage_tokens`: how long the data set wants passages shown. `context` is what prompts and answers
        need, at most what the model has; the `max_model_len` engine argument decides when given.
        """
        engine, api = _engine_name(request), request.api
        if api not in APIS:
            raise UnknownNameError("api", api, APIS)
        if api == "chat" and engine in ("vllm", "transformers"):
            raise InputError(f"api chat is for servers (engine openai); {engine} takes token ids")
        profile, known = find_profile(request.model, request.profile)
        settings = Settings.resolve(profile, request.settings, dataset_passage_tokens=dataset_passage_tokens)
        if api == "chat":  # a message cannot be continued
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
            api="chat" if api == "chat" else "completions",
            args=dict(request.engine_args),
        )
        model_context = min(limit, profile.context) if known else limit
        plan = cls(engine, config, profile, known, settings, model_context, model_context)
        return plan.with_query_tokens(QUERY_ROOM)

    def with_query_tokens(self, tokens: int) -> Plan:
        """The plan with room for queries of that many tokens, both appearances in the prompt together."""
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
        return preflight(config.model, config.revision, self.engine, self.profile, self.context, config.args)

    def tokenizer(self) -> Any | None:
        """The requested tokenizer, else the model's own; None where none is needed."""
        if not self.needs_tokenizer:
            return None
        local = self.config.tokenizer
        return load_tokenizer(local or self.config.model, None if local else self.config.revision)

    def builder(self, tokenizer: Any | None, context: int | None = None) -> PromptBuilder:
        """Prompts in the model's style, within its context (`context`: where it turned out to be smaller)."""
        return PromptBuilder(
            get_style(self.settings.style),
            tokenizer,
            passage_tokens=self.settings.passage_tokens,
            context=context or self.context,
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
            builder = self.builder(tokenizer, context)
            self._record_engine(engine, builder)
            thread = PromptThread()
            judges = [self._judge(builder, engine, thread, i) for i in range(repeats)]
            return RoutedJudge(lambda key: judges[key.repeat], thread.close)

        return RerankerParts(judge, engine, self.settings.strategy, self.settings.depth)

    def _context(self, served: int | None) -> int:
        """The context in tokens, where the running server may allow less; InputError when no answer fits into it."""
        if served is None or served >= self.context:
            return self.context
        self._check_answer(served)
        return served

    def _judge(self, builder: PromptBuilder, engine: Engine, thread: PromptThread, repeat: int) -> LLMJudge:
        settings = self.settings
        return LLMJudge(
            builder,
            engine,
            settings.sampling,
            seed=settings.seed + repeat,
            compat=settings.compat,
            force_answer=settings.force_answer,
            constrained=settings.constrained,
            answer_k=settings.answer_k,
            prompt_thread=thread,
        )

    def _opened(self, journal: str | Path | None, replay: EngineRecord | None) -> Engine:
        if replay is not None and journal is not None:
            return Replay(Journal(journal), replay.identity)
        engine: Engine = ThrottledEngine(load_engine(self.engine, self.config))
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


def _engine_name(request: ModelRequest) -> str:
    """The requested engine, or the default; InputError for an unknown one."""
    engine = request.engine or ("openai" if request.base_urls else default_engine(request.model))
    if engine not in ENGINES and ":" not in engine:
        raise UnknownNameError("engine", engine, ENGINES, "or give your own as module:attribute")
    if request.base_urls and engine in ENGINES and engine != "openai":
        raise InputError(f"base_urls belong to engine openai, not {engine}")
    return engine
