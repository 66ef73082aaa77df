"""The vllm engine in a user's script: how its servers end, and what a LoRA adapter changes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ends_with_parent import watch
from vllm_kit import NEEDS_VLLM, gone, model

__all__ = ["model"]  # fixture

pytestmark = NEEDS_VLLM


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter of rank 3 with weights large enough to change every answer."""
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("adapter")
    settings = {"peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": ["o_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    torch.manual_seed(1)
    name = "base_model.model.model.layers.{}.self_attn.o_proj.lora_{}.weight"
    weights = {name.format(layer, "A"): torch.randn(3, 64) for layer in range(2)}
    weights |= {name.format(layer, "B"): torch.randn(64, 3) * 9 for layer in range(2)}
    save_file(weights, folder / "adapter_model.safetensors")
    return folder


SCRIPT = """
import asyncio, faulthandler, json, os, signal, sys, threading
faulthandler.register(signal.SIGUSR1)
from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.types import Prompt, Sampling

how, model, adapter, note = sys.argv[1:]
args = {"kv_cache_memory_bytes": 1 << 27, "max_num_seqs": 16} | ({"lora": adapter} if how == "abandoned" else {})
engine = load_engine("vllm", EngineConfig(model, max_model_len=1024, args=args))
prompt = Prompt(token_ids=tuple(range(3, 100)))

def tell(text):
    with open(note + ".part", "w") as stream:
        json.dump({"text": text, "lora": engine.identity["lora"]}, stream)
    os.rename(note + ".part", note)

async def start():
    await engine.__aenter__()
    tell((await engine.complete(prompt, Sampling(max_tokens=8))).text)

async def work():
    async with engine:
        tell((await engine.complete(prompt, Sampling(max_tokens=8))).text)
        while True:
            await asyncio.gather(*(engine.complete(prompt, Sampling(max_tokens=400)) for _ in range(8)))

if how == "abandoned":
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(start(), loop).result()
    sys.exit(0)
try:
    asyncio.run(work())
except KeyboardInterrupt:
    sys.exit(130)
"""


class Script:
    """A user's script, without a `__main__` guard, run as a process of its own."""

    def __init__(self, how: str, model: Path, adapter: Path, folder: Path) -> None:
        (folder / "script.py").write_text(SCRIPT)
        self.note = folder / "note.json"
        self.output, self.errors = folder / "stdout", folder / "stderr"
        root = Path(__file__).parents[1]
        with self.output.open("wb") as out, self.errors.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(folder / "script.py"), how, str(model), str(adapter), str(self.note)],
                cwd=folder,
                stdout=out,
                stderr=err,
                env={**os.environ, "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"},
            )
        self.watcher = watch(self.process)

    def end(self) -> None:
        for process in (self.process, self.watcher):
            process.kill()
            process.wait()

    def said(self) -> dict[str, Any]:
        """What the script noted, once it has."""
        deadline = time.monotonic() + 800
        while not self.note.exists() and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert self.note.exists(), self.errors.read_text()
        noted: dict[str, Any] = json.loads(self.note.read_text())
        return noted

    def stacks(self) -> str:
        """Where the script's threads are."""
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(1.0)
        return self.errors.read_text()

    def children(self, at_least: int) -> list[int]:
        import psutil

        deadline = time.monotonic() + 800
        while self.process.poll() is None and time.monotonic() < deadline:
            found = [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]
            if len(found) >= at_least:
                return found
            time.sleep(0.05)
        raise AssertionError(f"fewer than {at_least} processes: {self.errors.read_text()}")


class Scripts:
    """The scripts by name, each started when it is first asked for: a start keeps two cores busy."""

    KINDS: ClassVar = {"killed": "working", "abandoned": "abandoned"}

    def __init__(self, model: Path, adapter: Path, folder: Path) -> None:
        self.model, self.adapter, self.folder = model, adapter, folder
        self.started: dict[str, Script] = {}

    def __getitem__(self, name: str) -> Script:
        if name not in self.started:
            (self.folder / name).mkdir()
            self.started[name] = Script(self.KINDS[name], self.model, self.adapter, self.folder / name)
        return self.started[name]


@pytest.fixture(scope="module")
def scripts(model: Path, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripts]:
    running = Scripts(model, adapter, tmp_path_factory.mktemp("scripts"))
    yield running
    for script in running.started.values():
        script.end()


@pytest.mark.slow
@pytest.mark.timeout(2400)
class TestProcesses:
    def test_no_process_survives_a_killed_parent(self, scripts: Scripts) -> None:
        script = scripts["killed"]
        script.said()
        pids = script.children(at_least=2)
        script.process.kill()
        script.process.wait()
        assert gone(pids)

    def test_an_engine_left_open_ends_with_the_interpreter(self, scripts: Scripts) -> None:
        script = scripts["abandoned"]
        script.said()
        assert script.process.wait(timeout=400) == 0
        errors = script.errors.read_text().splitlines()
        assert [line for line in errors if "has been starting for" not in line] == []
        assert script.output.read_text() == ""

    def test_an_adapter_changes_answers_and_identity(self, scripts: Scripts) -> None:
        bare, adapted = (scripts[name].said() for name in ("killed", "abandoned"))
        assert bare["text"] != adapted["text"]
        assert (bare["lora"], adapted["lora"][:7]) == (None, "sha256:")

    def test_no_process_survives_sigterm_during_the_start(
        self, model: Path, adapter: Path, tmp_path: Path
    ) -> None:
        script = Script("starting", model, adapter, tmp_path)
        try:
            pids = script.children(at_least=1)
            time.sleep(1.0)
            script.process.terminate()
            assert script.process.wait(timeout=400) == -signal.SIGTERM
            assert gone(pids)
            assert script.output.read_text() == ""
        finally:
            script.end()
