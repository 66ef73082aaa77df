"""`reasonrank reproduce` and its kin as a user runs them, over a small BRIGHT of our own."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmark_world import small_world
from http_server import Server
from hub_server import COMMIT, HubServer
from reproduce_kit import SMALL, Machine, last, order, ours, table

from reasonrank_pyserini import read_run
from reasonrank_pyserini.evaluation.report.recorded_first_stage import recorded_first_stage
from reasonrank_pyserini.evaluation.report.report_inputs import read_result

QUERIES, WINDOWS = 2 * 4, 2 * 4 * 3
"""Two tasks of four queries; 39 candidates (one of 40 is excluded) make three windows of 20, step 10."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    world = small_world(tmp_path_factory.mktemp("world"))
    with HubServer(world.files) as hub:
        yield Machine(world, hub)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(models=["tiny"]) as server:
        yield server


def test_all_tasks_in_one_queue_then_the_same_command_again(
    machine: Machine, server: Server, tmp_path: Path
) -> None:
    done = machine.reproduce(tmp_path / "out", server=server)
    assert done.returncode == 4, "a server that turns every window round is outside the tolerance"
    assert len(server.requests) == WINDOWS
    assert "within tolerance: no" in done.stdout
    for task in ("biology", "pony"):
        manifest = json.loads((tmp_path / "out" / task / "manifest.json").read_text())
        assert (manifest["task"], manifest["windows"], manifest["queries"]) == (task, WINDOWS // 2, 4)
        assert manifest["counts"] == {"excluded": 4}, "one a query"
        assert f"{task} 0 7" not in order(tmp_path / "out", task), "excluded for this query"
        assert sorted(order(tmp_path / "out", task)) == sorted(f"{task} 0 {i}" for i in range(40) if i != 7)
    assert order(tmp_path / "out")[:10] == [f"biology 0 {i}" for i in range(39, 29, -1)]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "biology", "pony", "journal", "scores", "leaderboard.json", "leaderboard.md", "leaderboard.tex",
    }  # fmt: skip
    scores = json.loads((tmp_path / "out" / "scores" / "pony.json").read_text())
    assert max(scores["0"], key=scores["0"].get) == "pony 0 39"
    again = machine.reproduce(tmp_path / "out", server=server)
    assert (again.returncode, again.stdout) == (4, done.stdout)
    assert len(server.requests) == WINDOWS
    assert "already holds the result of every task" in again.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL])
def test_stopped_half_way_it_says_run_again(
    machine: Machine, server: Server, tmp_path: Path, number: int
) -> None:
    server.stall_after = WINDOWS // 2
    limit = ("--engine-arg", "concurrency=2")
    process = machine.start(*machine.arguments(tmp_path / "out", *limit, server=server))
    server.until_stalled(2, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=600)
    assert process.returncode == {signal.SIGKILL: -9}.get(signal.Signals(number), 75)
    if number != signal.SIGKILL:
        assert "the same command continues" in err
    assert not (tmp_path / "out" / "leaderboard.json").exists()
    server.stall_after = None
    assert machine.reproduce(tmp_path / "out", *limit, server=server).returncode == 4
    assert len(server.requests) <= WINDOWS + 2, "at most the calls in flight are made twice"
    whole = machine.reproduce(tmp_path / "whole", server=server)
    assert whole.returncode == 4
    assert order(tmp_path / "out", "pony", "3") == order(tmp_path / "whole", "pony", "3")
    assert table(tmp_path / "out") == table(tmp_path / "whole")


def test_what_differs_from_the_publication_is_said(machine: Machine, server: Server, tmp_path: Path) -> None:
    asked = ("--reasoning-tokens", "64", "--window", "10", "--step", "5")
    done = machine.reproduce(tmp_path, *asked, "--limit", "1", server=server)
    assert done.returncode == 0, "some queries alone are not judged"
    assert "tiny (condition reasonrank-7b, window 10, step 5)" in done.stdout
    assert "not as published: reasoning tokens 64, model tiny, window 10, step 5" in done.stdout


def test_repeats_share_the_queue(machine: Machine, server: Server, tmp_path: Path) -> None:
    done = machine.reproduce(tmp_path / "out", "--condition", "reasonrank-8b", "--repeat", "2", server=server)
    assert done.returncode == 0, "a sampled condition is not judged by two runs"
    assert len(server.requests) == 2 * WINDOWS
    assert len({json.dumps(request.body["seed"]) for request in server.requests}) == 2 * WINDOWS // 2
    assert "2 runs" in done.stdout
    assert (tmp_path / "out" / "repeat-2" / "pony" / "run.trec").is_file()


