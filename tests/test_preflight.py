"""The preflight: what a machine cannot do with a model, and what is doubtful, before anything is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.models.machine import Gpu, MachineFacts
from reasonrank_pyserini.models.preflight import (
    Findings,
    LoadRequest,
    ModelFacts,
    judge_machine,
    model_facts,
    preflight,
)
from reasonrank_pyserini.models.profiles import shipped_profile

GB = 10**9
SEVEN = ModelFacts("m", here=True, weights_bytes=15 * GB, kv_bytes_per_token=57_344, context=32768)
A100 = Gpu("A100", 80 * GB, 80 * GB, (8, 0))
T4 = Gpu("T4", 16 * GB, 16 * GB, (7, 5))
SERVER = MachineFacts(memory=100 * GB, memory_free=90 * GB, disk_free=100 * GB, gpus=(A100,))
LAPTOP = MachineFacts(memory=16 * GB, memory_free=10 * GB, disk_free=100 * GB)
VLLM, LOCAL = LoadRequest("vllm", 14000), LoadRequest("transformers", 14000)


def test_all_is_well() -> None:
    assert judge_machine(SERVER, SEVEN, VLLM) == Findings()
    assert judge_machine(SERVER, SEVEN, LOCAL) == Findings()


@pytest.mark.parametrize(
    ("machine", "model", "plan", "words"),
    [
        (replace(SERVER, offline=True), replace(SEVEN, here=False), VLLM, "HF_HUB_OFFLINE is set: unset it"),
        (replace(SERVER, disk_free=14 * GB), replace(SEVEN, here=False), VLLM,
         "a download of 15.0 GB, .* has 14.0 GB free: set HF_HOME"),
        (SERVER, replace(SEVEN, context=4096), VLLM, "takes 4096 tokens, 14000 are needed: lower `window`"),
        # 65 GB of weights and 14,000 x 262,144 B = 3.7 GB of cache do not go into 24 GB
        (replace(SERVER, gpus=(replace(A100, memory=24 * GB),) * 2),
         replace(SEVEN, weights_bytes=65 * GB, kv_bytes_per_token=262_144), VLLM,
         "needs 65.0 GB and 3.7 GB .* has 24.0 GB: .*tensor_parallel_size=2"),
        (SERVER, SEVEN, replace(VLLM, cards=4), "4 GPUs are requested, this machine has 1"),
        (replace(SERVER, gpus=(replace(T4, memory=32 * GB),)), SEVEN, VLLM,
         "T4 has no bfloat16: add `engine_args` dtype=float16"),
        # float32 on a CPU: 2 x 15 GB
        (LAPTOP, SEVEN, LOCAL, "needs 30.8 GB of memory, this machine has 16.0 GB and no GPU: "
         "`engine_args` dtype=bfloat16 halves it"),
        (LAPTOP, SEVEN, replace(LOCAL, dtype="float32"), "dtype=bfloat16 halves it"),
        (SERVER, replace(SEVEN, weights_bytes=60 * GB), replace(LOCAL, device="cpu"), "needs 120.8 GB of memory"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_a_problem(
    machine: MachineFacts, model: ModelFacts, plan: LoadRequest, words: str
) -> None:
    import re

    problems = judge_machine(machine, model, plan).problems
    assert len(problems) == 1
    assert re.search(words, problems[0])
    assert "\n" not in problems[0]


@pytest.mark.parametrize(
    ("machine", "model", "plan", "words"),
    [
        (SERVER, replace(SEVEN, here=False), VLLM, "will be downloaded to .*: 15.0 GB"),
        (SERVER, ModelFacts("m", here=False), VLLM, "its size is not known"),
        (
            replace(SERVER, gpus=(replace(A100, free=10 * GB),)),
            SEVEN,
            VLLM,
            "10.0 GB of 80.0 GB free, 15.8 GB",
        ),
        (replace(SERVER, gpus=(replace(T4, memory=32 * GB, free=32 * GB),)), SEVEN, LOCAL, "float16 is used"),
        (
            replace(LAPTOP, memory=64 * GB, memory_free=64 * GB),
            SEVEN,
            LOCAL,
            "on a CPU takes minutes a window",
        ),
        (
            replace(LAPTOP, memory_free=5 * GB),
            replace(SEVEN, weights_bytes=GB * 5 // 2),
            LOCAL,
            "5.8 GB is needed",
        ),
    ],
)
def test_what_is_doubtful_is_a_note(
    machine: MachineFacts, model: ModelFacts, plan: LoadRequest, words: str
) -> None:
    import re

    found = judge_machine(machine, model, plan)
    assert found.problems == ()
    assert any(re.search(words, note) for note in found.notes)


def test_what_avoids_the_problem_is_accepted() -> None:
    two = replace(SERVER, gpus=(replace(A100, memory=48 * GB, free=48 * GB),) * 2)
    large = replace(SEVEN, weights_bytes=65 * GB, kv_bytes_per_token=262_144)
    assert judge_machine(two, large, replace(VLLM, cards=2)).problems == ()
    old = replace(SERVER, gpus=(replace(T4, memory=32 * GB, free=32 * GB),))
    assert judge_machine(old, SEVEN, replace(VLLM, dtype="float16")).problems == ()
    assert judge_machine(old, replace(SEVEN, prefers_bfloat16=False), VLLM).problems == ()
    roomy = replace(LAPTOP, memory=20 * GB)
    assert judge_machine(roomy, SEVEN, replace(LOCAL, dtype="bfloat16")).problems == ()
    assert judge_machine(roomy, replace(SEVEN, quantised=True), LOCAL).problems == ()


def test_an_apple_chip_works_in_main_memory_at_16_bits() -> None:
    found = judge_machine(replace(LAPTOP, memory=24 * GB, memory_free=20 * GB, unified=True), SEVEN, LOCAL)
    assert found == Findings()
    assert "`engine_args` dtype" not in judge_machine(replace(LAPTOP, unified=True), SEVEN, LOCAL).notes[0]


def test_unknown_facts_are_not_a_problem() -> None:
    nothing = MachineFacts(None, None, None)
    assert judge_machine(nothing, ModelFacts("m", here=False), LOCAL).problems == ()
    assert judge_machine(nothing, SEVEN, VLLM).problems == ()


def test_the_facts_of_a_folder_are_read_from_its_files(tiny_model: Path, tmp_path: Path) -> None:
    facts = model_facts(str(tiny_model), None, shipped_profile("reasonrank-7b"))
    assert facts.here
    assert facts.weights_bytes == (tiny_model / "model.safetensors").stat().st_size
    assert (
        facts.kv_bytes_per_token == 2 * 2 * 2 * (64 // 4) * 2
    )  # keys and values, layers, heads, width, 16 bits
    assert (facts.width, facts.context, facts.quantised) == (4, 16384, False)
    absent = model_facts("o/not-cached", None, shipped_profile("reasonrank-7b"))
    assert (absent.here, absent.weights_bytes, absent.kv_bytes_per_token) == (False, 15_231_233_024, 57_344)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"half")
    assert not model_facts(str(tmp_path), None, shipped_profile("generic")).here


def test_preflight_of_a_small_model_passes_and_of_nothing_says_so(tiny_model: Path) -> None:
    generic = shipped_profile("generic")
    assert preflight(str(tiny_model), None, "transformers", generic, 4096, {"device": "cpu"}) == ()
    assert preflight("any served name", None, "openai", generic, 4096) == ()
    with pytest.raises(InputError, match="takes 16384 tokens, 20000 are needed"):
        preflight(str(tiny_model), None, "transformers", generic, 20000, {"device": "cpu"})
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        preflight("o/not-cached", None, "vllm", generic, 4096)
    with pytest.raises(InputError, match="tensor_parallel_size=two: it must be a whole number"):
        preflight(str(tiny_model), None, "vllm", generic, 4096, {"tensor_parallel_size": "two"})
    with pytest.raises(InputError, match="there is no folder"):
        preflight("./nothing", None, "vllm", generic, 4096)
