"""Servers that an engine starts: several replicas, restarts, starts that fail, and how all of it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ends_with_parent import watch
from fake_vllm_server import FakeVLLM
from local_servers_kit import ANSWER, answers, engine_of, fake, prompt, run, until
from vllm_kit import gone

from reasonrank_pyserini.engines import engine_details
from reasonrank_pyserini.errors import (
    EngineDiedError,
    EngineError,
    InputError,
    ServersGoneError,
)

__all__ = ["fake"]  # fixture


def test_replicas_share_the_work_and_give_the_same_answers(fake: FakeVLLM, tiny_model: Path) -> None:
    async def texts(replicas: int) -> list[str]:
        async with engine_of(fake, tiny_model, replicas) as engine:
            await until(lambda: len(engine_details(engine)["servers"]) == replicas)
            assert engine.limits.requests == replicas * (256 + 64)
            return [answer.text for answer in await answers(engine, range(40))]

    alone = run(texts(1))
    assert run(texts(2)) == alone
    assert len(fake.events("asked", server=2)) + len(fake.events("asked", server=3)) == 40
    assert len(fake.events("asked", server=3)) > 10
    assert gone(fake.pids())


def test_work_begins_with_the_first_server_that_is_ready(fake: FakeVLLM, tiny_model: Path) -> None:
    async def late() -> None:
        fake.on("unready-2")
        async with engine_of(fake, tiny_model, 2) as engine:
            assert len(await answers(engine, range(4))) == 4
            assert len(fake.events("ready")) == 1
            fake.off("unready-2")
            await until(lambda: len(engine_details(engine)["servers"]) == 2)
            await answers(engine, range(10))
            assert {event["server"] for event in fake.events("asked")} == {1, 2}

    run(late())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_dies_is_started_again_and_no_call_is_lost(
    fake: FakeVLLM, tiny_model: Path, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    async def killed() -> list[str]:
        async with engine_of(fake, tiny_model, log_folder=fake.folder / "logs") as engine:
            before = await answers(engine, range(3))
            fake.on("hold")
            calls = asyncio.create_task(answers(engine, range(10)))
            await until(lambda: len(fake.events("asked")) == 13)
            fake.off("hold") if number == signal.SIGTERM else None
            os.kill(fake.pids()[0], number)
            await until(lambda: len(fake.events("ready")) == 2)
            (fake.folder / "hold").unlink(missing_ok=True)
            after = await calls
            assert engine_details(engine)["restarts"] == 1
            return [answer.text for answer in before] + [answer.text for answer in after[:3]]

    texts = run(killed())
    assert texts[:3] == texts[3:]
    assert len(fake.events("asked", server=2)) <= 10, "only what was in flight is asked again"
    assert "vLLM server 1 died and is started again" in caplog.text
    assert gone(fake.pids())


def test_the_others_go_on_while_a_server_is_away(fake: FakeVLLM, tiny_model: Path) -> None:
    async def one_away() -> None:
        async with engine_of(fake, tiny_model, 2) as engine:
            await until(lambda: len(engine_details(engine)["servers"]) == 2)
            await answers(engine, range(4))
            fake.on("unready-3")
            os.kill(fake.pids()[0], signal.SIGKILL)
            assert len(await answers(engine, range(30))) == 30
            assert not fake.events("ready", server=3)

    run(one_away())


def test_a_server_that_never_answers_before_it_dies_is_given_up(fake: FakeVLLM, tiny_model: Path) -> None:
    async def dying() -> None:
        async with engine_of(fake, tiny_model) as engine:
            fake.on("hold")
            call = asyncio.create_task(engine.complete(prompt(1), ANSWER))
            for life in range(1, 4):
                await until(lambda life=life: fake.events("asked", server=life))
                os.kill(fake.pids()[life - 1], signal.SIGKILL)
            await call

    with pytest.raises(EngineDiedError, match="died 3 times in a row") as caught:
        run(dying())
    assert not isinstance(caught.value, ServersGoneError), (
        "nothing was answered: the same again would not help"
    )
    assert len(fake.pids()) == 3


def test_when_servers_that_worked_are_gone_the_run_may_be_continued(fake: FakeVLLM, tiny_model: Path) -> None:
    async def gone_for_good() -> None:
        async with engine_of(fake, tiny_model) as engine:
            await answers(engine, range(2))
            fake.on("broken", "RuntimeError: no device")
            os.kill(fake.pids()[0], signal.SIGKILL)
            await answers(engine, range(4))

    with pytest.raises(ServersGoneError, match=r"died 3 times in a row: .*no device"):
        run(gone_for_good())


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ("ValueError: this model has no head", InputError, "vLLM cannot run .*: this model has no head"),
        ("api_server.py: error: argument --x: invalid int value: 'many'", InputError, "invalid int value"),
        ("RuntimeError: no device", EngineError, "vLLM could not start .*: RuntimeError: no device"),
        ("torch.OutOfMemoryError: CUDA out of memory", EngineError, "gpu_memory_utilization=0.8"),
    ],
)
def test_a_start_that_fails_is_one_line_with_its_cause(
    fake: FakeVLLM, tiny_model: Path, said: str, error: type[Exception], message: str
) -> None:
    async def start() -> None:
        async with engine_of(fake, tiny_model, 2):
            pass

    fake.on("broken", said)
    with pytest.raises(error, match=message) as caught:
        run(start())
    assert "\n" not in str(caught.value)
    assert gone(fake.pids())


def test_one_replica_that_cannot_start_is_left_out(
    fake: FakeVLLM, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def start() -> int:
        fake.on("broken-2", "RuntimeError: no device")
        async with engine_of(fake, tiny_model, 2) as engine:
            await until(lambda: "going on without vLLM server" in caplog.text)
            return len(await answers(engine, range(5)))

    assert run(start()) == 5
    assert "RuntimeError: no device" in caplog.text


def test_cancelling_a_start_leaves_no_process(fake: FakeVLLM, tiny_model: Path) -> None:
    async def cancelled() -> None:
        fake.on("unready")
        engine = engine_of(fake, tiny_model, 2)
        starting = asyncio.create_task(engine.__aenter__())
        await until(lambda: len(fake.pids()) == 2)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    run(cancelled())
    assert gone(fake.pids())


def test_a_server_that_does_not_want_to_end_is_killed(fake: FakeVLLM, tiny_model: Path) -> None:
    async def stubborn() -> None:
        fake.on("deaf")
        async with engine_of(fake, tiny_model) as engine:
            await answers(engine, range(1))

    run(stubborn())
    assert gone(fake.pids())


SCRIPT = """
import sys
from reasonrank_pyserini import Reranker
reranker = Reranker.from_pretrained("nano", engine="vllm", vllm_python=sys.argv[1], replicas=2)
reranker.rerank("why", [("a", "one"), ("b", "two")])
print("ranked", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["kill", "close stdin", "interrupt"])
def test_servers_end_with_the_script_that_started_them(fake: FakeVLLM, end: str) -> None:
    """A script without a `__main__` guard, which leaves its Reranker open."""
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(fake.python)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"},
    ) as script:
        watcher = watch(script)
        assert script.stdout is not None
        assert script.stdin is not None
        assert script.stdout.readline() == b"ranked\n"
        if end == "kill":
            script.kill()
        elif end == "interrupt":
            script.send_signal(signal.SIGINT)
        script.stdin.close()
        script.wait(400)
        watcher.kill()
        watcher.wait()
    assert gone(fake.pids())
