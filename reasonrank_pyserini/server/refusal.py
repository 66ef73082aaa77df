"""Errors as the caller sees them: a status, one line of text, and a body that every client can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..errors import (
    ClosedError,
    EngineDiedError,
    EngineError,
    JournalError,
    PromptTooLongError,
    ReasonRankError,
)

ErrorType = Literal["Validation", "Overloaded", "Backend", "Unhealthy", "Unauthorized"]
"""What TEI's clients read in `error_type`."""

FAILURES: tuple[tuple[type[ReasonRankError], str, ErrorType], ...] = (
    (EngineDiedError, "the model's engine has stopped: GET /ready shows when it is back", "Unhealthy"),
    (EngineError, "the model call failed, after its retries", "Backend"),
    (JournalError, "the journal of answers cannot be read or written", "Backend"),
    (ClosedError, "the server is stopping", "Unhealthy"),
)
"""The text that a caller gets for a failure. The error's own message may contain paths, so it is only logged."""


class Refusal(Exception):
    """A request that is refused or has failed; the message is for the caller."""

    def __init__(
        self,
        status: int,
        message: str,
        error_type: ErrorType = "Validation",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.error_type = status, message, error_type
        self.headers = dict(headers or {})


class ClientGoneError(Exception):
    """The caller has closed its connection."""


def refusal_of(error: BaseException) -> Refusal:
    """The refusal for an exception; the message of anything but a Refusal is replaced."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, PromptTooLongError):
        return Refusal(400, "the query does not fit the model's context: shorten it")
    for kind, message, error_type in FAILURES:
        if isinstance(error, kind):
            return Refusal(500, message, error_type)
    return Refusal(500, "unexpected failure: see the server's log", "Backend")


def error_body(refusal: Refusal) -> dict[str, Any]:
    """The body of an error: `message` for Cohere's clients, `detail` for Jina's and vLLM's, the others for TEI's."""
    text = refusal.message
    return {"message": text, "detail": text, "error": text, "error_type": refusal.error_type}
