"""The openai engine: servers with the OpenAI API, vLLM and SGLang by token ids, others by chat."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from ...errors import EngineDiedError, EngineError, ServersGoneError
from ...prompts.grammar import answer_regex
from ...types import Completion, Limits, Prompt, Sampling
from .. import EngineConfig
from ..servers import FixedServers, OwnServers, Servers
from .http_about import after_404, ask_about
from .http_attempt import attempt
from .http_failures import (
    FailedCall,
)
from .http_logprobs import by_token_id
from .http_options import Options, read_options
from .http_pool import Call, Pool
from .http_request import (
    CUT_PROMPT,
    check_lengths,
    prompt_was_cut,
    request_body,
    request_size,
)
from .http_stream import AnswerReader
from .servers_file import FileServers

log = logging.getLogger(__name__)

CONCURRENCY = {"completions": 256, "chat": 64}
"""Requests in flight at one server, by default."""


class OpenAIEngine:
    """Completes prompts on one or several OpenAI-compatible servers.

    `api="completions"` sends the prompt's token ids, so the server sees the text exactly as rendered; `api="chat"`
    sends messages: the server applies its own template and must itself neutralise control strings in passages.
    Reasoning that a server returns separately becomes `<think>...</think>`. A sampling's `permutation` is sent to
    vLLM as a regular expression of its form, which does not rule out repeated identifiers. Several servers share
    the work by outstanding tokens; a failing one is left out for a while and its requests go to the others, and
    `servers` may change them while calls are under way. A complete answer is never requested again. Addresses are not
    part of `identity`, so the same model at another address continues the same journal.
    """

    OPERATIONAL = frozenset(
        {
            "api_key_env", "attempts", "backoff", "concurrency", "connect_timeout", "inactivity_timeout",
            "max_backoff", "max_wait", "stream_interval", "tokens",
        }
    )  # fmt: skip
    """Arguments that change how requests are sent, not their results."""

    def __init__(
        self,
        config: EngineConfig,
        options: Options,
        servers: Servers,
        own: OwnServers | None = None,
    ) -> None:
        self.config, self.options, self.servers, self._own = config, options, servers, own
        self._each = CONCURRENCY[config.api] if own is None else own.requests
        self.retries: Counter[str] = Counter()
        self.cut_prompts = 0
        self._pool: Pool | None = None
        self._open = False
        self._descriptions: dict[str, asyncio.Task[None]] = {}

    @classmethod
    def from_config(cls, config: EngineConfig) -> OpenAIEngine:
        """The engine, not yet connected; InputError for arguments that cannot be applied."""
        options = read_options(config)
        if config.servers is not None:
            return cls(config, options, FileServers(config.servers, patience=options.max_wait))
        return cls(config, options, FixedServers(options.urls))

    @classmethod
    def of_own_servers(cls, config: EngineConfig, servers: Servers, own: OwnServers) -> OpenAIEngine:
        """The engine for servers that the caller starts."""
        return cls(config, Options(own_key=own.key), servers, own)

    @property
    def limits(self) -> Limits:
        """The limits of all servers of now together; each gets at most `tokens`, and its part of the concurrency."""
        tokens, count = self.options.tokens, max(1, len(self.servers.addresses()))
        return Limits(self.options.concurrency or self._each * count, tokens and tokens * count)

    @property
    def identity(self) -> Mapping[str, Any]:
        options, config = self.options, self.config
        found: dict[str, Any] = {"engine": "openai", "api": config.api, "model": config.model}
        found |= {"revision": config.revision, "tokenizer": config.tokenizer}
        if options.extra_body:
            found["extra_body"] = dict(options.extra_body)
        if options.omit:
            found["omit"] = list(options.omit)
        if not options.send_extra:
            found["send_extra"] = False
        return found

    @property
    def details(self) -> Mapping[str, Any]:
        """For each server its address, counts (requests, answers, tokens, failures) and what it reported of itself.

        `retries`: failed attempts that were retried, of all servers together, by kind. `cut_prompts`: answers whose
        usage counts fewer prompt tokens than the messages have words.
        """
        known = self._pool.known.values() if self._pool is not None else ()
        servers = [server.details() for server in known]
        return {
            "servers": servers or [{"url": url} for url in self.servers.addresses()],
            "retries": dict(self.retries),
            "cut_prompts": self.cut_prompts,
        }

    async def __aenter__(self) -> Self:
        self._pool = Pool(self.options, self.servers, self._each)
        try:
            await self.servers.start(self._pool)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self._pool.changed()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        descriptions, self._descriptions = self._descriptions, {}
        for task in descriptions.values():
            task.cancel()
        await asyncio.gather(*descriptions.values(), return_exceptions=True)
        self._open = False
        await self.servers.stop()
        if self._pool is not None:
            closing = (server.close() for server in self._pool.known.values())
            await asyncio.gather(*closing, return_exceptions=True)

    def _begin_descriptions(self) -> None:
        """Ask the servers that have joined what they report of themselves."""
        for server in self._pool.servers if self._pool is not None else ():
            task = self._descriptions.get(server.url)
            if task is None or (task.done() and not server.about):
                about = ask_about(server, self.config.model, self.options)
                self._descriptions[server.url] = asyncio.create_task(about)

    async def describe(self) -> Mapping[str, Any]:
        """`details` after querying every server; facts that a server does not report are left out."""
        self._begin_descriptions()
        if self._descriptions:
            await asyncio.wait(self._descriptions.values())
        return self.details

    async def served_context(self) -> int | None:
        """The smallest context that a server reports for the model (vLLM does); None when none does."""
        about = await self.describe()
        stated = [server.get("model", {}).get("max_model_len") for server in about["servers"]]
        return min((length for length in stated if isinstance(length, int)), default=None)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        if not self._open or self._pool is None:
            raise EngineError("the openai engine is not open: use it inside `async with`")
        self._begin_descriptions()
        started = time.monotonic()
        body = request_body(self.config, self.options, prompt, sampling, regex=await self._regex(sampling))
        if self._own is not None:
            body |= self._own.fields(sampling)
        reader = await self._complete_with_retries(self._pool, body, request_size(prompt, sampling))
        check_lengths(reader, prompt, sampling, api=self.config.api)
        if self.config.api == "chat" and prompt_was_cut(reader, prompt):
            self._note_cut_prompt(reader.prompt_tokens + reader.cached_tokens)
        return Completion(
            text=reader.text,
            prompt_tokens=reader.prompt_tokens or len(prompt.token_ids or ()),
            completion_tokens=reader.completion_tokens,
            finish_reason="length" if reader.ended == "length" else "stop",
            seconds=time.monotonic() - started,
            token_ids=None if sampling.stop else reader.written_ids,  # the ids hold a stop text
            logprobs=by_token_id(reader.last_logprobs),
        )

    def _note_cut_prompt(self, tokens: int) -> None:
        self.cut_prompts += 1
        if self.cut_prompts == 1:
            log.warning(CUT_PROMPT, tokens)

    async def _regex(self, sampling: Sampling) -> str | None:
        """The regular expression of the requested answer; None without one, unless every server is vLLM, and for own
        servers, which are asked for the permutation itself."""
        asked = sampling.permutation
        if asked is None or self._pool is None or self._own is not None:
            return None
        await self.describe()
        about = [server.about for server in self._pool.servers if server.about]
        owners = {known.get("model", {}).get("owned_by") for known in about}
        return answer_regex(asked) if owners == {"vllm"} else None

    async def _complete_with_retries(self, pool: Pool, body: dict[str, Any], size: int) -> AnswerReader:
        """The answer to a request, retried as far as its failures and the options allow."""
        call = Call(size)
        while (server := await pool.next(call)) is not None:
            try:
                with pool.visit(server, call):
                    reader = await attempt(server, body, self.config, self.options)
                server.tally.answered(reader.prompt_tokens, reader.completion_tokens, reader.finish_reason)
                return reader
            except FailedCall as failed:
                if failed.failure.fatal and pool.leave_out(server, failed.failure):
                    continue
                if not failed.failure.retry:
                    break
                self.retries[failed.failure.kind] += 1
        raise await self._final(pool, call)

    async def _final(self, pool: Pool, call: Call) -> EngineError:
        """The error to raise; EngineDiedError when no other call can succeed."""
        failed = pool.last_failure(call)
        if failed is None:
            gone = ServersGoneError if pool.worked else EngineDiedError
            return gone(f"no server is left: {self.servers.ended()}")
        server, last = failed
        attempts = max(call.tried.total(), server.rests)
        tried = f" ({attempts} attempts)" if attempts > 1 else ""
        if last.missing:
            await ask_about(server, self.config.model, self.options)
            advice = after_404(server, self.config.model, self.config.api, last.status or 404)
            return EngineDiedError(f"{server.url}: {last.message} ({advice})")
        if last.retry and pool.gone():
            messages = "; ".join(server.last.message for server in pool.servers if server.last)
            kind = ServersGoneError if pool.worked else EngineDiedError
            return kind(f"{messages or f'no server is left: {self.servers.ended()}'}{tried}")
        error = EngineDiedError if last.fatal else EngineError
        return error(f"{server.url}: {last.message}{tried}")
