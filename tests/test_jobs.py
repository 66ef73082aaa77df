"""Retrieving and reranking from Python as a user's script does it: typed requests, nothing of the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from http_server import Server, answer, status

from reasonrank_pyserini import Candidate, Document, Query
from reasonrank_pyserini.errors import InputError, TooManyFailuresError, UnknownNameError
from reasonrank_pyserini.jobs import (
    CollectionRequest,
    FusionOptions,
    ModelRequest,
    OracleRequest,
    RerankRequest,
    RetrieveRequest,
    SettingOverrides,
    estimate,
    rerank,
    retrieve,
)
from reasonrank_pyserini.types import ScoredDocument

QUERIES, DEPTH = 4, 40
WINDOWS = QUERIES * 3  # 40 candidates in windows of 20, step 10
DOCUMENTS = [Document(f"d{i}", f"passage {i}") for i in range(DEPTH)]
TOPICS = [Query(f"q{number}", f"question {number}") for number in range(QUERIES)]
RUN = {query.id: [ScoredDocument(d.id, float(-rank)) for rank, d in enumerate(DOCUMENTS)] for query in TOPICS}
WORLD = CollectionRequest(corpus=DOCUMENTS, topics=TOPICS)
QRELS = {query.id: {"d33": 1, "d7": 2} for query in TOPICS}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def model(server: Server, **settings: Any) -> ModelRequest:
    return ModelRequest(
        model="tiny",
        base_urls=(server.url,),
        api="chat",
        engine_args={"backoff": 0.01},
        settings=SettingOverrides(**settings),
    )


def test_objects_in_a_folder_out_and_nothing_is_asked_twice(server: Server, tmp_path: Path) -> None:
    lines: list[str] = []
    request = RerankRequest(output=tmp_path / "out", judge=model(server), run=RUN, collection=WORLD)
    result = rerank(request, say=lines.append)
    assert (result.counts.queries, result.counts.windows) == (QUERIES, WINDOWS)
    assert (result.counts.statuses, result.complete) == ({"CLEAN": WINDOWS}, True)
    assert [hit.id for hit in result.run()["q2"]][:3] == ["d39", "d38", "d37"]
    assert {path.name for path in result.folder.iterdir()} >= {"run.trec", "trace.jsonl", "manifest.json"}
    assert lines[-1].startswith(f"{WINDOWS}/{WINDOWS} windows")
    again = rerank(request, say=lines.append)
    assert (again.already_there, again.counts.statuses) == (True, result.counts.statuses)
    assert "nothing to do (`overwrite` runs it again)" in lines[-1]
    replayed = rerank(replace(request, replay=True))
    assert (replayed.replayed, replayed.already_there, replayed.complete) == (True, True, True)
    assert len(server.requests) == WINDOWS


def test_another_input_is_another_result(server: Server, tmp_path: Path) -> None:
    request = RerankRequest(output=tmp_path / "out", judge=model(server), run=RUN, collection=WORLD)
    rerank(request)
    other = [Document(document.id, document.text + "!") for document in DOCUMENTS]
    changes = (
        {"run": {**RUN, "q0": RUN["q0"][1:]}},
        {"collection": replace(WORLD, corpus=other)},
        {"collection": replace(WORLD, topics=[Query(query.id, "?") for query in TOPICS])},
        {"collection": replace(WORLD, excluded={"q0": ["d0"]})},
    )
    for change in changes:
        with pytest.raises(InputError, match="holds the result of another configuration"):
            rerank(replace(request, **change))
    result = rerank(replace(request, **changes[-1], overwrite=True))
    assert len(result.run()["q0"]) == DEPTH - 1


@dataclass
class Hit:
    """A hit as Pyserini gives it."""

    docid: str
    score: float
    raw: str | None = None


def test_requests_of_hits_with_their_texts(server: Server, tmp_path: Path) -> None:
    hits = [
        Hit(d.id, 40.0 - i, json.dumps({"id": d.id, "contents": d.text})) for i, d in enumerate(DOCUMENTS)
    ]
    request = RerankRequest(
        output=tmp_path / "out", judge=model(server), requests=[(TOPICS[0], [*hits, hits[0]])], limit=1
    )
    result = rerank(request)
    assert [hit.id for hit in result.run()["q0"]][:2] == ["d39", "d38"]
    written = json.loads((tmp_path / "out" / "results.jsonl").read_text())
    assert written["query"]["qid"] == "q0"
    textless = [(query, [Hit(d.id, 1.0) for d in DOCUMENTS[:5]]) for query in TOPICS]
    with pytest.raises(InputError, match="5 of 5 candidates have no text"):
        rerank(replace(request, requests=textless, output=tmp_path / "two"))
    found = rerank(replace(request, requests=textless, collection=WORLD, output=tmp_path / "two", limit=None))
    assert [len(hits) for hits in found.run().values()] == [5] * QUERIES


def test_the_library_names_settings_and_not_options(server: Server, tmp_path: Path) -> None:
    request = RerankRequest(output=tmp_path / "out", judge=model(server), run=RUN, collection=WORLD)
    wrong = {
        "give `output`, the folder": {"output": None},
        "give one of `run`": {"requests": [(TOPICS[0], DOCUMENTS)]},
        "leave `deadline` out": {"replay": True, "deadline": 3.0},
        "`dataset` and `corpus` exclude each other": {"collection": replace(WORLD, dataset="nano/test")},
        "no queries: add `topics`": {"collection": CollectionRequest(corpus=DOCUMENTS)},
        "give the `topics` that the run was made from": {"collection": replace(WORLD, topics=TOPICS[:2])},
        "40 of 40 candidates of query q0 are not in the corpus": {"collection": replace(WORLD, corpus=[])},
        "`judge` oracle reranks a `run`": {
            "judge": OracleRequest(qrels=QRELS), "run": None, "requests": [(TOPICS[0], DOCUMENTS)],
        },
        "lower `reasoning_tokens`": {"judge": model(server, reasoning_tokens=5000)},
    }  # fmt: skip
    for message, change in wrong.items():
        with pytest.raises(InputError) as caught:
            rerank(replace(request, **change))
        assert message in str(caught.value)
        assert " --" not in str(caught.value)
    with pytest.raises(UnknownNameError, match="unknown query 'q9'"):
        rerank(replace(request, query_ids=("q9",)))
    assert server.requests == []
    assert not (tmp_path / "out").exists()


def test_failures_are_kept_counted_and_asked_again(server: Server, tmp_path: Path) -> None:
    request = RerankRequest(
        output=tmp_path / "out", judge=model(server), run=RUN, collection=WORLD, on_error="keep"
    )
    server.script(status(400, "no"))
    result = rerank(request)
    assert (result.counts.errors, result.complete, sum(result.counts.error_messages.values())) == (
        1,
        False,
        1,
    )
    assert rerank(request).complete


def test_too_many_failures_end_the_run_and_name_the_setting(server: Server, tmp_path: Path) -> None:
    server.always = answer("no order")
    many = {f"q{number}": RUN["q0"] for number in range(20)}
    topics = [Query(id, "question") for id in many]
    lines: list[str] = []
    request = RerankRequest(
        output=tmp_path / "out", judge=model(server), run=many, collection=replace(WORLD, topics=topics)
    )
    with pytest.raises(TooManyFailuresError, match=r"more than `max_failed` 0\.5 allows"):
        rerank(request, say=lines.append)
    assert "stopped; answers so far are in" in lines[-1]


def test_a_display_sees_every_window(server: Server, tmp_path: Path) -> None:
    class Display:
        def __init__(self) -> None:
            self.seen: list[int] = []
            self.closed = 0

        def update(self, progress: Any) -> None:
            self.seen.append(progress.done)

        def close(self) -> None:
            self.closed += 1

    display = Display()
    rerank(
        RerankRequest(output=tmp_path / "out", judge=model(server), run=RUN, collection=WORLD),
        display=display,
    )
    assert (display.seen, display.closed) == (list(range(1, WINDOWS + 1)), 1)


def test_an_oracle_needs_neither_texts_nor_queries(tmp_path: Path) -> None:
    request = RerankRequest(output=tmp_path / "out", judge=OracleRequest(qrels=QRELS), run=RUN)
    result = rerank(request)
    assert [hit.id for hit in result.run()["q3"]][:3] == ["d7", "d33", "d0"]
    found = estimate(replace(request, output=None))
    assert (found.queries, found.windows, found.prompt_tokens) == (QUERIES, WINDOWS, None)


def test_an_estimate_measures_prompts_and_asks_for_no_answer(server: Server) -> None:
    found = estimate(RerankRequest(judge=model(server), run=RUN, collection=WORLD))
    assert (found.windows, found.measured) == (WINDOWS, QUERIES)
    assert found.prompt_tokens is not None
    assert found.context is not None
    assert found.prompt_tokens < found.context
    assert server.requests == []


def test_retrieval_fuses_runs_in_memory_and_writes_them(tmp_path: Path) -> None:
    runs = (
        {"q": ["a", "b", "c"]},
        {"q": [("c", 2.0), ("b", 1.0)], "p": [Candidate(Document("a", "x"), 3.0)]},
    )
    request = RetrieveRequest(
        runs=runs, k=2, fuse=FusionOptions(method="rrf"), output=tmp_path / "fused.trec",
        collection=CollectionRequest(excluded={"q": ["a"]}),
    )  # fmt: skip
    result = retrieve(request)
    assert [query.id for query in result.queries] == ["q", "p"]
    assert {id: [hit.id for hit in hits] for id, hits in result.run.items()} == {"q": ["b", "c"], "p": ["a"]}
    lines = (tmp_path / "fused.trec").read_text().splitlines()
    assert lines[0].split()[:4] == ["q", "Q0", "b", "1"]
    assert lines[0].endswith(" run-run-rrf")
    with pytest.raises(InputError, match="2 first stages: give `fuse` rrf"):
        retrieve(replace(request, fuse=None))
    with pytest.raises(InputError, match="no first stage: give `methods`"):
        retrieve(RetrieveRequest())
    with pytest.raises(InputError, match="a hit is a int"):
        retrieve(RetrieveRequest(runs=({"q": [1]},)))


SCRIPT = """
import sys
from reasonrank_pyserini import Document, Query
from reasonrank_pyserini.jobs import CollectionRequest, ModelRequest, RerankRequest, rerank

