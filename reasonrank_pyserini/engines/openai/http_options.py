"""The options of the openai engine, checked: addresses, key, timeouts, fields."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import InputError, UnknownNameError
from ...files.web_environment import is_loopback
from .. import EngineConfig
from .http_address import EXAMPLE, server_address

ACCOUNT_VARIABLES = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS")
"""Further variables that the client sends as headers."""
RESERVED = {
    "model": "`model`",
    "prompt": "the input",
    "messages": "the input",
    "stream": "the engine",
    "stream_options": "the engine",
    "n": "the engine",
    "best_of": "the engine",
    "echo": "the engine",
    "temperature": "the sampling options",
    "top_p": "the sampling options",
    "top_k": "the sampling options",
    "min_p": "the sampling options",
    "seed": "`seed`",
    "max_tokens": "the sampling options",
    "max_completion_tokens": "`engine_args` max_tokens_field=max_completion_tokens",
}
"""Fields that `extra_body` must not set, and what sets them."""


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of one engine, checked; `urls` are empty where the addresses come from elsewhere.

    Times are in seconds. `concurrency`: requests in flight at all servers together (None: 256 at each in
    completions mode, 64 in chat mode). `tokens`: the sum of prompt tokens and max_tokens in flight at each server.
    `attempts`: per request and server, and pauses in a row before a failing server is given up.
    `inactivity_timeout`: how long a server may send nothing. `max_wait`: the longest Retry-After that is obeyed.
    `stream_interval`: tokens per chunk, for servers that know the field. `send_extra`: send the fields beyond
    OpenAI's own (top_k, min_p, ...). `omit`: fields left out for servers that reject them. `extra_body`: fields
    added to every request. `max_model_len` is used to build prompts and not sent. `own_key`: the key of servers that
    this process started, in place of one from the environment.
    """

    urls: tuple[str, ...] = ()
    api_key_env: str = "OPENAI_API_KEY"
    max_model_len: int | None = None
    concurrency: int | None = None
    tokens: int | None = None
    attempts: int = 7
    backoff: float = 0.5
    max_backoff: float = 30.0
    max_wait: float = 600.0
    inactivity_timeout: float = 300.0
    connect_timeout: float = 10.0
    stream_interval: int = 32
    send_extra: bool = True
    max_tokens_field: str = "max_tokens"
    omit: tuple[str, ...] = ()
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    own_key: str | None = field(default=None, repr=False)

    @property
    def key(self) -> str | None:
        """The key of servers that this process started, else the one from the environment; None when unset or empty."""
        return self.own_key or os.environ.get(self.api_key_env, "").strip() or None


INTEGERS = {"concurrency": 1, "tokens": 1, "attempts": 1, "stream_interval": 1, "max_model_len": 1}
SECONDS = ("backoff", "max_backoff", "max_wait", "inactivity_timeout", "connect_timeout")
ARGUMENTS = (*INTEGERS, *SECONDS, "api_key_env", "send_extra", "max_tokens_field", "omit", "extra_body")


def read_options(config: EngineConfig) -> Options:
    """The options of a configuration; InputError, in one line, for anything that cannot be applied."""
    values: dict[str, Any] = {"extra_body": _extra_body(config.args)}
    for name, value in config.args.items():
        if name not in ARGUMENTS and not name.startswith("extra_body."):
            raise UnknownNameError(
                "engine argument",
                name,
                ARGUMENTS,
                "send other fields of the server as extra_body.NAME=VALUE",
            )
        if name in INTEGERS:
            values[name] = _integer(name, value)
        elif name in SECONDS:
            values[name] = _seconds(name, value)
    values["urls"] = _addresses(config)
    values |= _words(config.args)
    options = Options(**values)
    _check_key(options)
    return options


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < INTEGERS[name]:
        raise InputError(
            f"engine argument {name}={value!r} is not a whole number of at least {INTEGERS[name]}"
        )
    return value


def _seconds(name: str, value: Any) -> float:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not math.isfinite(value) or value <= 0:
        raise InputError(f"engine argument {name}={value!r} is not a number of seconds above 0")
    return float(value)


