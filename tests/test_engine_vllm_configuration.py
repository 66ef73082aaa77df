"""What the vllm engine refuses, each in one line: by itself before anything starts, or as its server complains."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from vllm_kit import NEEDS_VLLM, descendants, model

from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.errors import InputError, UnknownNameError

__all__ = ["model"]  # fixture

pytestmark = NEEDS_VLLM


class TestConfiguration:
    def test_an_unknown_argument_names_the_nearest(self, model: Path) -> None:
        with pytest.raises(UnknownNameError, match=r"did you mean 'max_num_seqs'\?") as caught:
            load_engine("vllm", EngineConfig(str(model), args={"max_num_seq": 4}))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["trust_remote_code", "trust-remote-code", "--trust-remote-code"])
    def test_code_from_a_repository_is_never_run(self, model: Path, name: str) -> None:
        with pytest.raises(InputError, match="never run"):
            load_engine("vllm", EngineConfig(str(model), args={name: True}))

    def test_what_has_its_own_option_or_belongs_to_another_engine(self, model: Path) -> None:
        with pytest.raises(InputError, match="use `model`"):
            load_engine("vllm", EngineConfig(str(model), args={"model": "other"}))
        with pytest.raises(InputError, match="`engine` openai"):
            load_engine("vllm", EngineConfig(str(model), base_urls=("http://127.0.0.1:1/v1",)))
        with pytest.raises(InputError, match="use `replicas`"):
            load_engine("vllm", EngineConfig(str(model), args={"data_parallel_size": 2}))
        with pytest.raises(InputError, match="HF_TOKEN"):
            load_engine("vllm", EngineConfig(str(model), args={"hf_token": "secret"}))
        with pytest.raises(InputError, match=r"adapter_config\.json"):
            load_engine("vllm", EngineConfig(str(model), args={"lora": str(model)}))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"model": "/no/such/folder"}, "no folder"),
            ({"max_model_len": 20000}, "context of 16384 tokens, but prompt and answer need 20000"),
            ({"replicas": 0}, "`replicas` is 0: it must be at least 1"),
            ({"args": {"tensor_parallel_size": "two"}}, "tensor_parallel_size='two' is not a whole number"),
        ],
    )
    def test_bad_configurations_are_refused_before_a_server_starts(
        self, model: Path, change: dict[str, Any], message: str
    ) -> None:
        assert re.search(message, failure(model, change))

    @pytest.mark.slow
    def test_what_the_server_refuses_is_one_line(self, model: Path) -> None:
        """All at once: each server reads its arguments for seconds before it complains."""
        changes: list[dict[str, Any]] = [
            {"max_model_len": 20000},
            {"dtype": "int3"},
            {"max_num_seqs": "many"},
        ]
        with ThreadPoolExecutor(len(changes)) as pool:
            said = list(pool.map(lambda args: failure(model, {"args": args}), changes))
        for word, text in zip(("16384", "int3", "many"), said, strict=True):
            assert word in text
        assert not descendants()


def failure(model: Path, change: dict[str, Any]) -> str:
    """The one line of a start that is refused."""

    async def start() -> None:
        async with load_engine("vllm", EngineConfig(**{"model": str(model), **change})):
            pass

    with pytest.raises(InputError) as caught:
        asyncio.run(start())
    assert "\n" not in str(caught.value)
    return str(caught.value)
