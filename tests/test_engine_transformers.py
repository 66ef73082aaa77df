from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import small_models

from reasonrank_pyserini.engines import Engine, EngineConfig, load_engine
from reasonrank_pyserini.errors import EngineDiedError, EngineError, InputError, PromptTooLongError
from reasonrank_pyserini.types import Completion, Prompt, Sampling

Work = Callable[[Engine], Awaitable[Any]]


def prompt(number: int, length: int) -> Prompt:
    """Token ids of that many ordinary tokens, different for each number."""
    return Prompt(tuple(5 + (number * 7919 + place * 104_729) % 290 for place in range(length)))


LENGTHS = (3, 190, 41, 77, 12, 150, 64)


def engine(model: Path | str, **args: Any) -> Engine:
    return load_engine("transformers", EngineConfig(str(model), args=args))


def use(model: Path | str, work: Work, **args: Any) -> Any:
    """What `work` gives on a started engine."""

    async def main() -> Any:
        async with engine(model, **args) as started:
            return await work(started)

    return asyncio.run(asyncio.wait_for(main(), 120))


async def together(started: Engine, prompts: list[Prompt], sampling: Sampling) -> list[Completion]:
    return list(await asyncio.gather(*(started.complete(item, sampling) for item in prompts)))


def texts(completions: list[Completion]) -> list[str]:
    return [completion.text for completion in completions]


@pytest.fixture(scope="module")
def alone(tiny_model: Path) -> list[Completion]:
    """Each of the seven prompts completed greedily with nobody beside it."""

    async def work(started: Engine) -> list[Completion]:
        sampling = Sampling(max_tokens=24)
        return [await started.complete(prompt(i, n), sampling) for i, n in enumerate(LENGTHS)]

    found: list[Completion] = use(tiny_model, work)
    return found


