"""The vllm engine: starts vLLM servers and asks them over HTTP, from token ids to whole answers."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any, Self

from ...errors import EngineError, InputError, PromptTooLongError
from ...lazy import resolve
from ...types import Completion, Limits, Prompt, Sampling
from .. import ENGINES, EngineConfig
from ..priority import ENGINE_PRIORITY
from ..servers import OwnServers, Servers
from .local_servers import LocalServers, Place
from .ray_messages import ClusterJob
from .ray_servers import RayServers, Wish, check_ray
from .vllm_command import ADAPTER, check_arguments, lora_folder, serve_command
from .vllm_installation import Installation, find_vllm
from .vllm_replicas import cards_per_replica, normalised, replica_environments, requests_together

log = logging.getLogger(__name__)

SURPLUS = 0.25
"""Requests kept waiting, as a share of those running, so that the next is ready when one ends."""
ANSWER_TAGS = frozenset({"<think>", "</think>", "<answer>", "</answer>"})
"""Never removed from an answer, even if the tokenizer marks them as special."""
PERMUTATION = "reasonrank_permutation"
"""The field of `vllm_xargs` that `on_server/reasonrank_permutation.py` reads."""
OUTPUT_ARGUMENTS = (
    "dtype",
    "hf_overrides",
    "kv_cache_dtype",
    "load_format",
    "logits_processors",
    "model_impl",
    "override_generation_config",
    "quantization",
    "speculative_config",
)
"""Engine arguments that may change the output, and so are part of the identity."""


class VLLMEngine:
    """Completes prompts with vLLM servers that it starts, on this machine or in a Ray cluster.

    Every sampling field is sent, so the model's sampling defaults do not apply; a prompt that does not fit raises an
    error. A server that dies is started again, and its calls are sent once more. The servers end with this process,
    however it ends. vLLM's queue follows the priorities of ThrottledEngine. A sampling's `permutation` is enforced.
    """

    OPERATIONAL = frozenset({"scheduling_policy"})
    """Arguments that change the order of work, not the output."""

    def __init__(self, config: EngineConfig, vllm: Installation) -> None:
        self.config, self.vllm = config, vllm
        self._identity: dict[str, Any] | None = None
        self._http: Any = None
        self._kept: frozenset[str] = frozenset()
        self._removed: re.Pattern[str] | None = None
        self._given = normalised(config.args)

    @classmethod
    def from_config(cls, config: EngineConfig) -> VLLMEngine:
        """An engine, not yet started; InputError for settings that it cannot apply and where vLLM is missing."""
        vllm = find_vllm(config.vllm_python)
        check_arguments(config, vllm)
        if config.ray is not None:
            check_ray(config.ray)
        requests_together(config)
        replica_environments(config, on_cpu=vllm.on_cpu)
        return cls(config, vllm)

    @staticmethod
    def readiness() -> str:
        """vLLM's version and the servers that would be started, or what is missing."""
        try:
            vllm = find_vllm()
        except InputError as error:
            return str(error)
        servers = len(replica_environments(EngineConfig(""), on_cpu=vllm.on_cpu))
        version = ", ".join(f"{name} {version}" for name, version in vllm.versions.items())
        return f"{version or 'vLLM'}: {servers} {'server' if servers == 1 else 'servers'}"

    @property
    def start_note(self) -> str:
        """How many servers start, and where their logs are."""
        config = self.config
        where = "" if config.log_folder is None else f", logs: {config.log_folder}/vllm-*.log"
        if config.ray is not None:
            count = "vLLM servers" if config.replicas is None else f"{config.replicas} vLLM servers"
            return f"starting {count} in the Ray cluster{where}"
        number = config.replicas or len(replica_environments(config, on_cpu=self.vllm.on_cpu))
        return f"starting {'a vLLM server' if number == 1 else f'{number} vLLM servers'}{where}"

    @property
    def limits(self) -> Limits:
        """As many requests as the servers of now run together and a quarter more; vLLM itself limits the tokens."""
        found: Limits = Limits(self._requests) if self._http is None else self._http.limits
        return found

    @property
    def _requests(self) -> int:
        """Requests in flight at one server."""
        together = requests_together(self.config)
        return together + max(4, int(together * SURPLUS))

    @property
    def identity(self) -> Mapping[str, Any]:
        """Engine, model with its revision or weights' hash, tokenizer, adapter, arguments that change the output."""
        if self._identity is None:
            self._identity = _identity(self.config, self._given)
        return self._identity

    @property
    def details(self) -> Mapping[str, Any]:
        """vLLM's version, servers started again, and for each server its counts and what it reported of itself."""
        found: dict[str, Any] = {"vllm": dict(self.vllm.versions)}
        if self._http is not None:
            servers = self._http.servers
            found |= {"restarts": servers.restarts, **getattr(servers, "details", {}), **self._http.details}
        return found

    async def __aenter__(self) -> Self:
        if self._http is not None:
            raise EngineError("the vllm engine is running already")
        await asyncio.to_thread(self._read_tokenizer)
        self._http = await asyncio.to_thread(self._connected)
        try:
            await self._http.__aenter__()
        except BaseException:
            http, self._http = self._http, None
            await http.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.__aexit__(kind, error, trace)

    def _connected(self) -> Any:
        """The HTTP engine over servers that are not started yet."""
        key = secrets.token_urlsafe(32)
        name = ADAPTER if lora_folder(self.config) is not None else self.config.model
        config = replace(self.config, model=name, args={})
        engine = resolve("engine", "openai", ENGINES)
        return engine.of_own_servers(
            config, self.new_servers(key), OwnServers(key, self._requests, self._fields)
        )

    def new_servers(self, key: str) -> Servers:
        """The engine's servers, not yet started, which will take that key."""
        config = self.config
        command = serve_command(config, self.vllm)
        if config.ray is None:
            return LocalServers(command, Place(key, logs=config.log_folder), config.model)
        gpus = 0 if self.vllm.on_cpu else cards_per_replica(config)
        job = ClusterJob(config.ray, gpus, command, key, config.model)
        return RayServers(job, Wish(config.replicas), config.log_folder)

    def _read_tokenizer(self) -> None:
        """Find the answer tags that the tokenizer marks as special: vLLM would remove them from the text."""
        from ...models.identity import load_tokenizer

        model, revision = self.config.tokenizer or self.config.model, self.config.revision
        tokenizer = load_tokenizer(model, None if self.config.tokenizer else revision)
        special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        self._kept = frozenset(special & ANSWER_TAGS)
        removed = sorted(special - ANSWER_TAGS, key=len, reverse=True) if self._kept else []
        self._removed = re.compile("|".join(map(re.escape, removed))) if removed else None

    def _fields(self, sampling: Sampling) -> dict[str, Any]:
        """What a request to an own server has besides the fields of any server."""
        fields: dict[str, Any] = {
            "priority": ENGINE_PRIORITY.get(),
            "return_token_ids": True,
            "skip_special_tokens": not self._kept,
            "spaces_between_special_tokens": False,
        }
        if sampling.permutation is not None:
            fields["vllm_xargs"] = {PERMUTATION: json.dumps(asdict(sampling.permutation))}
        return fields

    async def served_context(self) -> int | None:
        """The context of the servers in tokens."""
        found: int | None = None if self._http is None else await self._http.served_context()
        return found

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """The model's answer without special tokens except reasoning and answer tags; a permutation if requested.

        PromptTooLongError when prompt and answer exceed the context; ServersGoneError once no server is left.
        """
        if self._http is None:
            raise EngineError("the vllm engine is not running: use it inside `async with`")
        self._check(prompt, sampling)
        answer: Completion = await self._http.complete(prompt, sampling)
        return answer if self._removed is None else replace(answer, text=self._removed.sub("", answer.text))

    def _check(self, prompt: Prompt, sampling: Sampling) -> None:
        if not prompt.token_ids:
            raise EngineError(
                "the vllm engine takes token ids, and this prompt has none: build it with the model's tokenizer"
            )
        room = self._given.get("max_model_len", self.config.max_model_len)
        if isinstance(room, int) and len(prompt.token_ids) + sampling.max_tokens > room:
            raise PromptTooLongError(
                f"a prompt of {len(prompt.token_ids)} tokens and {sampling.max_tokens} for the answer exceed the "
                f"engine's context of {room}: lower `window`, `passage_tokens` or `reasoning_tokens`"
            )


def _identity(config: EngineConfig, given: Mapping[str, Any]) -> dict[str, Any]:
    from ...models.identity import folder_hash, model_identity, tokenizer_hash

    adapter = lora_folder(config)
    tokenizer = (config.tokenizer, None) if config.tokenizer else (config.model, config.revision)
    return {
        "engine": "vllm",
        **model_identity(config.model, config.revision),
        "tokenizer": tokenizer_hash(*tokenizer),
        "lora": None if adapter is None else folder_hash(str(adapter)),
        "args": {name: given[name] for name in OUTPUT_ARGUMENTS if name in given},
    }
