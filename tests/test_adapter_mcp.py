"""`reasonrank mcp` and make_mcp_server, with the SDK's own client: over pipes, over HTTP, and within the process."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from adapters_kit import DEPTH, Reranked, nano
from mcp import Client, StdioServerParameters, stdio_client

from reasonrank_pyserini import Reranker
from reasonrank_pyserini.adapters import make_mcp_server
from reasonrank_pyserini.cli import main
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge

__all__ = ["nano"]  # a fixture
COMMAND = ["-m", "reasonrank_pyserini", "mcp", "--model", "nano", "--depth", str(DEPTH)]
Use = Callable[[Client], Awaitable[Any]]


def ask(target: Any, use: Use) -> Any:
    """What `use` makes of a client that is connected to the target."""

    async def connected() -> Any:
        async with Client(target) as client:
            return await use(client)

    return asyncio.run(connected())


def call(**arguments: Any) -> Use:
    return lambda client: client.call_tool("rerank", arguments)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """Puts the third document first, then the first."""
    with Reranker(OracleJudge({"mcp": {"2": 2, "0": 1}})) as reranker:
        yield make_mcp_server(reranker)


def test_the_tool_is_described(server: Any) -> None:
    (tool,) = ask(server, lambda client: client.list_tools()).tools
    assert tool.name == "rerank"
    assert set(tool.input_schema["properties"]) == {"query", "documents", "top_n"}
    assert tool.input_schema["required"] == ["query", "documents"]
    assert set(tool.output_schema["properties"]) == {"results", "cut_short"}


@pytest.mark.parametrize(("top_n", "count"), [(None, 4), (0, 4), (2, 2), (9, 4)])
def test_positions_come_best_first(server: Any, top_n: int | None, count: int) -> None:
    found = ask(server, call(query="lamp", documents=["a", "b", "a", "c"], top_n=top_n))
    places = [(2, 4 / 4), (0, 3 / 4), (1, 2 / 4), (3, 1 / 4)][:count]
    assert found.structured_content == {
        "results": [{"index": index, "relevance_score": score} for index, score in places],
        "cut_short": False,
    }


def test_no_documents_give_no_places(server: Any) -> None:
    assert ask(server, call(query="lamp", documents=[])).structured_content["results"] == []


def test_what_fails_is_said_to_the_client(server: Any) -> None:
    found = ask(server, call(query="lamp", documents="moth"))
    assert found.is_error
    with Reranker(OracleJudge({})) as reranker:
        closed = make_mcp_server(reranker)
    found = ask(closed, call(query="lamp", documents=["a", "b"]))
    assert found.is_error
    assert "closed" in found.content[0].text


def test_a_cancelled_call_stops_its_model_calls() -> None:
    started, ended = asyncio.Event(), []

    class Waiting:
        async def judge(self, query: Any, documents: Any, number: int = 0) -> Any:
            loop.call_soon_threadsafe(started.set)
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(query.text)
                loop.call_soon_threadsafe(stopped.set)

    async def cancel() -> None:
        async with Client(make_mcp_server(reranker)) as client:
            task = asyncio.ensure_future(
                client.call_tool("rerank", {"query": "lamp", "documents": ["a", "b"]})
            )
            await started.wait()
            task.cancel()
            await stopped.wait()

    stopped = asyncio.Event()
    loop = asyncio.new_event_loop()
    with Reranker(Waiting()) as reranker:
        loop.run_until_complete(cancel())
    loop.close()
    assert ended == ["lamp"]


def expected(nano: Reranked) -> tuple[dict[str, Any], list[int]]:
    """A call for the first query, and the positions that `rerank_many` gives."""
    query = nano.queries[0]
    ids = [candidate.id for candidate in nano.candidates[query.id]]
    texts = [candidate.document.text for candidate in nano.candidates[query.id]]
    return {"query": query.text, "documents": texts}, [ids.index(id) for id in nano.orders[query.id]]


def indices(found: Any) -> list[int]:
    return [place["index"] for place in found.structured_content["results"]]


def test_nano_over_pipes(nano: Reranked, tmp_path: Path) -> None:
    """The client fails on a line of standard output that is not the protocol's."""
    arguments, order = expected(nano)
    server = StdioServerParameters(command=sys.executable, args=COMMAND, cwd=tmp_path)
    with (tmp_path / "errors.txt").open("w") as errors:
        found = ask(stdio_client(server, errlog=errors), call(**arguments))
    assert indices(found) == order


def test_nano_over_http(nano: Reranked) -> None:
    arguments, order = expected(nano)
    with subprocess.Popen(
        [sys.executable, *COMMAND, "--http", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            said = (re.search(r"MCP at (http://\S+)", line) for line in process.stderr or ())
            url = next(line[1] for line in said if line)
            found = ask(url, call(**arguments))
        finally:
            process.terminate()
        assert process.communicate(timeout=600)[0] == ""
    assert indices(found) == order


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "no model: give --model M"),
        (["--model", "nano", "--http", "8001"], "--http '8001' is not HOST:PORT"),
        (["--model", "nano", "--http", "localhost:70000"], "is not HOST:PORT"),
        (["--model", "nano", "--engine", "none"], "none"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["mcp", *arguments])
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert problem in err