def reference(model: Path, item: Prompt, new: int) -> str:
    """The text that transformers' own greedy generation gives for one prompt."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    ids = torch.tensor([item.token_ids])
    made = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False)
    text: str = AutoTokenizer.from_pretrained(model).decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    return text


def test_it_is_an_engine_by_name(tiny_model: Path) -> None:
    made = engine(tiny_model, batch_size=4, device="cpu")
    assert isinstance(made, Engine)
    assert made.limits.requests == 2 * 4


def test_greedy_text_is_that_of_generate(tiny_model: Path, alone: list[Completion]) -> None:
    for i in (0, 1, 3):
        assert alone[i].text == reference(tiny_model, prompt(i, LENGTHS[i]), 24)
        assert (alone[i].prompt_tokens, alone[i].completion_tokens) == (LENGTHS[i], 24)
        assert alone[i].finish_reason == "length"


@pytest.mark.parametrize("batch_size", [2, 7])
def test_greedy_text_does_not_depend_on_the_batch(
    tiny_model: Path, alone: list[Completion], batch_size: int
) -> None:
    async def work(started: Engine) -> list[Completion]:
        return await together(started, [prompt(i, n) for i, n in enumerate(LENGTHS)], Sampling(max_tokens=24))

    assert texts(use(tiny_model, work, batch_size=batch_size)) == texts(alone)


def test_greedy_text_does_not_depend_on_who_joins_and_leaves(
    tiny_model: Path, alone: list[Completion]
) -> None:
    async def work(started: Engine) -> list[Completion]:
        async def late(i: int) -> Completion:
            await asyncio.sleep(0.02 * i)
            return await started.complete(prompt(i, LENGTHS[i]), Sampling(max_tokens=24))

        others = [
            asyncio.create_task(started.complete(prompt(50 + i, 30 + 9 * i), Sampling(max_tokens=5 + 8 * i)))
            for i in range(6)
        ]
        found = await asyncio.gather(*(late(i) for i in range(len(LENGTHS))))
        lengths = [(await other).completion_tokens for other in others]
        assert lengths == [5 + 8 * i for i in range(6)]
        return list(found)

    assert texts(use(tiny_model, work, batch_size=5)) == texts(alone)


@pytest.mark.parametrize("budget", [1, 300])
def test_the_token_budget_splits_a_batch_and_changes_nothing(
    tiny_model: Path, alone: list[Completion], budget: int
) -> None:
    async def work(started: Engine) -> list[Completion]:
        return await together(started, [prompt(i, n) for i, n in enumerate(LENGTHS)], Sampling(max_tokens=24))

    assert texts(use(tiny_model, work, batch_tokens=budget)) == texts(alone)


@pytest.mark.parametrize("name", ["Mistral", "Qwen3", "Gemma2"])
def test_other_architectures_give_the_text_of_generate(tmp_path: Path, name: str) -> None:
    model = small_models.build_architecture(tmp_path / name, name)
    prompts = [prompt(i, n) for i, n in enumerate((40, 7, 23))]

    async def work(started: Engine) -> list[Completion]:
        return await together(started, prompts, Sampling(max_tokens=30))

    assert texts(use(model, work)) == [reference(model, item, 30) for item in prompts]


def test_a_model_without_a_key_value_cache_is_refused_in_one_line(tmp_path: Path) -> None:
    model = small_models.build_architecture(tmp_path / "Mamba", "Mamba")
    with pytest.raises(InputError, match="plain key-value cache: use --engine vllm"):
        use(model, lambda started: asyncio.sleep(0))


def test_a_seed_gives_its_text_whatever_runs_beside_it(tiny_model: Path) -> None:
    def sampling(seed: int) -> Sampling:
        return Sampling(temperature=0.9, top_p=0.95, top_k=40, seed=seed, max_tokens=20)

    async def work(started: Engine) -> None:
        first = await started.complete(prompt(1, 50), sampling(7))
        crowd = [started.complete(prompt(9 + i, 20 + 30 * i), sampling(i)) for i in range(4)]
        again, other, *_ = await asyncio.gather(
            started.complete(prompt(1, 50), sampling(7)), started.complete(prompt(1, 50), sampling(8)), *crowd
        )
        assert again.text == first.text
        assert other.text != first.text
        unseeded = await together(started, [prompt(1, 50)] * 2, Sampling(temperature=1.5, max_tokens=20))
        assert unseeded[0].text != unseeded[1].text

    use(tiny_model, work)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, top_k=1, max_tokens=24),
        Sampling(temperature=1.0, top_p=1e-9, max_tokens=24),
        Sampling(temperature=1.0, min_p=1.0, max_tokens=24),
        Sampling(temperature=1e-6, max_tokens=24),
        Sampling(temperature=1e-4, max_tokens=24, seed=-(2**70)),
    ],
)
def test_the_narrowest_sampling_is_greedy(
    tiny_model: Path, alone: list[Completion], sampling: Sampling
) -> None:
    async def work(started: Engine) -> Completion:
        return await started.complete(prompt(3, LENGTHS[3]), sampling)

    assert use(tiny_model, work).text == alone[3].text


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=1.0), (0.5, 0.3, 0.15, 0.05)),
        (Sampling(temperature=0.5), (0.25 / 0.365, 0.09 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365)),
        (Sampling(temperature=1.0, top_k=2), (0.5 / 0.8, 0.3 / 0.8, 0, 0)),
        (Sampling(temperature=1.0, top_p=0.79), (0.5 / 0.8, 0.3 / 0.8, 0, 0)),
        (Sampling(temperature=1.0, top_p=0.81), (0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0)),
        (Sampling(temperature=1.0, min_p=0.29), (0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0)),
        (Sampling(temperature=1.0, top_k=3, top_p=0.6), (0.5 / 0.8, 0.3 / 0.8, 0, 0)),
    ],
)
def test_tokens_are_drawn_with_the_filtered_probabilities(
    sampling: Sampling, expected: tuple[float, ...]
) -> None:
    import torch

    from reasonrank_pyserini.engines._transformers_decoding import draw

    logits = torch.log(torch.tensor([0.3, 0.05, 0.5, 0.15]))  # ranks: 2, 0, 3, 1
    generator = torch.Generator().manual_seed(1)
    drawn = [draw(logits, sampling, generator) for _ in range(2000)]
    for token, share in zip((2, 0, 3, 1), expected, strict=True):
        assert drawn.count(token) / 2000 == pytest.approx(share, abs=0.04)
        assert (drawn.count(token) == 0) == (share == 0)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says, after `x`: a </think> b <|im_start|> c <|im_end|>."""
    follows = {
        "x": "a",
        "a": "</think>",
        "</think>": "b",
        "b": "<|im_start|>",
        "<|im_start|>": "c",
        "c": "<|im_end|>",
    }
    return small_models.build_chain(tmp_path_factory.mktemp("chain"), follows, added=("</think>",))


