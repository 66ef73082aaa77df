"""What the transformers engine is made from: arguments, a model's folder, a device; and the identity that follows."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import small_models
from transformers_kit import LENGTHS, engine, prompt, together, use

from reasonrank_pyserini.engines import Engine, EngineConfig, load_engine
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.types import Completion, Sampling


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"batchsize": 4}, "did you mean 'batch_size'"),
        ({"batch_size": 0}, "batch_size=0: it must be a whole number from 1 up"),
        ({"batch_size": "many"}, "whole number"),
        ({"batch_tokens": True}, "whole number"),
        ({"dtype": "float8"}, "unknown dtype 'float8'"),
        ({"dtype": 16}, "must be a word"),
        ({"trust_remote_code": True}, "unknown engine argument 'trust_remote_code'"),
    ],
)
def test_bad_arguments_are_one_line_before_anything_is_loaded(args: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        engine("nowhere/at-all", **args)


def test_what_belongs_to_the_openai_engine_is_refused() -> None:
    with pytest.raises(
        InputError, match="`base_urls` belongs to engine openai, not transformers: use `engine` openai"
    ):
        load_engine("transformers", EngineConfig("x/y", base_urls=("http://localhost:1",)))
    with pytest.raises(InputError, match="`api` chat goes with `engine` openai"):
        load_engine("transformers", EngineConfig("x/y", api="chat"))


def spoil(folder: Path, what: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    weights = folder / "model.safetensors"
    if what == "no config":
        (folder / "config.json").unlink()
    elif what == "config no JSON":
        (folder / "config.json").write_text("{")
    elif what == "no weights":
        weights.unlink()
    elif what == "cut weights":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif what == "other shape":
        deeper = {"num_hidden_layers": 3, "layer_types": ["full_attention"] * 3}
        (folder / "config.json").write_text(json.dumps({**config, **deeper}))
    elif what == "own code":
        remote = {"model_type": "mymodel", "auto_map": {"AutoModelForCausalLM": "modeling_mine.Mine"}}
        (folder / "config.json").write_text(json.dumps({**config, **remote}))
        (folder / "modeling_mine.py").write_text("raise SystemExit('this code has been run')\n")
    elif what == "no tokenizer":
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no config", "has no config.json"),
        ("config no JSON", "config.json.* JSON"),
        ("no weights", "has no weights"),
        ("cut weights", "cannot be loaded"),
        ("other shape", "lack 12 tensors"),
        ("own code", "code that comes with a model is never run"),
        ("no tokenizer", "has no tokenizer"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_one_line(
    tiny_model: Path, tmp_path: Path, what: str, words: str
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    spoil(model, what)
    with pytest.raises(InputError, match=words) as caught:
        use(model, lambda started: asyncio.sleep(0))
    assert "\n" not in str(caught.value)


def test_a_model_without_a_key_value_cache_is_refused_in_one_line(tmp_path: Path) -> None:
    model = small_models.build_architecture(tmp_path / "Mamba", "Mamba")
    with pytest.raises(InputError, match="plain key-value cache: use `engine` vllm"):
        use(model, lambda started: asyncio.sleep(0))


def test_a_device_that_is_not_there_is_one_line(tiny_model: Path) -> None:
    for device in ("cuda:99", "toaster"):
        with pytest.raises(InputError, match=f"device '{device}'"):
            use(tiny_model, lambda started: asyncio.sleep(0), device=device)


def test_an_adapter_needs_peft(tiny_model: Path, tmp_path: Path) -> None:
    import importlib.util

    words = (
        "there is no adapter"
        if importlib.util.find_spec("peft")
        else "needs the package 'peft'.*pip install peft"
    )
    with pytest.raises(InputError, match=words):
        use(tiny_model, lambda started: asyncio.sleep(0), lora=str(tiny_model))


def test_half_precision_runs_on_a_cpu(tiny_model: Path) -> None:
    async def work(started: Engine) -> list[Completion]:
        return await together(started, [prompt(i, n) for i, n in enumerate(LENGTHS)], Sampling(max_tokens=4))

    assert [item.completion_tokens for item in use(tiny_model, work, dtype="bfloat16", device="cpu")] == [
        4
    ] * 7


def test_the_identity_follows_weights_and_dtype_not_path_and_batch(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    copy = shutil.copytree(tiny_model, tmp_path / "elsewhere")
    plain = dict(engine(tiny_model, device="cpu").identity)
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["engine"], plain["dtype"]) == ("transformers", "float32")
    assert engine(copy, device="cpu", batch_size=3).identity == plain
    assert engine(tiny_model, device="cpu", dtype="bfloat16").identity != plain
    network = AutoModelForCausalLM.from_pretrained(copy)
    with torch.no_grad():
        network.model.norm.weight[0] += 1
    network.save_pretrained(copy)
    assert engine(copy, device="cpu").identity != plain

    async def work(started: Engine) -> dict[str, Any]:
        return dict(started.identity)

    assert use(tiny_model, work, device="cpu") == plain


def test_nothing_is_printed(tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def work(started: Engine) -> Completion:
        return await started.complete(prompt(0, 9), Sampling(max_tokens=4))

    use(tiny_model, work)
    assert capfd.readouterr() == ("", "")
