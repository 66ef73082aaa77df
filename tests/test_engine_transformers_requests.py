"""A request to the transformers engine: when it is refused, where its text ends, and how it is given up."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_models
from transformers_kit import engine, forward, prompt, use

from reasonrank_pyserini.engines import Engine, EngineConfig, load_engine
from reasonrank_pyserini.engines.priority import ENGINE_PRIORITY, context_value
from reasonrank_pyserini.errors import EngineDiedError, EngineError, InputError, PromptTooLongError
from reasonrank_pyserini.types import Completion, Prompt, Sampling

__all__ = ["forward"]  # a fixture


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


def test_who_waits_is_served_in_the_gates_order(
    chain: Path, forward: Callable[[Callable[[Any], None]], None]
) -> None:
    """The first call's step waits until all have been asked."""
    asked, order, said = threading.Event(), [], ids_of(chain, "x")
    asked.set()
    forward(lambda ids: None if asked.wait(600) else pytest.fail("never asked"))

    async def work(started: Engine) -> None:
        async def one(place: int) -> None:
            with context_value(ENGINE_PRIORITY, place):
                await started.complete(said, Sampling(max_tokens=2))
            order.append(place)

        asked.clear()
        tasks = [asyncio.ensure_future(one(place)) for place in (0, 7, 3, 5, 3)]
        await asyncio.sleep(0)
        asked.set()
        await asyncio.gather(*tasks)

    use(chain, work, batch_size=1)
    assert order == [0, 3, 3, 5, 7]


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
    with pytest.raises(InputError, match="context of 20000 tokens is requested, the model has 16384"):
        use(tiny_model, work, max_model_len=20000)


def test_a_batch_whose_rows_are_all_cancelled_makes_room_at_once(
    tiny_model: Path, forward: Callable[[Callable[[Any], None]], None]
) -> None:
    steps = 0

    def count(ids: Any) -> None:
        nonlocal steps
        steps += 1

    forward(count)

    async def work(started: Engine) -> None:
        doomed = [
            asyncio.create_task(started.complete(prompt(i, 9), Sampling(max_tokens=16000))) for i in range(2)
        ]
        while steps < 10:
            await asyncio.sleep(0.01)
        for task in doomed:
            task.cancel()
        await started.complete(prompt(0, 9), Sampling(max_tokens=1))
        assert steps < 8000  # of 16,000 that were asked for

    use(tiny_model, work, batch_size=2)


def test_leaving_ends_the_thread_and_cancels_what_is_not_done(
    tiny_model: Path, forward: Callable[[Callable[[Any], None]], None]
) -> None:
    steps: list[int] = []
    forward(lambda ids: steps.append(1))

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
            loading = len(steps)
            while len(steps) == loading:
                await asyncio.sleep(0.01)
        gone = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(item, asyncio.CancelledError) for item in gone)
        assert "transformers-engine" not in {thread.name for thread in threading.enumerate()}
        with pytest.raises(EngineDiedError, match="not running"):
            await made.complete(prompt(0, 9), Sampling(max_tokens=1))
        async with made as started:
            assert (await started.complete(prompt(0, 9), Sampling(max_tokens=3))).completion_tokens == 3

    asyncio.run(asyncio.wait_for(main(), 600))


def test_the_event_loop_runs_on_while_it_generates(
    tiny_model: Path, forward: Callable[[Callable[[Any], None]], None]
) -> None:
    """Each of the model's steps waits until the loop has answered to it."""
    loaded, stepped, answered = threading.Event(), threading.Event(), threading.Event()

    def step(ids: Any) -> None:
        if not loaded.is_set():
            return
        answered.clear()
        stepped.set()
        assert answered.wait(600)

    forward(step)

    async def work(started: Engine) -> int:
        loaded.set()
        task = asyncio.create_task(started.complete(prompt(0, 9), Sampling(max_tokens=30)))
        answers = 0
        while not task.done():
            if stepped.is_set():
                stepped.clear()
                answered.set()
                answers += 1
            await asyncio.sleep(0.001)
        assert (await task).completion_tokens == 30
        return answers

    assert use(tiny_model, work) == 30