def ids_of(model: Path, text: str) -> Prompt:
    from transformers import AutoTokenizer

    return Prompt(tuple(AutoTokenizer.from_pretrained(model).encode(text, add_special_tokens=False)))


def test_it_stops_at_the_end_of_turn_and_keeps_added_tokens(chain: Path) -> None:
    async def work(started: Engine) -> list[Completion]:
        return [
            await started.complete(ids_of(chain, "x"), Sampling(max_tokens=50)),
            await started.complete(ids_of(chain, "x"), Sampling(max_tokens=6)),
            await started.complete(ids_of(chain, "x"), Sampling(max_tokens=2)),
            await started.complete(ids_of(chain, "c"), Sampling(max_tokens=2)),
        ]

    whole, exact, cut, empty = use(chain, work)
    # a </think> b <|im_start|> c, then <|im_end|>: six tokens, special ones are not shown
    assert (whole.text, whole.completion_tokens, whole.finish_reason) == ("a</think>bc", 6, "stop")
    assert (exact.text, exact.finish_reason) == ("a</think>bc", "stop")
    assert (cut.text, cut.completion_tokens, cut.finish_reason) == ("a</think>", 2, "length")
    assert (empty.text, empty.completion_tokens, empty.finish_reason) == ("", 1, "stop")


def test_every_stop_id_of_the_generation_config_counts(chain: Path, tmp_path: Path) -> None:
    model = shutil.copytree(chain, tmp_path / "model")
    stops = ids_of(chain, "b").token_ids
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, *(stops or ())]}))

    async def work(started: Engine) -> Completion:
        return await started.complete(ids_of(chain, "x"), Sampling(max_tokens=50))

    found = use(model, work)
    assert (found.text, found.finish_reason) == ("a</think>", "stop")


@pytest.mark.parametrize(
    ("item", "sampling", "kind", "words"),
    [
        (prompt(0, 10), Sampling(max_tokens=16384 - 9), PromptTooLongError, "exceed the context of 16384"),
        (Prompt((5, 9999)), Sampling(max_tokens=1), EngineError, "token id 9999, the model has ids 0 to"),
        (Prompt((5, -1)), Sampling(max_tokens=1), EngineError, "token id -1"),
        (Prompt(()), Sampling(max_tokens=1), EngineError, "needs the prompt's token ids"),
        (Prompt(text="words"), Sampling(max_tokens=1), EngineError, "needs the prompt's token ids"),
        (prompt(0, 10), Sampling(max_tokens=0), EngineError, "at least 1"),
    ],
)
def test_a_request_that_cannot_work_is_refused(
    tiny_model: Path, item: Prompt, sampling: Sampling, kind: type[Exception], words: str
) -> None:
    async def work(started: Engine) -> None:
        with pytest.raises(kind, match=words):
            await started.complete(item, sampling)

    use(tiny_model, work)


def test_the_context_asked_for_is_kept(tiny_model: Path) -> None:
    async def work(started: Engine) -> None:
        assert (await started.complete(prompt(0, 10), Sampling(max_tokens=10))).completion_tokens == 10
        with pytest.raises(PromptTooLongError, match="context of 20"):
            await started.complete(prompt(0, 11), Sampling(max_tokens=10))

    async def main() -> None:
        async with load_engine("transformers", EngineConfig(str(tiny_model), max_model_len=20)) as started:
            await work(started)

    asyncio.run(main())
    with pytest.raises(InputError, match="context of 20000 tokens is asked for, the model has 16384"):
        use(tiny_model, work, max_model_len=20000)


