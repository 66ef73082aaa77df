"""The vllm engine against a real vLLM; the model has random weights, so only the machinery is shown."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from reasonrank_pyserini.engines import Engine, EngineConfig, load_engine
from reasonrank_pyserini.errors import (
    EngineDiedError,
    EngineError,
    InputError,
    PromptTooLongError,
    UnknownNameError,
)
from reasonrank_pyserini.types import Completion, Prompt, Sampling

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
T = TypeVar("T")
CONTEXT = 1024
SLOTS = 16
SMALL = {"kv_cache_memory_bytes": 1 << 27, "max_num_seqs": SLOTS}


class Loop:
    """An event loop in a thread of its own, as a Reranker has one."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 200.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """A start that failed leaves a ZeroMQ context to the garbage collector, which warns: here, not in other tests."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    running = Loop()
    yield running
    running.close()


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model; its tokens 1 and 3 are renamed to a `</think>` and a `<|tool|>`, both special."""
    folder = tmp_path_factory.mktemp("special-think") / "model"
    shutil.copytree(tiny_model, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    names = {number: name for name, number in vocabulary.items()}
    for number, name in ((1, "</think>"), (3, "<|tool|>")):
        del vocabulary[names[number]]
        vocabulary[name] = number
    added = tokenizer["added_tokens"]
    added[1]["content"] = "</think>"
    added.append({**added[1], "id": 3, "content": "<|tool|>"})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


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


@pytest.fixture(scope="module")
def engine(model: Path, loop: Loop) -> Iterator[Engine]:
    made = load_engine("vllm", EngineConfig(str(model), max_model_len=CONTEXT, args=SMALL))
    loop.run(made.__aenter__())
    yield made
    loop.run(made.__aexit__(None, None, None))


def prompt(number: int, length: int = 100) -> Prompt:
    return Prompt(token_ids=tuple(3 + (number * 37 + place * place * 11) % 250 for place in range(length)))


async def together(engine: Engine, requests: list[tuple[Prompt, Sampling]], width: int) -> list[Completion]:
    gate = asyncio.Semaphore(width)

    async def one(request: Prompt, sampling: Sampling) -> Completion:
        async with gate:
            return await engine.complete(request, sampling)

    return await asyncio.gather(*(one(*request) for request in requests))


def descendants() -> list[int]:
    """The processes below this one, but for Python's own resource tracker."""
    import psutil

    children = psutil.Process().children(recursive=True)
    return [child.pid for child in children if "resource_tracker" not in " ".join(child.cmdline())]


def gone(pids: list[int], seconds: float) -> bool:
    import psutil

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        alive = [pid for pid in pids if psutil.pid_exists(pid)]
        if all(
            psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in alive if psutil.pid_exists(pid)
        ):
            return True
        time.sleep(0.05)
    return False


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
        with pytest.raises(InputError, match="use --model"):
            load_engine("vllm", EngineConfig(str(model), args={"model": "other"}))
        with pytest.raises(InputError, match="--engine openai"):
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