def test_the_oracle_needs_no_model_and_no_documents(machine: Machine, tmp_path: Path) -> None:
    before = machine.hub.asked("documents/pony-00000-of-00001.parquet")
    done = machine.reproduce(tmp_path / "out", "--judge", "oracle")
    assert done.returncode == 0, done.stderr
    assert ours(tmp_path / "out") == {"biology": 100.0, "pony": 100.0}
    assert machine.hub.asked("documents/pony-00000-of-00001.parquet") == before
    narrow = machine.reproduce(tmp_path / "narrow", "--judge", "oracle", "--depth", "20", "--json")
    found = json.loads(narrow.stdout)
    ideal = 1 + 1 / 1.584962500721156  # two gold documents, at ranks 1 and 2
    first = 1 / 2.584962500721156  # the one among the first 20 stays below: 1/log2(6) before
    assert found["average"]["first_stage"] == pytest.approx(100 * first / ideal)
    assert found["average"]["ours"] == pytest.approx(100 * 1 / ideal)


def test_only_some_queries_are_judged_by_those_alone(machine: Machine, tmp_path: Path) -> None:
    done = machine.reproduce(tmp_path / "out", "--judge", "oracle", "--limit", "3", "--json")
    assert [row["queries"] for row in json.loads(done.stdout)["rows"]] == [3, 3]


def test_castorini_ids_in_a_run_are_understood(machine: Machine, server: Server, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    for task in ("biology", "pony"):
        lines = (machine.world.runs / f"{task}.trec").read_text().splitlines()
        (runs / f"{task}.trec").write_text("".join(map(_castorini, lines)))
    done = machine.reproduce(tmp_path / "out", "--runs", runs, server=server)
    assert done.returncode == 4, done.stderr
    assert order(tmp_path / "out")[0] == "biology 0 39"


def _castorini(line: str) -> str:
    query, _, rest = line.split(" ", 2)
    document, rank, score, tag = rest.rsplit(" ", 3)
    return f"{query} Q0 {document.replace(' ', '_')} {rank} {score} {tag}\n"


def test_a_run_of_another_corpus_is_refused(machine: Machine, server: Server, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    for task in ("biology", "pony"):
        text = (machine.world.runs / f"{task}.trec").read_text()
        (runs / f"{task}.trec").write_text(
            text.replace(f"{task} 2 31 ", "elsewhere ").replace(f"{task} 2 3 ", "gone ")
        )
    done = machine.reproduce(tmp_path / "out", "--runs", runs, server=server)
    assert done.returncode == 2
    assert "2 of 39 candidates of query 2 are not in bright/biology, e.g. 'gone'" in last(done)
    assert server.requests == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            ["--condition", "reasonrank-7"],
            "unknown bright condition 'reasonrank-7': did you mean 'reasonrank-7b'",
        ),
        (["--condition", "rankt5-3b"], "cannot be run: choose one of reasonrank-7b"),
        (["--tasks", "biologie"], "did you mean 'biology'?"),
        (["--runs", "nowhere"], "no such folder"),
        (["--judge", "oracel"], "unknown judge 'oracel': did you mean 'oracle'?"),
        (["--judge", "oracle:x"], "the noise is a standard deviation"),
        (["--shard", "1/2"], "No such option"),
        (["--estimate", "--gpu", "h10"], "did you mean 'h100'?"),
        (["--first-stage", "bm52", "--runs", "."], "task biology"),
        (["-o", "/dev/null/x"], "-o /dev/null/x cannot be used as a folder: /dev/null is a file"),
    ],
)
def test_bad_input_is_one_line(machine: Machine, tmp_path: Path, more: list[str], expected: str) -> None:
    done = machine.reproduce(tmp_path / "out", *more)
    assert done.returncode == 2
    assert expected in last(done)
    assert not (tmp_path / "out" / "biology").exists()


def test_an_estimate_reads_runs_alone(machine: Machine, tmp_path: Path) -> None:
    price = ("--gpu", "h100", "--gpus", "8", "--price", "2.5")
    done = machine.run("reproduce", "bright", *SMALL, "--runs", machine.world.runs, "--estimate", *price)
    assert done.returncode == 0, done.stderr
    lines = {line[:18].strip(): line[19:] for line in done.stdout.splitlines()}
    assert (lines["queries"], lines["windows"]) == (str(QUERIES), str(WINDOWS))
    assert lines["prompt tokens"].startswith(f"{WINDOWS * 5687:,} (modelled")
    assert "modelled" in lines["money"]