def _words(args: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "send_extra" in args:
        if not isinstance(args["send_extra"], bool):
            raise InputError(f"engine argument send_extra={args['send_extra']!r} is neither true nor false")
        values["send_extra"] = args["send_extra"]
    if "max_tokens_field" in args:
        known = ("max_tokens", "max_completion_tokens")
        if args["max_tokens_field"] not in known:
            raise UnknownNameError("max_tokens_field", str(args["max_tokens_field"]), known)
        values["max_tokens_field"] = args["max_tokens_field"]
    if "api_key_env" in args:
        name = args["api_key_env"]
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
            raise InputError(
                "engine argument api_key_env takes the name of an environment variable, not a key"
            )
        values["api_key_env"] = name
    if "omit" in args:
        given = args["omit"].split(",") if isinstance(args["omit"], str) else args["omit"]
        if not isinstance(given, list | tuple) or not all(isinstance(word, str) for word in given):
            raise InputError(
                f"engine argument omit={args['omit']!r} is not a list of fields, such as omit=seed,top_p"
            )
        values["omit"] = tuple(sorted({word.strip() for word in given} - {""}))
        if missing := set(values["omit"]) & {"model", "prompt", "messages", "stream"}:
            raise InputError(f"engine argument omit: {', '.join(sorted(missing))} cannot be left out")
    return values


def _extra_body(args: Mapping[str, Any]) -> dict[str, Any]:
    given = args.get("extra_body", {})
    if not isinstance(given, Mapping):
        raise InputError(
            'engine argument extra_body is not a JSON object, such as extra_body={"priority": 1}'
        )
    body = dict(given)
    for name, value in args.items():
        if name.startswith("extra_body."):
            body[name.removeprefix("extra_body.")] = value
    for name in body:
        if name in RESERVED:
            raise InputError(f"engine argument extra_body.{name}: this field is set by {RESERVED[name]}")
    return body


def _addresses(config: EngineConfig) -> tuple[str, ...]:
    given = config.base_urls
    if config.servers is not None:
        if given:
            raise InputError("give `base_urls` or a `servers` file, not both")
        return ()
    if not given and (variable := os.environ.get("OPENAI_BASE_URL", "").strip()):
        try:
            return (server_address(variable),)
        except InputError as error:
            raise InputError(f"the environment variable OPENAI_BASE_URL: {error}") from None
    if not given:
        raise InputError(
            f"`engine` openai needs a server: give {EXAMPLE}, a `servers` file, or set OPENAI_BASE_URL"
        )
    return tuple(dict.fromkeys(server_address(url.strip()) for url in given))


def _check_key(options: Options) -> None:
    name, key = options.api_key_env, options.key
    if key is not None and not re.fullmatch("[!-~]+", key):
        raise InputError(f"the API key in {name} contains spaces or non-printable characters: set it again")
    if key is not None and set(key) & set("\"'"):
        raise InputError(f"the API key in {name} contains quotation marks: set it again without them")
    for variable in ACCOUNT_VARIABLES:
        value = os.environ.get(variable, "")
        lines = value.split("\n") if variable == "OPENAI_CUSTOM_HEADERS" else [f"name: {value}"]
        if not all(map(_is_header, filter(lambda line: ":" in line, lines))):
            raise InputError(
                f"the environment variable {variable} contains characters that cannot be sent in a header: set it "
                "again or unset it"
            )
    remote = [url for url in options.urls if url.startswith("https:") and not is_loopback(url)]
    if key is None and remote:
        raise InputError(
            f"no API key for {remote[0]}: set the environment variable {name} (any word if the server needs "
            "no key), or name another variable with `engine_args` api_key_env=NAME"
        )


def _is_header(line: str) -> bool:
    """Whether `name: value` can be sent as a header."""
    name, _, value = line.partition(":")
    return (
        bool(re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name.strip(), re.ASCII))
        and re.fullmatch(r"[\t -~]*", value.strip()) is not None
    )