class TestCompletions:
    def test_limits_keep_the_engine_full(self, engine: Engine) -> None:
        assert engine.limits.requests == SLOTS + 4
        assert engine.limits.tokens is None

    def test_identity_is_json_and_follows_the_weights(
        self, engine: Engine, model: Path, tmp_path: Path
    ) -> None:
        identity = dict(engine.identity)
        assert json.loads(json.dumps(identity)) == identity
        assert (identity["engine"], identity["dtype"], identity["lora"]) == ("vllm", "float32", None)
        other = tmp_path / "other"
        shutil.copytree(model, other)
        weights = bytearray((other / "model.safetensors").read_bytes())
        weights[-1] ^= 1
        (other / "model.safetensors").write_bytes(weights)
        changed = load_engine("vllm", EngineConfig(str(other), max_model_len=CONTEXT, args=SMALL)).identity
        assert {**changed, "model": ""} != {**identity, "model": ""}

    def test_greedy_answers_do_not_depend_on_the_company(self, engine: Engine, loop: Loop) -> None:
        requests = [(prompt(n, 40 + 9 * n), Sampling(max_tokens=24, seed=n)) for n in range(16)]
        alone = loop.run(together(engine, requests, 1))
        crowd = loop.run(together(engine, requests, 16))
        assert [answer.text for answer in alone] == [answer.text for answer in crowd]
        assert len({answer.text for answer in alone}) > 1

    def test_a_seed_gives_the_same_sample_again(self, engine: Engine, loop: Loop) -> None:
        def requests(seeds: list[int]) -> list[tuple[Prompt, Sampling]]:
            return [
                (prompt(1), Sampling(temperature=1.0, top_p=0.95, top_k=50, seed=s, max_tokens=24))
                for s in seeds
            ]

        seeds = [1, 2, 3, 2**31 - 1]
        first = [answer.text for answer in loop.run(together(engine, requests(seeds), 4))]
        again = [answer.text for answer in loop.run(together(engine, requests(seeds[::-1]), 1))]
        assert first == again[::-1]
        assert len(set(first)) > 1

    def test_counts_and_reasons(self, engine: Engine, loop: Loop) -> None:
        answer = loop.run(engine.complete(prompt(2, 77), Sampling(max_tokens=9)))
        assert (answer.prompt_tokens, answer.completion_tokens, answer.finish_reason) == (77, 9, "length")
        assert answer.seconds > 0
        assert (answer.cached, answer.forced) == (False, False)

    def test_nothing_is_cut_silently(self, engine: Engine, loop: Loop) -> None:
        full = loop.run(engine.complete(prompt(3, CONTEXT - 8), Sampling(max_tokens=8)))
        assert full.completion_tokens == 8
        with pytest.raises(PromptTooLongError, match=f"{CONTEXT - 8} tokens and 9 .* context of {CONTEXT}"):
            loop.run(engine.complete(prompt(3, CONTEXT - 8), Sampling(max_tokens=9)))

    def test_tags_stay_and_control_tokens_leave(self, engine: Engine, loop: Loop) -> None:
        # Random weights at temperature 2 draw nearly evenly from a vocabulary of a few hundred tokens.
        wild = [(prompt(4), Sampling(temperature=2.0, seed=seed, max_tokens=800)) for seed in range(12)]
        answers = loop.run(together(engine, wild, 12))
        text = "".join(answer.text for answer in answers)
        assert "</think>" in text
        assert "<|tool|>" not in text
        assert "<|im_end|>" not in text
        stopped = [answer for answer in answers if answer.finish_reason == "stop"]
        assert stopped
        assert all(answer.completion_tokens < 800 for answer in stopped)

    @pytest.mark.parametrize("bad", [Prompt(text="words"), Prompt(token_ids=())])
    def test_a_prompt_without_ids_is_refused(self, engine: Engine, loop: Loop, bad: Prompt) -> None:
        with pytest.raises(EngineError, match="token ids"):
            loop.run(engine.complete(bad, Sampling(max_tokens=4)))

    def test_a_bad_request_fails_alone(self, engine: Engine, loop: Loop) -> None:
        with pytest.raises(EngineError, match="vocabulary") as caught:
            loop.run(engine.complete(Prompt(token_ids=(10**6,)), Sampling(max_tokens=4)))
        assert not isinstance(caught.value, EngineDiedError)
        with pytest.raises(EngineError, match="top_p"):
            loop.run(engine.complete(prompt(5), Sampling(temperature=1.0, top_p=7.0, max_tokens=4)))
        assert loop.run(engine.complete(prompt(5), Sampling(max_tokens=4))).completion_tokens == 4

    def test_cancelling_frees_the_slots(self, engine: Engine, loop: Loop) -> None:
        """Four times as many long calls as there are slots: uncancelled, they would hold them for four rounds."""
        long = Sampling(max_tokens=900)

        async def fill_cancel_and_ask() -> tuple[float, float]:
            whole = (await engine.complete(prompt(6), long)).seconds
            tasks = [asyncio.create_task(engine.complete(prompt(n), long)) for n in range(4 * SLOTS)]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert sum(isinstance(end, asyncio.CancelledError) for end in ended) >= 3 * SLOTS
            return whole, (await engine.complete(prompt(99), Sampling(max_tokens=4))).seconds

        whole, short = loop.run(fill_cancel_and_ask())
        assert short < whole


