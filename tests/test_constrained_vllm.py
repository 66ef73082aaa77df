"""The logits processor that a vLLM server loads, driven by hand through both of vLLM's interfaces: what V2 reads off a
GPU is here a tensor of the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from vllm_kit import NEEDS_VLLM

import reasonrank_pyserini
from reasonrank_pyserini.engines.vllm.vllm_engine import PERMUTATION
from reasonrank_pyserini.models.identity import load_tokenizer
from reasonrank_pyserini.types import Permutation

pytestmark = NEEDS_VLLM
PROMPT = 3
ANSWER = "[2] > [1]</answer>"
FOLDER = Path(reasonrank_pyserini.__file__).parent / "engines" / "vllm" / "on_server"


@pytest.fixture
def processor_class(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class as a server finds it: by name, on its path."""
    monkeypatch.syspath_prepend(str(FOLDER))
    from reasonrank_permutation import PermutationProcessor

    return PermutationProcessor


@pytest.fixture
def config(tiny_tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import vllm.tokenizers

    monkeypatch.setattr(
        vllm.tokenizers, "cached_tokenizer_from_config", lambda model: load_tokenizer(model.tokenizer)
    )
    model = SimpleNamespace(tokenizer=str(tiny_tokenizer), tokenizer_revision=None, logits_processors=None)
    return SimpleNamespace(model_config=model, speculative_config=None, use_v2_model_runner=True)


def parameters(asked: Permutation | None) -> Any:
    words = None if asked is None else {PERMUTATION: json.dumps(asdict(asked))}
    return SimpleNamespace(extra_args=words, all_stop_token_ids={0})


def possible(tokenizer: Any, row: Any) -> set[str]:
    return {tokenizer.decode([id]) for id in (row > float("-inf")).nonzero().flatten().tolist()}


def test_v2_holds_the_rows_that_ask_to_it(config: Any, processor_class: Any) -> None:
    """A request in slot 2 on row 0, a free one in slot 1 on row 1; slot 2 is then used again."""
    import torch

    tokenizer = load_tokenizer(config.model_config.tokenizer)
    ids = tokenizer.encode(ANSWER)
    tokens = torch.zeros((4, PROMPT + len(ids)), dtype=torch.int32)
    tokens[2, PROMPT:] = torch.tensor(ids)
    states = SimpleNamespace(
        all_token_ids=SimpleNamespace(gpu=tokens),
        prompt_len=SimpleNamespace(np=torch.full((4,), PROMPT).numpy()),
    )
    processor = processor_class(config, states)
    assert processor.add_request(2, parameters(Permutation(2, 2))) is True
    assert processor.add_request(1, parameters(None)) is False

    def step(written: int) -> Any:
        slots = torch.tensor([2, 1])
        ends = torch.tensor([PROMPT + written, PROMPT + written])
        layout = SimpleNamespace(idx_mapping_np=slots.numpy(), expanded_idx_mapping=slots, pos=ends - 1)
        return processor.apply(torch.zeros(2, len(tokenizer)), layout)

    for written, id in enumerate(ids):
        logits = step(written)
        assert logits[0, id] == 0
        assert not logits[1].any()
    assert possible(tokenizer, step(len(ids))[0]) == {tokenizer.decode([0])}
    assert processor.add_request(2, parameters(None)) is False
    assert not step(0).any()


def test_v1_holds_a_request_to_it(config: Any, processor_class: Any) -> None:
    import torch

    tokenizer = load_tokenizer(config.model_config.tokenizer)
    processor = processor_class(config, torch.device("cpu"), False)
    process = processor.new_req_logits_processor(parameters(Permutation(2, 1)))
    written = tokenizer.encode("[2")
    assert possible(tokenizer, process(written, torch.zeros(len(tokenizer)))) == {"]"}
    assert processor.new_req_logits_processor(parameters(None)) is None
    assert not processor.is_argmax_invariant()


def test_a_request_that_cannot_be_read_is_refused(processor_class: Any) -> None:
    for text in ("no json", "{}", '{"passages": 2, "count": 3, "answer": "tagged", "written": ""}', "3"):
        with pytest.raises(ValueError, match="cannot be"):
            processor_class.validate_params(SimpleNamespace(extra_args={"reasonrank_permutation": text}))
    processor_class.validate_params(parameters(Permutation(3, 3)))
    processor_class.validate_params(parameters(None))


def test_it_needs_nothing_of_the_package() -> None:
    """The server may run in an environment that has vLLM and not this package."""
    code = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import reasonrank_permutation; "
        "print([name for name in sys.modules if name.startswith('reasonrank_pyserini')])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
