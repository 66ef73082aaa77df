"""Candidates from Pyserini's REST server: a server with the answers of Pyserini 2.3, and the real one where it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reasonrank_pyserini import jobs, read_run
from reasonrank_pyserini.cli import main
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.first_stages.pyserini_rest import PyseriniRest
from reasonrank_pyserini.jobs.trace import read_trace
from reasonrank_pyserini.testing import check_first_stage
from reasonrank_pyserini.types import Query

TEXTS = {f"d{i}": f"lamp {i}" for i in range(5)}
QUERIES = [Query("1", "why do moths circle lamps"), Query("2", "brass & oil?")]
KEY = "secret1"


class Answers(BaseHTTPRequestHandler):
    """Every query has every document, in the order of TEXTS; as recorded from `python -m pyserini.server.rest`."""

    server: Any

    def do_GET(self) -> None:
        path, given = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        self.server.asked.append(given)
        if self.headers.get("X-API-Key") != KEY:
            self.send(401, {"error": "Unauthorized. To request an access token, email somebody."})
        elif self.server.busy > 0:
            self.server.busy -= 1
            self.send(429, {"error": "Server is busy"}, {"Retry-After": "0"})
        elif path == "/v1/odd/search":
            self.send(200, {"hits": []})
        elif path == "/v1/no/index/search":
            self.send(400, {"error": "Unable to open index: no/index"})
        elif path != "/v1/quick/search":
            self.send(404, {"error": "Expected route /v1/{index}/search or /v1/{index}/doc/{docid}"})
        else:
            self.send(200, self.found(given["query"][0], int(given["hits"][0])))

    def found(self, query: str, hits: int) -> dict[str, Any]:
        kept = list(TEXTS.items())[:hits]
        candidates = [
            {"docid": id, "score": 9.5 - rank, "rank": rank, "doc": json.dumps({"id": id, "contents": text})}
            for rank, (id, text) in enumerate(kept, 1)
        ]
        return {"api": "v1", "index": "quick", "query": {"text": query}, "candidates": candidates}

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.asked, server.busy, server.url = [], 0, f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("PYSERINI_API_KEY", KEY)
    with serving() as server:
        yield server


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def topics(folder: Path) -> Path:
    path = folder / "topics.tsv"
    path.write_text("".join(f"{query.id}\t{query.text}\n" for query in QUERIES))
    return path


@pytest.mark.parametrize("end", ["", "/", "/search"])
def test_it_is_a_first_stage(server: Any, end: str) -> None:
    stage = PyseriniRest(f"{server.url}/quick{end}")
    check_first_stage(stage, QUERIES, k=4)
    (hits, _) = stage.candidates(QUERIES, 2)
    assert [(hit.id, hit.score) for hit in hits] == [("d0", 9.5 - 1), ("d1", 9.5 - 2)]
    assert {given["query"][0] for given in server.asked} == {query.text for query in QUERIES}
    assert all(given["parse"] == ["false"] for given in server.asked)


def test_excluded_documents_do_not_count(server: Any) -> None:
    stage = PyseriniRest(f"{server.url}/quick")
    found = stage.requests(QUERIES, 3, lambda id: frozenset(["d1"] if id == "1" else []))
    assert [[item["docid"] for item in items] for _, items in found] == [
        ["d0", "d2", "d3"],
        ["d0", "d1", "d2"],
    ]


def test_a_busy_server_is_asked_again(server: Any) -> None:
    server.busy = 2
    assert len(PyseriniRest(f"{server.url}/quick", threads=1).candidates(QUERIES[:1], 2)[0]) == 2
    assert len(server.asked) == 2 + 1


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/no/index", "answered 400, Unable to open index: no/index"),
        ("/quick/more", r"answered 404, Expected route .*Pyserini 2\.1"),
        ("/odd", "not that of Pyserini's REST server"),
    ],
)
def test_a_refusal_is_said_in_the_servers_words(server: Any, path: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        PyseriniRest(server.url + path).candidates(QUERIES, 2)


def test_what_cannot_be_asked(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("127.0.0.1:8081/v1/x", "http://127.0.0.1:8081", "http://127.0.0.1:8081/v1/", "ftp://h/v1/x"):
        with pytest.raises(InputError, match="not the address of an index"):
            PyseriniRest(url)
    monkeypatch.delenv("PYSERINI_API_KEY")
    with pytest.raises(InputError, match=r"answered 401, .*PYSERINI_API_KEY"):
        PyseriniRest(f"{server.url}/quick").candidates(QUERIES, 2)
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match=r"no answer .*python -m pyserini.server.rest"):
        PyseriniRest(f"{server.url}/quick").candidates(QUERIES, 2)


def test_the_commands_retrieve_and_rerank(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The texts that are reranked are those that the server sent; the same command again finds its result."""
    monkeypatch.chdir(tmp_path)
    asked = ["--first-stage-url", f"{server.url}/quick", "--topics", topics(tmp_path)]
    assert run("retrieve", *asked, "-k", 4, "-o", "run.trec") == 0
    assert {id: [hit.id for hit in hits] for id, hits in read_run("run.trec").items()} == {
        query.id: ["d0", "d1", "d2", "d3"] for query in QUERIES
    }
    command = ["rerank", *asked, "--model", "nano", "--depth", 4, "-o", "out"]
    assert run(*command) == 0
    assert [sorted(step.window) for step in read_trace(Path("out"))] == [["d0", "d1", "d2", "d3"]] * 2
    before = Path("out/run.trec").read_bytes()
    assert run(*command) == 0
    assert Path("out/run.trec").read_bytes() == before


def test_one_source_of_candidates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "http://127.0.0.1:9/v1/x"
    assert (
        run("rerank", "--first-stage-url", url, "--run", "r.trec", "--model", "nano", "-o", tmp_path / "out")
        == 2
    )
    assert "one of --run" in capsys.readouterr().err
    assert run("rerank", "--first-stage-url", url, "--model", "nano", "-o", tmp_path / "out") == 2
    assert "no queries: add --topics" in capsys.readouterr().err
    assert run("retrieve", "--first-stage-url", url, "-o", tmp_path / "run.trec") == 2
    assert "no queries: add --topics" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("pyserini.server.rest.routes.v1") is None, reason="needs Pyserini 2.1 or newer")
def test_pyserinis_own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the local index, and its texts."""
    from socket import create_server

    import uvicorn

    from reasonrank_pyserini.first_stages.java import import_pyserini
    from reasonrank_pyserini.first_stages.opening import open_stage

    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PYSERINI_API_KEY", raising=False)
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"id": id, "contents": text}) + "\n" for id, text in TEXTS.items()))
    stage: Any = open_stage("bm25", jobs.SearchOptions(), documents=corpus)
    queries = [Query("1", "lamp 3"), Query("2", "lamp")]
    import_pyserini()
    from pyserini.server.rest.app import create_app  # type: ignore[import-not-found,unused-ignore]

    with create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(), log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            rest = PyseriniRest(f"http://127.0.0.1:{listening.getsockname()[1]}/v1/{stage.folder}")
            found, local = rest.candidates(queries, 5), stage.candidates(queries, 5)
            assert [[hit.id for hit in hits] for hits in found] == [
                [hit.id for hit in hits] for hits in local
            ]
            ((_, items), _) = rest.requests(queries, 5)
            assert {item["docid"]: json.loads(item["doc"])["contents"] for item in items} == TEXTS
        finally:
            server.should_exit = True
            thread.join()
