"""What the vllm engine refuses before it starts: arguments, values and models, each in one line."""

from __future__ import annotations

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

    def test_a_value_of_the_wrong_type(self, model: Path) -> None:
        with pytest.raises(InputError, match="max_num_seqs='many': needs a value of type int"):
            load_engine("vllm", EngineConfig(str(model), args={"max_num_seqs": "many"}))

    def test_what_has_its_own_option_or_belongs_to_another_engine(self, model: Path) -> None:
        with pytest.raises(InputError, match="use `model`"):
            load_engine("vllm", EngineConfig(str(model), args={"model": "other"}))
        with pytest.raises(InputError, match="`engine` openai"):
            load_engine("vllm", EngineConfig(str(model), base_urls=("http://127.0.0.1:1/v1",)))
        with pytest.raises(InputError, match=r"adapter_config\.json"):
            load_engine("vllm", EngineConfig(str(model), args={"lora": str(model)}))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"model": "/no/such/folder"}, "no folder"),
            ({"max_model_len": 20000}, "context of 16384 tokens, but prompt and answer need 20000"),
            ({"args": {"max_model_len": 20000}}, "16384"),
            ({"args": {"dtype": "int3"}}, "int3"),
            ({"args": {"kv_cache_dtype": "int3"}}, "int3"),
        ],
    )
    def test_bad_configurations_are_one_line(self, model: Path, change: dict[str, Any], message: str) -> None:
        engine = load_engine("vllm", EngineConfig(**{"model": str(model), **change}))
        with pytest.raises(InputError, match=message) as caught:
            _ = engine.limits
        assert "\n" not in str(caught.value)
        assert not descendants()
