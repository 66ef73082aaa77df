"""Any server that speaks the OpenAI API: vLLM and SGLang with token ids, third parties by chat."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..constrained import answer_regex
from ..errors import EngineDiedError, EngineError
from ..types import Completion, Limits, Prompt, Sampling
from . import EngineConfig
from ._http_about import after_404, ask_about
from ._http_failures import FailedCall, Failure, from_broken, from_connection, from_status
from ._http_options import Options, read_options
from ._http_request import check_lengths, request_body
from ._http_servers import Patience, Server, backoff, choose, open_server
from ._http_stream import AnswerReader, BrokenAnswerError

if TYPE_CHECKING:
    import openai

log = logging.getLogger(__name__)

CONCURRENCY = {"completions": 256, "chat": 64}
FIRST_ATTEMPTS = 3
"""Attempts at an address where no server has ever answered: a wrong address should be told soon."""


class OpenAIEngine:
    """Completes prompts on one or several OpenAI-compatible servers.

    `api="completions"` sends the prompt's token ids, so the server sees the text exactly as rendered;
    `api="chat"` sends messages: the server applies its own template, and control strings in passages
    are its to neutralise. Reasoning that a server splits off comes back as `<think>...</think>`. A
    sampling's `permutation` is sent to vLLM as a regular expression of its form: identifiers may still repeat.
    Addresses are no part of `identity`: the same model elsewhere continues the same journal.
    """

    OPERATIONAL = frozenset(
        {
            "api_key_env", "attempts", "backoff", "concurrency", "connect_timeout", "inactivity_timeout",
            "max_backoff", "max_wait", "stream_interval", "tokens",
        }
    )  # fmt: skip
    """Arguments that change how requests travel, not what they ask."""

    def __init__(self, config: EngineConfig, options: Options) -> None:
        self.config, self.options = config, options
        self.retries: Counter[str] = Counter()
        self._servers: tuple[Server, ...] = ()
        self._open = False
        self._description: asyncio.Task[Any] | None = None

    @classmethod
    def from_config(cls, config: EngineConfig) -> OpenAIEngine:
        """The engine, not yet connected; InputError for arguments that cannot be honoured."""
        return cls(config, read_options(config))

    @property
    def limits(self) -> Limits:
        each = CONCURRENCY[self.config.api]
        return Limits(self.options.concurrency or each * len(self.options.urls), self.options.tokens)

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
        """What is known of the servers (address, version, our model as they list it), and retries by kind."""
        servers = [{"url": server.url, **server.about} for server in self._servers]
        return {
            "servers": servers or [{"url": url} for url in self.options.urls],
            "retries": dict(self.retries),
        }

    async def __aenter__(self) -> Self:
        self._servers = tuple(open_server(url, self.options) for url in self.options.urls)
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
        """`details` after asking every server; what a server does not tell is left out."""
        model, options = self.config.model, self.options
        await asyncio.gather(*(ask_about(server, model, options) for server in self._servers))
        return self.details

    async def served_context(self) -> int | None:
        """The smallest context that a server states for our model (vLLM does); None when none tells."""
        about = await self.describe()
        stated = [server.get("model", {}).get("max_model_len") for server in about["servers"]]
        return min((length for length in stated if isinstance(length, int)), default=None)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        if not self._open:
            raise EngineError("the openai engine is not open: use it inside `async with`")
        if self._description is None:
            self._description = asyncio.create_task(self.describe())
        started = time.monotonic()
        regex = await self._regex(sampling)
        reader = await self._insist(request_body(self.config, self.options, prompt, sampling, regex=regex))
        check_lengths(reader, prompt, sampling)
        return Completion(
            text=reader.text,
            prompt_tokens=reader.prompt_tokens or len(prompt.token_ids or ()),
            completion_tokens=reader.completion_tokens,
            finish_reason="length" if reader.finish_reason in ("length", "max_tokens") else "stop",
            seconds=time.monotonic() - started,
        )

    async def _regex(self, sampling: Sampling) -> str | None:
        """The form of the answer that is asked for; None for any form, and unless every server is vLLM."""
        asked = sampling.permutation
        if asked is None or self._description is None:
            return None
        await asyncio.wait([self._description])
        owners = {server.about.get("model", {}).get("owned_by") for server in self._servers}
        return answer_regex(asked) if owners == {"vllm"} else None

    async def _insist(self, body: dict[str, Any]) -> AnswerReader:
        """The answer to a request, tried again as often as its failures and the options allow."""
        failures: list[Failure] = []
        tried: Counter[str] = Counter()
        while True:
            server = choose(self._servers, tried)
            await server.ready()
            try:
                answer = await self._attempt(server, body)
                server.served()
                return answer
            except FailedCall as failed:
                failure = failed.failure
            failures.append(failure)
            tried[server.url] += 1
            if not failure.retry or len(failures) >= self._attempts(failure):
                raise await self._final(failures, server)
            self.retries[failure.kind] += 1
            delay = backoff(self.options, len(failures) - 1, failure.wait)
            level = logging.WARNING if server.worth_a_warning() else logging.INFO
            log.log(level, "attempt %d: %s; again in %.1f s", len(failures), failure.message, delay)
            if failure.crowded or failure.unreachable:
                server.rest(delay, crowded=failure.crowded)
            else:
                await asyncio.sleep(delay)

    def _attempts(self, failure: Failure) -> int:
        met = any(server.answered for server in self._servers)
        every = self.options.attempts
        return every if met or not failure.unreachable else min(FIRST_ATTEMPTS, every)

    async def _final(self, failures: list[Failure], server: Server) -> EngineError:
        """The error to raise: EngineDiedError when no other call can do better."""
        last = failures[-1]
        tried = f" ({len(failures)} attempts)" if len(failures) > 1 else ""
        if last.status in (404, 405):
            await ask_about(server, self.config.model, self.options)
            advice = after_404(server, self.config.model, self.config.api)
            return EngineDiedError(f"{server.url}: {last.message} ({advice})")
        gone = all(failure.unreachable for failure in failures[-FIRST_ATTEMPTS:])
        if last.fatal or gone:
            where = "" if gone else f"{server.url}: "
            return EngineDiedError(f"{where}{last.message}{tried}")
        return EngineError(f"{server.url}: {last.message}{tried}")

    async def _attempt(self, server: Server, body: dict[str, Any]) -> AnswerReader:
        """One request; FailedCall for anything but a complete answer."""
        import httpx
        import openai

        patience = Patience(server, self.options.inactivity_timeout)
        try:
            async with patience:
                with server.client() as client:
                    return await self._stream(server, client, body, patience)
        except TimeoutError:
            silence = f"no byte from {server.url} for {self.options.inactivity_timeout:g} s"
            raise FailedCall(Failure("inactivity", f"{silence} (inactivity_timeout)")) from None
        except openai.APIStatusError as error:
            server.answered = True
            raise FailedCall(from_status(error, self.options, body)) from None
        except BrokenAnswerError as error:
            raise FailedCall(from_broken(error, self.options, body)) from None
        except (openai.APIConnectionError, httpx.TransportError, httpx.DecodingError) as error:
            raise FailedCall(from_connection(error, server.url)) from None

    async def _stream(
        self, server: Server, client: openai.AsyncOpenAI, body: dict[str, Any], patience: Patience
    ) -> AnswerReader:
        # Everything travels in extra_body: the client's own checking of a list of 8,000 ids takes 0.1 s.
        create: Any
        if self.config.api == "chat":
            create = client.chat.completions.with_streaming_response.create
            start = create(model=self.config.model, messages=[], stream=True, extra_body=body)
        else:
            create = client.completions.with_streaming_response.create
            start = create(model=self.config.model, prompt="", stream=True, extra_body=body)
        reader = AnswerReader()
        async with start as response:
            server.answered = True
            async for data in response.iter_bytes():
                patience.touch()
                reader.feed(data)
        reader.close()
        if reader.finish_reason in ("abort", "error"):
            raise BrokenAnswerError(f"the server gave up: finish_reason {reader.finish_reason!r}")
        if reader.finish_reason == "content_filter":
            filtered = "the server's content filter stopped the answer"
            raise FailedCall(Failure("content filter", filtered, retry=False))
        return reader
