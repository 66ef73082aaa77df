"""The caller of a request: the name of its bearer token, else its address."""

from __future__ import annotations

import hmac
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from .refusal import Refusal
from .server_settings import Token

TOKENS = "REASONRANK_SERVE_TOKENS"
"""The environment variable with `name:token` pairs, separated by commas or white space."""
TOKENS_FILE = "REASONRANK_SERVE_TOKENS_FILE"
"""The environment variable with the path of a file of such pairs, one a line."""


def tokens_of(environment: Mapping[str, str]) -> tuple[Token, ...]:
    """The tokens in the environment; InputError, whose message contains no token, for anything but `name:token`."""
    text = environment.get(TOKENS, "")
    if path := environment.get(TOKENS_FILE):
        try:
            text += "\n" + Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise InputError(f"{TOKENS_FILE}: {path} cannot be read ({reason})") from None
    found = []
    for number, pair in enumerate(text.replace(",", " ").split(), 1):
        name, colon, secret = pair.partition(":")
        if not (name and colon and secret) or not pair.isascii():
            raise InputError(f"{TOKENS}: entry {number} is not name:token, in ASCII")
        found.append(Token(name, secret))
    if not found and (TOKENS in environment or TOKENS_FILE in environment):
        raise InputError(f"{TOKENS} contains no tokens: give name:token, or unset it to accept all callers")
    return tuple(found)


def caller_of(authorization: str, address: str, tokens: Sequence[Token]) -> Hashable:
    """The caller as a key for sharing the engine; Refusal 401 when tokens are required and this one is unknown.

    Every token is compared, each in constant time.
    """
    if not tokens:
        return ("address", address)
    scheme, _, secret = authorization.strip().partition(" ")
    given = secret.strip().encode("utf-8", "surrogatepass") if scheme.lower() == "bearer" else b""
    matching = [token for token in tokens if hmac.compare_digest(token.secret.encode(), given)]
    if not matching:
        raise Refusal(
            401,
            "this server requires a token: send the header Authorization: Bearer TOKEN"
            if not authorization
            else "the bearer token is unknown to this server",
            "Unauthorized",
            {"WWW-Authenticate": "Bearer"},
        )
    return ("token", matching[0].name)