# Defined after everything that needs the shared engine, which it kills.
class TestDeath:
    def test_a_killed_engine_fails_every_call_promptly(self, engine: Engine, loop: Loop) -> None:
        loop.run(engine.complete(prompt(7), Sampling(max_tokens=2)))
        pids = descendants()

        async def kill_under_load() -> list[Any]:
            """Half of the calls start while the engine works, half while it stands still: those cannot be answered."""
            core, hot = named(pids, "EngineCore"), Sampling(temperature=2.0, max_tokens=900)
            calls = (engine.complete(prompt(n), replace(hot, seed=n)) for n in range(24))
            tasks = [asyncio.create_task(next(calls)) for _ in range(12)]
            await asyncio.sleep(0.1)
            os.kill(core, signal.SIGSTOP)
            tasks += [asyncio.create_task(call) for call in calls]
            await asyncio.sleep(0.3)
            os.kill(core, signal.SIGKILL)
            return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 15)

        ends = loop.run(kill_under_load())
        died = [end for end in ends if not isinstance(end, Completion)]
        assert len(died) >= 12
        assert {type(end) for end in died} == {EngineDiedError}
        with pytest.raises(EngineDiedError, match="vLLM died: "):
            loop.run(engine.complete(prompt(8), Sampling(max_tokens=2)), timeout=10)
        started = time.monotonic()
        loop.run(engine.__aexit__(None, None, None))
        assert time.monotonic() - started < 10
        assert gone(pids, 10)
        with pytest.raises(EngineError, match="not running"):
            loop.run(engine.complete(prompt(8), Sampling(max_tokens=2)))

    @pytest.mark.slow
    def test_a_failed_start_quotes_the_cause(self, model: Path, loop: Loop) -> None:
        config = EngineConfig(str(model), max_model_len=CONTEXT, args={"kv_cache_memory_bytes": 1 << 17})
        with pytest.raises(EngineError, match=r"KV cache.*kv_cache_memory_bytes=BYTES") as caught:
            loop.run(load_engine("vllm", config).__aenter__())
        assert "\n" not in str(caught.value)
        assert gone(descendants(), 5)


def named(pids: list[int], name: str) -> int:
    import psutil

    return next(pid for pid in pids if name in " ".join(psutil.Process(pid).cmdline()))


SCRIPT = """
import asyncio, faulthandler, json, os, signal, sys, threading
faulthandler.register(signal.SIGUSR1)
from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.java import ensure_java
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
        if how == "java-after":
            ensure_java()
        tell((await engine.complete(prompt, Sampling(max_tokens=8))).text)
        while True:
            await asyncio.gather(*(engine.complete(prompt, Sampling(max_tokens=400)) for _ in range(8)))

if how == "abandoned":
    ensure_java()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(start(), loop).result()
    sys.exit(0)
try:
    asyncio.run(work())
except KeyboardInterrupt:
    sys.exit(130)
"""


JAVA_FIRST = """
import sys
from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.java import ensure_java
ensure_java()
from jnius import JavaException, autoclass
assert load_engine("vllm", EngineConfig(sys.argv[1], max_model_len=1024)).limits.requests
for _ in range(100):
    try:
        autoclass("java.lang.String")("a").compareTo(None)
    except JavaException as error:
        print(error.classname)
"""


@pytest.mark.slow
def test_java_goes_on_catching_its_faults_after_vllm_was_loaded(model: Path) -> None:
    """vLLM's libraries install a SIGSEGV handler; a JVM uses that signal for null pointers."""
    command = [sys.executable, "-c", JAVA_FIRST, str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["java.lang.NullPointerException"] * 100


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

    def said(self) -> dict[str, Any]:
        """What the script noted, once it has."""
        deadline = time.monotonic() + 240
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

        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]
            if len(found) >= at_least:
                return found
            time.sleep(0.05)
        raise AssertionError(f"fewer than {at_least} processes: {self.errors.read_text()}")


class Scripts:
    """The scripts by name, each started when it is first asked for: a start keeps two cores busy."""

    KINDS: ClassVar = {"ctrl-c": "working", "killed": "java-after", "abandoned": "abandoned"}

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
        if script.process.poll() is None:
            script.process.kill()
        script.process.wait()


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestProcesses:
    def test_ctrl_c_ends_all_and_says_nothing(self, scripts: Scripts) -> None:
        script = scripts["ctrl-c"]
        script.said()
        pids = script.children(at_least=2)
        script.process.send_signal(signal.SIGINT)
        assert gone(pids, 60), script.stacks()
        assert script.process.wait(timeout=120) == 130  # Python's last garbage collection takes its time
        assert (script.output.read_text(), script.errors.read_text()) == ("", "")

    def test_no_process_survives_a_killed_parent(self, scripts: Scripts) -> None:
        script = scripts["killed"]
        script.said()
        pids = script.children(at_least=2)
        script.process.kill()
        script.process.wait()
        assert gone(pids, 10)

    def test_an_engine_left_open_ends_with_the_interpreter(self, scripts: Scripts) -> None:
        script = scripts["abandoned"]
        script.said()
        assert script.process.wait(timeout=120) == 0
        assert (script.output.read_text(), script.errors.read_text()) == ("", "")

    def test_an_adapter_changes_answers_and_identity(self, scripts: Scripts) -> None:
        bare, again, adapted = (scripts[name].said() for name in ("ctrl-c", "killed", "abandoned"))
        assert bare == again
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
            assert script.process.wait(timeout=10) == -signal.SIGTERM
            assert gone(pids, 20)
            assert script.output.read_text() == ""
        finally:
            script.process.kill()
            script.process.wait()
