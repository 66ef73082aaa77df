"""Reproducing from Python as a user's script does it: typed requests, runs in memory, nothing of the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmark_world import REAL, World, real_world, small_world
from http_server import Server
from hub_server import HubServer

from reasonrank_pyserini.errors import InputError, UnknownNameError
from reasonrank_pyserini.reproduce import (
    FetchRequest,
    ModelOverrides,
    ReproduceRequest,
    VerifyRequest,
    needed,
    run,
    verify,
)

PUBLISHED = {"biology": 43.49, "earth-science": 43.00, "economics": 32.65, "stackoverflow": 30.96,
             "leetcode": 31.68, "theoremqa-theorems": 36.68}  # fmt: skip
HEAD = """
import json, sys
from pathlib import Path
from reasonrank_pyserini import read_run, reproduce
from reasonrank_pyserini.reproduce import ModelOverrides, ReproduceRequest, SettingOverrides

said = []
def rows(result):
    return {row.task: round(row.ours, 2) for row in result.leaderboard.rows}
"""
TAIL = """
commands = [name for name in sys.modules if name.startswith("reasonrank_pyserini.cli")]
print(json.dumps({"found": found, "said": said, "commands": commands}))
"""


class Script:
    """Runs a user's script where only the world's files can be fetched."""

    def __init__(self, world: World, hub: HubServer) -> None:
        self.world, self.hub = world, hub

    def run(self, text: str) -> dict[str, Any]:
        """What the script found; nothing may be printed, and no command may be loaded."""
        command = [sys.executable, "-c", HEAD + text + TAIL]
        environment = self.world.environment(self.hub)
        done = subprocess.run(
            command, env=environment, cwd=self.world.folder, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        (line,) = done.stdout.splitlines()
        answer: dict[str, Any] = json.loads(line)
        assert answer["commands"] == []
        return answer


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    world = small_world(tmp_path_factory.mktemp("world"), ["biology", "pony", "theoremqa-theorems"])
    with HubServer(world.files) as hub:
        yield Script(world, hub)


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    world = real_world(tmp_path_factory.mktemp("real"), shared)
    with HubServer(world.files) as hub:
        yield Script(world, hub)


def test_the_authors_rows_from_files_and_from_memory(real: Script) -> None:
    found = real.run(f"""
tasks = {REAL!r}
fetched = reproduce.run(ReproduceRequest("bright", "reasonir", tasks=tasks, output="fetched"))
files = {{task: Path("runs") / f"{{task}}.trec" for task in tasks}}
by_file = reproduce.run(ReproduceRequest("bright", "reasonir", tasks=tasks, runs=files, output="files"))
runs = {{task: read_run(path) for task, path in files.items()}}
in_memory = reproduce.run(ReproduceRequest("bright", "reasonir", tasks=tasks, runs=runs, output="memory"))
found = [rows(fetched), rows(by_file), rows(in_memory), fetched.within_tolerance, in_memory.queries]
""")["found"]
    assert found[:3] == [PUBLISHED] * 3
    assert found[3] is True
    assert found[4] == 103 + 116 + 103 + 117 + 142 + 76


def test_an_oracle_in_place_of_the_model(real: Script) -> None:
    found = real.run("""
runs = {task: read_run(f"runs/{task}.trec") for task in ("biology", "stackoverflow")}
def ceiling(**more):
    request = ReproduceRequest("bright", tasks=tuple(runs), runs=runs, oracle=0.0, **more)
    return reproduce.run(request, say=said.append)
sliding = ceiling(output="sliding")
again = ceiling(output="sliding")
single = ceiling(output="single", settings=SettingOverrides(depth=20))
found = [rows(sliding), rows(again), rows(single), sliding.within_tolerance, sliding.errors, sliding.folder.name]
""")
    sliding, again, single, *others = found["found"]
    assert sliding == again == {"biology": 86.57, "stackoverflow": 81.78}
    assert all(single[task] < sliding[task] for task in sliding)
    assert others == [None, 0, "sliding"], "an ideal order is not compared with a model's numbers"
    assert "without a model" in " ".join(found["said"])
    assert any("already holds the result of every task" in line for line in found["said"])


def test_an_estimate_is_figures(small: Script) -> None:
    found = small.run("""