url, output = sys.argv[1:]
documents = [Document(f"d{i}", f"passage {i}") for i in range(40)]
topics = [Query(f"q{i}", f"question {i}") for i in range(12)]

if __name__ == "__main__":
    result = rerank(
        RerankRequest(
            output=output,
            judge=ModelRequest(model="tiny", base_urls=(url,), api="chat", engine_args={"concurrency": 2}),
            run={query.id: [document.id for document in documents] for query in topics},
            collection=CollectionRequest(corpus=documents, topics=topics),
        ),
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(result.counts.windows, result.complete, "reasonrank_pyserini.cli" in sys.modules)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_script_that_is_interrupted_continues(server: Server, tmp_path: Path, number: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    out, windows = tmp_path / "out", 12 * 3
    command = [sys.executable, str(script), server.url, str(out)]

    server.stall_after = 10
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    server.until_stalled(2, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=600)
    assert process.returncode != 0
    if number == signal.SIGINT:
        assert "stopped; answers so far are in" in err
    assert not (out / "run.trec").exists()
    server.stall_after, asked = None, len(server.requests)
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout) == (0, f"{windows} True False\n"), done.stderr
    assert json.loads((out / "manifest.json").read_text())["cached"] == windows - (
        len(server.requests) - asked
    )
    assert len(server.requests) <= windows + 2, "at most the calls under way were made twice"
