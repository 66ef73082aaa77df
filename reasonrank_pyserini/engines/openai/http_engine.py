"""The openai engine: servers with the OpenAI API, vLLM and SGLang by token ids, others by chat."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ...errors import EngineDiedError, EngineError
from ...prompts.grammar import answer_regex
from ...types import Completion, Limits, Prompt, Sampling
from .. import EngineConfig
from .http_about import after_404, ask_about
from .http_connections import requests_per_server
from .http_error_body import BrokenAnswerError
from .http_failures import (
    FailedCall,
    Failure,
    finish,
    from_broken,
    from_connection,
    from_status,
    through_proxy,
)
from .http_options import Options, read_options
from .http_pool import Call, Pool
from .http_request import (
    CUT_PROMPT,
    check_lengths,
    most_characters,
    prompt_was_cut,
    request_body,
    request_size,
)
from .http_servers import InactivityTimeout, Server
from .http_stream import AnswerReader

if TYPE_CHECKING:
    import openai

log = logging.getLogger(__name__)

CONCURRENCY = {"completions": 256, "chat": 64}
"""Requests in flight at one server, by default."""


class OpenAIEngine:
    """Completes prompts on one or several OpenAI-compatible servers.

    `api="completions"` sends the prompt's token ids, so the server sees the text exactly as rendered; `api="chat"`
    sends messages: the server applies its own template and must itself neutralise control strings in passages.
    Reasoning that a server returns separately becomes `<think>...</think>`. A sampling's `permutation` is sent to
    vLLM as a regular expression of its form, which does not rule out repeated identifiers. Several servers share
    the work by outstanding tokens; a failing one is left out for a while and its requests go to the others. A
    complete answer is never requested again. Addresses are not part of `identity`, so the same model at another
    address continues the same journal.
    """

    OPERATIONAL = frozenset(
        {
            "api_key_env", "attempts", "backoff", "concurrency", "connect_timeout", "inactivity_timeout",
            "max_backoff", "max_wait", "stream_interval", "tokens",
        }
    )  # fmt: skip
    """Arguments that change how requests are sent, not their results."""

    def __init__(self, config: EngineConfig, options: Options) -> None:
        self.config, self.options = config, options
        self.retries: Counter[str] = Counter()
        self.cut_prompts = 0
        self._pool: Pool | None = None
        self._open = False
        self._description: asyncio.Task[Any] | None = None

    @classmethod
    def from_config(cls, config: EngineConfig) -> OpenAIEngine:
        """The engine, not yet connected; InputError for arguments that cannot be applied."""
        return cls(config, read_options(config))

    @property
    def limits(self) -> Limits:
        """The limits of all servers together; each gets at most `tokens`, and its part of the default concurrency."""
        each, tokens = CONCURRENCY[self.config.api], self.options.tokens
        count = len(self.options.urls)
        return Limits(self.options.concurrency or each * count, tokens and tokens * count)

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
        servers = [server.details() for server in self._servers]
        return {
            "servers": servers or [{"url": url} for url in self.options.urls],
            "retries": dict(self.retries),
            "cut_prompts": self.cut_prompts,
        }

    @property
    def _servers(self) -> Sequence[Server]:
        return self._pool.servers if self._pool is not None else ()

    async def __aenter__(self) -> Self:
        self._pool = Pool(self.options, requests_per_server(self.options, CONCURRENCY[self.config.api]))
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        description, self._description = self._description, None
        if description is not None:
            description.cancel()
            await asyncio.gather(description, return_exceptions=True)
        self._open = False
        await asyncio.gather(*(server.close() for server in self._servers))

    async def describe(self) -> Mapping[str, Any]:
        """`details` after querying every server; facts that a server does not report are left out."""
        model, options = self.config.model, self.options
        await asyncio.gather(*(ask_about(server, model, options) for server in self._servers))
        return self.details

    async def served_context(self) -> int | None:
        """The smallest context that a server reports for the model (vLLM does); None when none does."""
        about = await self.describe()
        stated = [server.get("model", {}).get("max_model_len") for server in about["servers"]]
        return min((length for length in stated if isinstance(length, int)), default=None)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        if not self._open or self._pool is None:
            raise EngineError("the openai engine is not open: use it inside `async with`")
        if self._description is None:
            self._description = asyncio.create_task(self.describe())
        started = time.monotonic()
        body = request_body(self.config, self.options, prompt, sampling, regex=await self._regex(sampling))
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
        )

    def _note_cut_prompt(self, tokens: int) -> None:
        self.cut_prompts += 1
        if self.cut_prompts == 1:
            log.warning(CUT_PROMPT, tokens)

    async def _regex(self, sampling: Sampling) -> str | None:
        """The regular expression of the requested answer; None without one, and unless every server is vLLM."""
        asked = sampling.permutation
        if asked is None or self._description is None:
            return None
        await asyncio.wait([self._description])
        owners = {server.about.get("model", {}).get("owned_by") for server in self._servers}
        return answer_regex(asked) if owners == {"vllm"} else None

    async def _complete_with_retries(self, pool: Pool, body: dict[str, Any], size: int) -> AnswerReader:
        """The answer to a request, retried as far as its failures and the options allow."""
        call = Call(size)
        while (server := await pool.next(call)) is not None:
            try:
                with pool.visit(server, call):
                    reader = await self._attempt(server, body)
                server.tally.answered(reader.prompt_tokens, reader.completion_tokens, reader.finish_reason)
                return reader
            except FailedCall as failed:
                if not failed.failure.retry:
                    break
                self.retries[failed.failure.kind] += 1
        raise await self._final(pool, call)

    async def _final(self, pool: Pool, call: Call) -> EngineError:
        """The error to raise; EngineDiedError when no other call can succeed."""
        server, last = pool.last_failure(call)
        attempts = max(call.tried.total(), server.rests)
        tried = f" ({attempts} attempts)" if attempts > 1 else ""
        if last.missing:
            await ask_about(server, self.config.model, self.options)
            advice = after_404(server, self.config.model, self.config.api, last.status or 404)
            return EngineDiedError(f"{server.url}: {last.message} ({advice})")
        if last.retry and pool.gone():
            messages = "; ".join(server.last.message for server in pool.servers if server.last)
            return EngineDiedError(f"{messages}{tried}")
        kind = EngineDiedError if last.fatal else EngineError
        return kind(f"{server.url}: {last.message}{tried}")

    async def _attempt(self, server: Server, body: dict[str, Any]) -> AnswerReader:
        """One request; FailedCall for anything but a complete answer.

        An answer that was read completely is kept, even if the connection fails afterwards.
        """
        import httpx
        import openai

        patience = InactivityTimeout(server, self.options.inactivity_timeout)
        reader = AnswerReader(most_characters(body.get(self.options.max_tokens_field)))
        try:
            async with patience:
                with server.client() as client:
                    await self._stream(server, client, body, patience, reader)
        except TimeoutError:
            silence = f"no byte from {server.url} for {self.options.inactivity_timeout:g} s"
            failure = Failure("inactivity", f"{silence} (inactivity_timeout)", outage=True)
            if not reader.complete:
                raise FailedCall(failure) from None
        except openai.APIStatusError as error:
            server.answered = True
            raise FailedCall(through_proxy(from_status(error, self.options, body), server.proxy)) from None
        except BrokenAnswerError as error:
            raise FailedCall(from_broken(error, self.options, body)) from None
        except (openai.APIConnectionError, httpx.TransportError, httpx.DecodingError) as error:
            if not reader.complete:
                raise FailedCall(through_proxy(from_connection(error, server.url), server.proxy)) from None
        finish(reader, self.options, body)
        return reader

    async def _stream(
        self,
        server: Server,
        client: openai.AsyncOpenAI,
        body: dict[str, Any],
        patience: InactivityTimeout,
        reader: AnswerReader,
    ) -> None:
        # Everything goes into extra_body: the client's validation of a list of 8,000 ids takes 0.1 s.
        create: Any
        if self.config.api == "chat":
            create = client.chat.completions.with_streaming_response.create
            start = create(model=self.config.model, messages=[], stream=True, extra_body=body)
        else:
            create = client.completions.with_streaming_response.create
            start = create(model=self.config.model, prompt="", stream=True, extra_body=body)
        async with start as response:
            server.answered = True
            async for data in response.iter_bytes():
                patience.touch()
                reader.feed(data)