from dataclasses import asdict
request = ReproduceRequest("bright", tasks=("biology", "pony"), runs="runs", repeat=2)
found = [asdict(reproduce.estimate(request, "h100", 8, 2.5)), asdict(reproduce.estimate(request, "l4", 1))]
""")["found"]
    large, small_gpu = found
    assert (large["tasks"], large["queries"], large["windows"]) == (2, 8, 2 * 8 * 3)
    assert (large["prompt_tokens"], large["profile"]) == (5687, "reasonrank-7b")
    assert large["money"] == pytest.approx(large["seconds"] / 3600 * 8 * 2.5)
    assert small_gpu["money"] is None


def test_an_estimate_by_published_counts_needs_no_network(small: Script) -> None:
    found = small.run("""
import socket
def refuse(*_, **__):
    raise AssertionError("an estimate opened a connection")
socket.socket.connect = socket.getaddrinfo = refuse
notes = []
def of(name, *tasks, **more):
    one = reproduce.estimate(ReproduceRequest(name, tasks=tasks, **more), say=notes.append)
    return [one.tasks, one.queries, one.windows]
found = [of("bright"), of("r2med"), of("beir", "scifact", "nfcorpus"), of("bright", "pony", limit=11, oracle=0.0),
         of("bright", "pony", condition="bm25"), of("bright", condition="reasonrank-32b-rader"), notes]
""")["found"]
    bright, r2med, beir, limited, stage, rader, notes = found
    assert bright == rader == [12, 1384, 1384 * 9]
    assert r2med == [8, 876, 876 * 9]
    assert beir == [2, 300 + 323, (300 + 323) * 9]
    assert (limited, stage) == ([1, 11, 99], [1, 112, 0])
    assert "queries are counted as published, with 100 candidates each" in notes
    assert not any("has no public run" in note for note in notes)


def test_verify_by_a_server(small: Script) -> None:
    with Server(models=["tiny"]) as server:
        found = small.run(f"""
from reasonrank_pyserini.reproduce import VerifyRequest
model = ModelOverrides(model="tiny", base_urls=({server.url!r},), api="chat")
result = reproduce.verify(VerifyRequest(output="check", model=model, condition="reasonrank-7b", runs="runs"))
found = [result.within_tolerance, result.test.equivalent, result.log.splitlines()[-1], result.errors]
""")["found"]
    assert found[:2] == [False, False]
    assert "| reasonrank-7b | tiny | openai, no GPU |" in found[2]
    assert found[3] == 0
    assert len(server.requests) == 4 * 3


def test_fetch_says_what_it_needs_and_where_it_went(small: Script) -> None:
    found = small.run("""
from reasonrank_pyserini.reproduce import FetchRequest
request = FetchRequest("bright", tasks=("pony",), runs="runs", with_model=False, to="disk")
names = [item.name for item in reproduce.needed(request)]
first, second = (reproduce.fetch(request, say=said.append) for _ in range(2))
found = [len(names), first.fetched, second.fetched, second.needed, first.environment["HF_HOME"]]
""")["found"]
    assert found[0] == found[1] == found[3] > 0
    assert found[2] == 0
    assert found[4].endswith("/disk/huggingface")


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (ReproduceRequest("bright"), "give `output` DIR"),
        (ReproduceRequest("bright", output="x", repeat=0), "`repeat` is 0"),
        (ReproduceRequest("bright", output="x", limit=0), "`limit` is 0"),
        (ReproduceRequest("bright", output="x", max_failed=2.0), "`max_failed` is 2.0"),
        (ReproduceRequest("bright", output="x", oracle=-1.0), "`oracle` is -1.0"),
        (ReproduceRequest("bright", output="x", qrels_kind="fixd"), "did you mean 'fixed'"),
        (ReproduceRequest("brigth", output="x"), "did you mean 'bright'"),
        (ReproduceRequest("bright", "reasonir", output="x", model=ModelOverrides(model="m")), "leave `model` out"),
        (ReproduceRequest("bright", "rankt5-3b", output="x"), "choose one of reasonrank-7b"),
        (
            ReproduceRequest("bright", tasks=("pony",), runs={"aops": "a.trec"}, oracle=0.0, output="x"),
            "`runs` has no run of task pony; it has: aops",
        ),
    ],
)  # fmt: skip
def test_bad_requests_name_the_setting(
    request_: ReproduceRequest, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=problem):
        run(request_)
    assert list(tmp_path.iterdir()) == []


def test_names_that_do_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'liuwenhan/reasonrank-7B'"):
        verify(VerifyRequest(output="x", model=ModelOverrides(model="liuwenhan/reasonrank-7")))
    with pytest.raises(InputError, match="choose that of a reranker"):
        verify(VerifyRequest(output="x", condition="reasonir"))
    with pytest.raises(UnknownNameError, match="did you mean 'bm25q'"):
        needed(FetchRequest("bright", tasks=("pony",), first_stage="bm25qq"))
