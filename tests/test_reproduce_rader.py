"""The rows on RaDeR + BM25: scores fetched by git blob id, read as a run, reranked in windows of ten."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmark_world import RADER, World, rader_world, small_world
from commands import reasonrank
from http_server import Server
from hub_server import HubServer

from reasonrank_pyserini import SlidingWindow, read_run
from reasonrank_pyserini.reproduce.conditions import first_stage

TASK, FILE = "theoremqa-theorems", "hybrid_BM25_Rader.json"
ASKED = ("bright", "--condition", "reasonrank-32b-rader-w10", "--tasks")
CALLS = SlidingWindow(10, 5).calls(100)


class Place:
    """A world, its server, and the command with a cache of its own."""

    def __init__(self, world: World, hub: HubServer, cache: Path) -> None:
        self.world, self.hub, self.cache = world, hub, cache

    def run(self, *arguments: Any, **environment: str) -> Any:
        known = self.world.environment(self.hub)
        kept = {"REASONRANK_CACHE": str(self.cache), **environment}
        return reasonrank(*arguments, folder=self.world.folder, environment={**known, **kept})

    @property
    def cached(self) -> list[Path]:
        return [path for path in (self.cache / "files").rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def world(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    return rader_world(tmp_path_factory.mktemp("rader"), shared)


@pytest.fixture
def place(world: World, tmp_path: Path) -> Iterator[Place]:
    with HubServer(world.files) as hub:
        yield Place(world, hub, tmp_path / "cache")


def table(output: Path) -> dict[str, Any]:
    return json.loads((output / "leaderboard.json").read_text())


def last(done: Any) -> str:
    return done.stderr.strip().splitlines()[-1]


def test_the_published_first_stage(place: Place, tmp_path: Path) -> None:
    done = place.run(
        "reproduce", "bright", "--condition", "rader-bm25", "--tasks", TASK, "-o", tmp_path / "out"
    )
    assert done.returncode == 0, done.stderr
    (row,) = table(tmp_path / "out")["rows"]
    assert (row["queries"], round(row["ours"], 2), row["published"], row["verdict"]) == (
        76,
        43.43,
        43.43,
        "ok",
    )


def test_fetched_then_reranked_without_a_network(place: Place, tmp_path: Path) -> None:
    fetched = place.run("fetch", *ASKED, TASK, "--no-model")
    assert fetched.returncode == 0, fetched.stderr
    line = (
        f"2.5 MB  Debrup-61/RaDeR/3a127e47a419bcda878cddef9c86f7dfbaca81f3/{RADER}/theoremqa_theorems/{FILE}"
    )
    assert line in fetched.stderr
    assert len(place.cached) == 1
    place.hub.stop()
    nano = ("--model", "nano", "--engine", "transformers", "--engine-arg", "device=cpu", "--max-failed", "1")
    out = tmp_path / "out"
    done = place.run("reproduce", *ASKED, TASK, *nano, "--limit", "1", "-o", out, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert "nano (condition reasonrank-32b-rader-w10, window 10, step 5)" in done.stdout
    manifest = json.loads((out / TASK / "manifest.json").read_text())
    assert (manifest["queries"], manifest["windows"]) == (1, CALLS)
    shown = [json.loads(line)["window"] for line in (out / TASK / "trace.jsonl").read_text().splitlines()]
    assert {len(window) for window in shown} == {10}
    before, after = read_run(place.cached[0]), read_run(out / TASK / "run.trec")
    for query, hits in after.items():
        ids = [hit.id for hit in before[query]]
        assert [hit.id for hit in hits][100:] == ids[100:], "what is below the top 100 stays in its order"
        assert sorted(hit.id for hit in hits[:100]) == sorted(ids[:100])


def test_verify_takes_the_condition(place: Place, tmp_path: Path) -> None:
    with Server(models=["tiny"]) as server:
        asked = ("--base-url", server.url, "--api", "chat", "--condition", "reasonrank-32b-rader-w10")
        done = place.run("verify", *asked, "--model", "tiny", "-o", tmp_path / "out")
        assert done.returncode == 4, done.stderr
        assert len(server.requests) == 76 * CALLS
    (row,) = table(tmp_path / "out")["rows"]
    assert (round(row["first_stage"], 2), row["published"]) == (43.43, 50.06)


def test_an_interrupted_download_goes_on(place: Place, tmp_path: Path) -> None:
    place.hub.fail(FILE, "truncate", times=2)
    asked = ("reproduce", *ASKED, TASK, "--judge", "oracle")
    done = place.run(*asked, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert place.hub.asked(FILE) == 2 + 1
    again = place.run(*asked, "--depth", "20", "-o", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    assert place.hub.asked(FILE) == 2 + 1, "it is in the cache"
    assert table(tmp_path / "out")["rows"][0]["ours"] > table(tmp_path / "again")["rows"][0]["ours"] > 43.43


def test_another_file_is_refused_with_both_ids(tmp_path: Path) -> None:
    world = small_world(tmp_path, ["biology"])
    made_up = json.dumps({"0": {"biology 0 1": 1.5}}).encode()
    world.files[f"Debrup-61/RaDeR/{RADER}/biology/{FILE}"] = made_up
    expected = first_stage("bright", "rader-bm25").upstream["biology"].git_blob
    found = hashlib.sha1(b"blob %d\0" % len(made_up) + made_up).hexdigest()
    with HubServer(world.files) as hub:
        place = Place(world, hub, tmp_path / "cache")
        for command in (
            ("fetch", *ASKED, "biology", "--no-model"),
            ("reproduce", *ASKED, "biology", "-o", "out"),
        ):
            done = place.run(*command)
            assert done.returncode == 2
            assert f"is not the expected file (git blob id {found} instead of {expected})" in last(done)
            assert place.cached == []


def test_score_files_in_their_authors_folders(tmp_path: Path) -> None:
    """Other tasks' scores have the same form; one document a query is excluded."""
    world = small_world(tmp_path, ["biology", "pony"])
    for task in ("biology", "pony"):
        run = read_run(world.runs / f"{task}.trec")
        folder = tmp_path / RADER / task
        folder.mkdir(parents=True)
        scores = {query: {hit.id: hit.score for hit in hits} for query, hits in run.items()}
        (folder / FILE).write_text(json.dumps(scores, indent=4))
    with HubServer(world.files) as hub, Server(models=["tiny"]) as server:
        place = Place(world, hub, tmp_path / "cache")
        asked = ("--base-url", server.url, "--api", "chat", "--model", "tiny")
        for name, runs in (("json", tmp_path / RADER), ("trec", world.runs)):
            done = place.run(
                "reproduce", *ASKED, "biology", "pony", "--runs", runs, *asked, "-o", tmp_path / name
            )
            assert done.returncode == 4, done.stderr
        assert len(server.requests) == 2 * 4 * SlidingWindow(10, 5).calls(39) * 2
    for task in ("biology", "pony"):
        first, second = (tmp_path / name / task for name in ("json", "trec"))
        assert (first / "run.trec").read_bytes() == (second / "run.trec").read_bytes()
        assert json.loads((first / "manifest.json").read_text())["counts"] == {"excluded": 4}
        assert f"{task} 0 7" not in {hit.id for hit in read_run(first / "run.trec")["0"]}


def test_a_trec_run_comes_before_other_json_of_its_name(tmp_path: Path) -> None:
    world = small_world(tmp_path, ["pony"])
    (world.runs / "pony.json").write_text('{"about": "the run of pony"}')
    with HubServer(world.files) as hub:
        place = Place(world, hub, tmp_path / "cache")
        asked = ("reproduce", "bright", "--tasks", "pony", "--judge", "oracle", "--runs", world.runs)
        assert place.run(*asked, "-o", tmp_path / "out").returncode == 0
        shutil.move(world.runs / "pony.trec", world.runs / "else.trec")
        done = place.run(*asked, "-o", tmp_path / "other")
    assert done.returncode == 2
    assert "pony.json: query 'about' has a string, not an object" in last(done)


def test_all_of_bright_is_estimated_offline(tmp_path: Path) -> None:
    done = reasonrank(
        "reproduce", *ASKED[:-1], "--estimate", "--gpus", "8",
        folder=tmp_path, environment={"HF_HUB_OFFLINE": "1", "REASONRANK_CACHE": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(None, 1) for line in done.stdout.splitlines())
    assert (lines["queries"], lines["windows"]) == ("1384", f"{1384 * CALLS:,}")
    assert "no public run" not in done.stderr
