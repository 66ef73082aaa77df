"""One attempt at a request: from the body to a complete answer, or to what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import EngineConfig
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
from .http_options import Options
from .http_request import most_characters
from .http_servers import InactivityTimeout, Server
from .http_stream import AnswerReader

if TYPE_CHECKING:
    import openai


async def attempt(
    server: Server, body: dict[str, Any], config: EngineConfig, options: Options
) -> AnswerReader:
    """One request; FailedCall for anything but a complete answer.

    An answer that was read completely is kept, even if the connection fails afterwards.
    """
    import httpx
    import openai

    patience, began = InactivityTimeout(server, options.inactivity_timeout), server.clock.mark()
    reader = AnswerReader(most_characters(body.get(options.max_tokens_field)))
    try:
        async with patience:
            with server.client() as client:
                await _stream(server, client, body, patience, reader, config)
    except TimeoutError:
        silence = f"no byte from {server.url} for {options.inactivity_timeout:g} s"
        failure = Failure("inactivity", f"{silence} (inactivity_timeout)", outage=True)
        if server.ended:
            failure = Failure("ended", f"the server at {server.url} has ended", unreachable=True, outage=True)
        if not reader.complete:
            raise FailedCall(failure) from None
    except openai.APIStatusError as error:
        server.answered = True
        raise FailedCall(through_proxy(from_status(error, options, body), server.proxy)) from None
    except BrokenAnswerError as error:
        raise FailedCall(from_broken(error, options, body)) from None
    except (openai.APIConnectionError, httpx.TransportError, httpx.DecodingError) as error:
        if not reader.complete:
            failure = from_connection(error, server.url, options, late=server.clock.late_since(began))
            raise FailedCall(through_proxy(failure, server.proxy)) from None
    finish(reader, options, body)
    return reader


async def _stream(
    server: Server,
    client: openai.AsyncOpenAI,
    body: dict[str, Any],
    patience: InactivityTimeout,
    reader: AnswerReader,
    config: EngineConfig,
) -> None:
    # Everything goes into extra_body: the client's validation of a list of 8,000 ids takes 0.1 s.
    create: Any
    if config.api == "chat":
        create = client.chat.completions.with_streaming_response.create
        start = create(model=config.model, messages=[], stream=True, extra_body=body)
    else:
        create = client.completions.with_streaming_response.create
        start = create(model=config.model, prompt="", stream=True, extra_body=body)
    async with start as response:
        server.answered = True
        async for data in response.iter_bytes():
            patience.touch()
            reader.feed(data)