def test_cancelling_a_call_leaves_the_others_alone(tiny_model: Path, alone: list[Completion]) -> None:
    async def work(started: Engine) -> list[Completion]:
        doomed = [asyncio.create_task(started.complete(prompt(30, 60), Sampling(max_tokens=16000)))]
        kept = [
            asyncio.create_task(started.complete(prompt(i, n), Sampling(max_tokens=24)))
            for i, n in enumerate(LENGTHS)
        ]
        doomed += [asyncio.create_task(started.complete(prompt(31, 60), Sampling(max_tokens=16000)))]
        await asyncio.sleep(0.1)
        for task in doomed:
            task.cancel()
        assert all(
            isinstance(gone, asyncio.CancelledError)
            for gone in await asyncio.gather(*doomed, return_exceptions=True)
        )
        return list(await asyncio.gather(*kept))

    assert texts(use(tiny_model, work, batch_size=3)) == texts(alone)


def test_a_batch_whose_rows_are_all_cancelled_makes_room_at_once(tiny_model: Path) -> None:
    async def work(started: Engine) -> None:
        doomed = [
            asyncio.create_task(started.complete(prompt(i, 9), Sampling(max_tokens=16000))) for i in range(2)
        ]
        await asyncio.sleep(0.1)
        for task in doomed:
            task.cancel()
        begun = time.monotonic()
        await started.complete(prompt(0, 9), Sampling(max_tokens=1))
        assert time.monotonic() - begun < 5  # 16,000 steps would take longer

    use(tiny_model, work, batch_size=2)


def test_leaving_ends_the_thread_and_cancels_what_is_not_done(tiny_model: Path) -> None:
    async def main() -> None:
        made = engine(tiny_model, batch_size=1)
        with pytest.raises(EngineDiedError, match="not running"):
            await made.complete(prompt(0, 9), Sampling(max_tokens=1))
        async with made as started:
            with pytest.raises(EngineError, match="already running"):
                await started.__aenter__()
            tasks = [
                asyncio.create_task(started.complete(prompt(i, 9), Sampling(max_tokens=16000)))
                for i in (0, 1)
            ]
            await asyncio.sleep(0.1)
        gone = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(item, asyncio.CancelledError) for item in gone)
        assert "transformers-engine" not in {thread.name for thread in threading.enumerate()}
        with pytest.raises(EngineDiedError, match="not running"):
            await made.complete(prompt(0, 9), Sampling(max_tokens=1))
        async with made as started:
            assert (await started.complete(prompt(0, 9), Sampling(max_tokens=3))).completion_tokens == 3

    asyncio.run(asyncio.wait_for(main(), 60))


def test_the_event_loop_runs_on_while_it_generates(tiny_model: Path) -> None:
    async def work(started: Engine) -> int:
        task = asyncio.create_task(started.complete(prompt(0, 9), Sampling(max_tokens=300)))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert use(tiny_model, work) > 5


Forward = Callable[..., Any]


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], None]], None]:
    """Lets a check of the input ids run before each of the model's steps, where it can raise."""
    from transformers import Qwen2ForCausalLM

    real = Qwen2ForCausalLM.forward

    def install(check: Callable[[Any], None]) -> None:
        def checked(self: Any, **inputs: Any) -> Any:
            check(inputs["input_ids"])
            return real(self, **inputs)

        monkeypatch.setattr(Qwen2ForCausalLM, "forward", checked)

    return install


def test_out_of_memory_halves_the_batch_and_changes_nothing(
    tiny_model: Path, alone: list[Completion], forward: Any
) -> None:
    import torch

    refused: list[int] = []

    def check(ids: Any) -> None:
        if ids.shape[0] > 2:
            refused.append(ids.shape[0])
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")

    forward(check)

    async def work(started: Engine) -> list[Completion]:
        return await together(started, [prompt(i, n) for i, n in enumerate(LENGTHS)], Sampling(max_tokens=24))

    assert texts(use(tiny_model, work, batch_size=7)) == texts(alone)
    assert refused[0] == 7
    assert len(refused) <= 2  # 7 -> 3 -> 1


