"""Servers that an engine starts: the Python that has vLLM, ports, other users, the user's variables."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from fake_vllm_server import FakeVLLM
from local_servers_kit import ANSWER, answers, engine_of, fake, prompt, run, until
from vllm_kit import gone

from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.errors import (
    InputError,
    MissingPackageError,
)

__all__ = ["fake"]  # fixture


def test_the_two_ways_to_get_vllm_are_named(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "vllm" else real(name, *rest)
    )
    with pytest.raises(
        MissingPackageError, match=r"pip install 'reasonrank-pyserini\[vllm\]', or .*vllm_python"
    ):
        load_engine("vllm", EngineConfig(str(tiny_model)))
    with pytest.raises(InputError, match="`vllm_python` 'no-such-python' is not a program"):
        load_engine("vllm", EngineConfig(str(tiny_model), vllm_python="no-such-python"))
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(InputError, match=r"has no vLLM: type `.* -m pip install vllm`"):
        load_engine("vllm", EngineConfig(str(tiny_model), vllm_python=str(bare)))
    with pytest.raises(InputError, match="does not run as a Python"):
        load_engine("vllm", EngineConfig(str(tiny_model), vllm_python="false"))


def test_a_python_behind_a_shell_script_will_do(fake: FakeVLLM, tiny_model: Path, tmp_path: Path) -> None:
    script = tmp_path / "wrapped"
    script.write_text(f'#!/bin/sh\n"{fake.python}" "$@"\nexit $?\n')
    script.chmod(0o755)

    async def one() -> None:
        config = EngineConfig(str(tiny_model), max_model_len=1024, vllm_python=str(script))
        async with load_engine("vllm", config) as engine:
            await answers(engine, range(2))

    run(one())
    assert gone(fake.pids())


def test_the_port_of_another_user_is_not_asked(
    fake: FakeVLLM, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start() -> None:
        engine = engine_of(fake, tiny_model)
        starting = asyncio.create_task(engine.__aenter__())
        await until(lambda: fake.events("ready"))
        await asyncio.sleep(1.0)
        assert not starting.done()
        monkeypatch.undo()
        await starting
        await engine.__aexit__(None, None, None)

    monkeypatch.setattr(os, "getuid", lambda: 12345)
    run(start())


def test_the_users_own_headers_stay_away(
    fake: FakeVLLM, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer mine")
    monkeypatch.setenv("OPENAI_ORG_ID", "é")

    async def one() -> None:
        async with engine_of(fake, tiny_model) as engine:
            await answers(engine, range(2))

    run(one())


def test_a_call_that_is_cancelled_closes_its_connection(fake: FakeVLLM, tiny_model: Path) -> None:
    async def cancelled() -> None:
        async with engine_of(fake, tiny_model) as engine:
            fake.on("hold")
            call = asyncio.create_task(engine.complete(prompt(1), ANSWER))
            await until(lambda: fake.events("asked"))
            call.cancel()
            await until(lambda: fake.events("left"))

    run(cancelled())