def test_fetched_files_are_enough_without_a_network(machine: Machine, server: Server, tmp_path: Path) -> None:
    to = tmp_path / "disk"
    done = machine.run_apart(
        "fetch", "bright", *SMALL, "--runs", machine.world.runs, "--no-model", "--to", to
    )
    assert done.returncode == 0, done.stderr
    assert f"export HF_HOME={to}/huggingface" in done.stdout
    assert "4 of" not in last(done)
    exports = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    offline = Machine(machine.world, machine.hub)
    offline.env = {**offline.env, **exports, "HF_ENDPOINT": "http://127.0.0.1:9"}
    asked = len(machine.hub.requests)
    assert offline.run_apart(*offline.arguments(tmp_path / "out", server=server)).returncode == 4
    assert len(machine.hub.requests) == asked
    again = machine.run_apart(
        "fetch", "bright", *SMALL, "--runs", machine.world.runs, "--no-model", "--to", to
    )
    assert "0 B  to fetch; 4 of 4 are here already" in again.stderr


@pytest.mark.slow
def test_a_fetched_model_runs_without_a_network(tiny_model: Path, tmp_path: Path) -> None:
    world = small_world(tmp_path)
    world.files |= {f"someone/tiny/{path.name}": path.read_bytes() for path in tiny_model.iterdir()}
    size = sum(path.stat().st_size for path in tiny_model.iterdir())
    (tmp_path / "small.toml").write_text("reasoning_tokens = 8\nanswer_tokens = 8\n")
    with HubServer(world.files) as hub:
        machine = Machine(world, hub)
        needed = ("bright", *SMALL, "--runs", world.runs, "--model", "someone/tiny")
        fetched = machine.run_apart("fetch", *needed, "--to", tmp_path / "disk")
        assert fetched.returncode == 0, fetched.stderr
        assert f"{size / 1e3:.1f} kB  someone/tiny" in fetched.stderr
        (weights,) = (tmp_path / "disk" / "huggingface" / "hub").glob(
            "models--*/snapshots/*/model.safetensors"
        )
        weights.unlink()
        again = machine.run_apart("fetch", *needed, "--to", tmp_path / "disk")
        assert "[1/1] someone/tiny" in again.stderr, "weights that are not there are fetched"
    machine.env |= dict(line.removeprefix("export ").split("=", 1) for line in fetched.stdout.splitlines())
    asked = (
        "--engine",
        "transformers",
        "--engine-arg",
        "device=cpu",
        "--profile",
        "small.toml",
        "--max-failed",
        "1",
    )
    done = machine.run_apart("reproduce", *needed, *asked, "-o", tmp_path / "out")
    assert done.returncode == 4, done.stderr
    manifest = json.loads((tmp_path / "out" / "pony" / "manifest.json").read_text())
    assert (manifest["model"], manifest["windows"]) == ("someone/tiny", WINDOWS // 2)
    assert manifest["configuration"]["model"]["revision"] == COMMIT


def test_verify_ends_in_a_line_for_the_log(server: Server, tmp_path: Path) -> None:
    world = small_world(tmp_path, ["theoremqa-theorems"])
    with HubServer(world.files) as hub:
        machine = Machine(world, hub)
        asked = ("--base-url", server.url, "--api", "chat", "--condition", "reasonrank-7b", "--model", "tiny")
        done = machine.run("verify", *asked, "--runs", world.runs, "-o", tmp_path / "out")
        unknown = machine.run("verify", "--model", "tiny", "-o", tmp_path / "other")
    assert done.returncode == 4, done.stderr
    assert "two one-sided tests over 4 queries" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("| 20")
    assert "| reasonrank-7b | tiny | openai, no GPU |" in done.stdout
    assert unknown.returncode == 2
    assert "unknown published model 'tiny'" in last(unknown)


def test_a_report_of_another_strategy_finds_the_first_stage_of_each_task(
    machine: Machine, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(machine.world.runs, runs)
    asked = ("reproduce", "bright", *SMALL, "--judge", "oracle", "--runs", runs, "--strategy", "groups")
    assert machine.run(*asked, "-o", tmp_path / "out").returncode == 0
    page = ("report", tmp_path / "out", "-o", tmp_path / "page.html")
    done = machine.run(*page)
    assert done.returncode == 0, done.stderr
    noted = table(tmp_path / "out")["first_stage_files"]
    assert list(noted) == ["biology", "pony"]
    for task, file in noted.items():
        result = read_result(task, tmp_path / "out" / task, recorded_first_stage(tmp_path / "out" / task))
        run, reranked = read_run(file), read_run(tmp_path / "out" / task / "run.trec")
        for query in result.queries:
            left = {hit.id for hit in reranked[query.id]}
            assert list(query.before) == [hit.id for hit in run[query.id] if hit.id in left]
            assert query.before != query.after
    Path(noted["pony"]).write_text("0 Q0 a 1 1 t\n")
    done = machine.run(*page)
    assert done.returncode == 2
    assert "give the first stage as --run" in done.stderr