def test_a_prompt_for_which_memory_never_suffices_is_an_error_of_its_own(
    tiny_model: Path, forward: Any
) -> None:
    import torch

    def check(ids: Any) -> None:
        if ids.shape[1] >= 100:
            raise torch.OutOfMemoryError("CUDA out of memory")

    forward(check)

    async def work(started: Engine) -> list[Any]:
        calls = [
            started.complete(prompt(i, n), Sampling(max_tokens=8)) for i, n in enumerate((20, 100, 30, 120))
        ]
        return await asyncio.gather(*calls, return_exceptions=True)

    found = use(tiny_model, work)
    assert [type(item) for item in found] == [Completion, EngineError, Completion, EngineError]
    assert "out of memory with one request of 100 prompt tokens: lower --reasoning-tokens" in str(found[1])


def test_an_error_while_reading_a_prompt_fails_that_request_alone(tiny_model: Path, forward: Any) -> None:
    def check(ids: Any) -> None:
        if ids.shape[1] == 77:
            raise RuntimeError("a shape does not fit\nhere")

    forward(check)

    async def work(started: Engine) -> list[Any]:
        calls = [started.complete(prompt(i, n), Sampling(max_tokens=8)) for i, n in enumerate(LENGTHS)]
        return await asyncio.gather(*calls, return_exceptions=True)

    found = use(tiny_model, work)
    assert [type(item).__name__ for item in found] == ["Completion"] * 3 + ["EngineError"] + [
        "Completion"
    ] * 3
    assert "77 tokens: RuntimeError: a shape does not fit here" in str(found[3])


def test_an_error_in_a_step_reaches_every_row_and_the_next_batch_works(
    tiny_model: Path, forward: Any
) -> None:
    failures = iter([True])

    def check(ids: Any) -> None:
        if ids.shape == (3, 1) and next(failures, False):
            raise RuntimeError("boom")

    forward(check)

    async def work(started: Engine) -> None:
        calls = [started.complete(prompt(i, 9), Sampling(max_tokens=8)) for i in range(3)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [str(item).partition(": ")[2] for item in found] == ["RuntimeError: boom"] * 3
        again = await together(started, [prompt(i, 9) for i in range(3)], Sampling(max_tokens=8))
        assert [item.completion_tokens for item in again] == [8, 8, 8]

    use(tiny_model, work)


def test_a_lost_device_is_the_end_of_the_engine(tiny_model: Path, forward: Any) -> None:
    def check(ids: Any) -> None:
        if ids.shape[1] == 5:
            raise RuntimeError("CUDA error: device-side assert triggered")

    forward(check)

    async def work(started: Engine) -> None:
        calls = [
            started.complete(prompt(i, n), Sampling(max_tokens=2000)) for i, n in enumerate((9, 8, 5, 7))
        ]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(item) for item in found] == [EngineDiedError] * 4
        with pytest.raises(EngineDiedError, match="device-side assert"):
            await started.complete(prompt(0, 9), Sampling(max_tokens=1))

    use(tiny_model, work)


def test_weights_that_give_nan_are_an_error_and_no_text(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = shutil.copytree(tiny_model, tmp_path / "model")
    network = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        network.model.norm.weight.fill_(float("nan"))
    network.save_pretrained(model)

    async def work(started: Engine) -> None:
        for temperature in (0.0, 0.6):
            with pytest.raises(EngineError, match="NaN"):
                await started.complete(prompt(0, 9), Sampling(temperature=temperature, max_tokens=4))

    use(model, work)


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
    with pytest.raises(InputError, match="--base-url goes with --engine openai"):
        load_engine("transformers", EngineConfig("x/y", base_urls=("http://localhost:1",)))
    with pytest.raises(InputError, match="--api chat goes with --engine openai"):
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
        ("no tokenizer", "holds no tokenizer"),
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
