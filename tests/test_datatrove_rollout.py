"""The datatrove rollout of eval/reproduction, with a `generate` of datatrove's form; datatrove is not needed."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import tiny

from reasonrank_pyserini.prompts import STYLES, render

FILE = Path(__file__).parents[1] / "eval" / "reproduction" / "datatrove_rollout.py"


@pytest.fixture(scope="module")
def rollout() -> Iterator[ModuleType]:
    spec = spec_from_file_location("datatrove_rollout", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["datatrove_rollout"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["datatrove_rollout"]


class Runner:
    """Does with a rollout what datatrove does: opens the shared context, hands the document and a `generate`."""

    def __init__(self, rollout: ModuleType, folder: Path) -> None:
        from transformers import AutoTokenizer

        self.rollout, self.folder = rollout, tiny.build_tokenizer(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.payloads: list[dict[str, Any]] = []

    def run(self, document: Any, *answers: str) -> dict[str, Any]:
        """The rollout of a document where the model answers each prompt with the passages in reverse order, or
        with these answers first."""
        left = list(answers)

        async def generate(payload: dict[str, Any]) -> Any:
            self.payloads.append(payload)
            await asyncio.sleep(0)
            order = " > ".join(f"[{i}]" for i in range(self.prompt(payload).count("passage p"), 0, -1))
            text = left.pop(0) if left else f"<think> hm </think> <answer> {order} </answer>"
            usage = {"prompt_tokens": len(payload["prompt"]), "completion_tokens": 9}
            return SimpleNamespace(text=text, finish_reason="stop", usage=usage)

        with self.rollout.shared_context(str(self.folder)) as shared:
            return asyncio.run(self.rollout.rerank(document, generate, **shared))

    def prompt(self, payload: dict[str, Any]) -> str:
        return str(self.tokenizer.decode(payload["prompt"]))


def query(count: int) -> Any:
    records = [{"id": number, "text": f"passage p{number}"} for number in range(count)]
    return SimpleNamespace(id="q", text="what is meant?", metadata={"candidates": records})


@pytest.fixture
def runner(rollout: ModuleType, tmp_path: Path) -> Runner:
    return Runner(rollout, tmp_path)


def test_windows_slide_and_each_is_one_call(runner: Runner) -> None:
    found = runner.run(query(30))
    lower = [*range(10), *range(29, 9, -1)]
    upper = [*lower[19::-1], *lower[20:]]
    assert found["ranking"] == [str(number) for number in upper]
    assert found["statuses"] == ["CLEAN", "CLEAN"]
    assert len(runner.payloads) == 2


def test_the_prompt_is_the_published_one_and_every_sampling_field_is_sent(runner: Runner) -> None:
    from reasonrank_pyserini.types import Document

    runner.run(query(3))
    (payload,) = runner.payloads
    documents = [Document(str(number), f"passage p{number}") for number in range(3)]
    assert runner.prompt(payload) == render(
        STYLES["reasonrank"], runner.tokenizer, "what is meant?", documents
    )
    asked = {name: value for name, value in payload.items() if name not in ("prompt", "seed")}
    assert asked == {
        "max_tokens": 3172, "temperature": 0.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0,
    }  # fmt: skip
    assert isinstance(payload["seed"], int)


def test_a_missing_answer_is_asked_for_in_a_second_call(runner: Runner) -> None:
    found = runner.run(query(3), "<think> I am not sure", " [2] > [3] > [1] </answer>")
    assert found == {"ranking": ["1", "2", "0"], "statuses": ["CLEAN"]}
    first, second = runner.payloads
    assert second["prompt"][: len(first["prompt"])] == first["prompt"]
    assert re.search(r"I am not sure.*</think>\s*<answer>", runner.prompt(second), re.DOTALL)


def test_a_failure_of_datatrove_is_raised_as_it_is(runner: Runner) -> None:
    class InferenceError(Exception):
        pass

    async def generate(payload: dict[str, Any]) -> Any:
        raise InferenceError("the server is gone")

    with runner.rollout.shared_context(str(runner.folder)) as shared, pytest.raises(InferenceError):
        asyncio.run(runner.rollout.rerank(query(3), generate, **shared))
