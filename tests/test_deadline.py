"""A query's deadline: the order so far, marked, its calls cancelled; and what becomes of it in a folder."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner
from commands import reasonrank
from http_server import Request, Server, hang

from reasonrank_pyserini import Document, Query, Reranker, read_run
from reasonrank_pyserini.cli import rerank
from reasonrank_pyserini.errors import EngineError, InputError
from reasonrank_pyserini.types import Verdict

DOCUMENTS = [Document(f"d{i}", f"text {i}") for i in range(50)]


class Clock(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class Late:
    """Reverses windows; while it judges window number `at` of a query called late an hour goes by."""

    def __init__(self, at: int) -> None:
        self.at, self.cancelled = at, 0

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        if query.id == "late" and window == self.at:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, Clock)
            loop.ahead += 3600
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return Verdict(tuple(reversed(range(len(documents)))))


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with patch.object(asyncio, "new_event_loop", Clock):
        yield


@pytest.mark.parametrize("judged", [0, 1, 2, 3])
def test_the_order_so_far_is_taken_and_marked(judged: int) -> None:
    judge = Late(judged)
    with Reranker(judge) as reranker:
        ranking = reranker.rerank(Query("late", "x"), DOCUMENTS, deadline=600)
        whole = reranker.rerank(Query("other", "x"), DOCUMENTS, deadline=600)
    order = list(range(50))
    for begin in (30, 20, 10, 0)[:judged]:
        order[begin : begin + 20] = order[begin : begin + 20][::-1]
    assert ranking.ids == tuple(f"d{i}" for i in order)
    assert (ranking.cut_short, len(ranking.steps), judge.cancelled) == (True, judged, 1)
    assert (whole.cut_short, len(whole.steps)) == (False, 4)


def test_each_query_of_many_has_its_own_deadline() -> None:
    queries = [(Query(name, "x"), DOCUMENTS) for name in ("late", "a", "b")]
    with Reranker(Late(3), deadline=600) as reranker:
        found = {ranking.query.id: ranking for ranking in reranker.rerank_many(queries)}
    assert {name: len(ranking.steps) for name, ranking in found.items()} == {"late": 3, "a": 4, "b": 4}
    assert found["late"].cut_short


def test_windows_that_ran_side_by_side_and_ended_in_time_count() -> None:
    class Halves:
        """Two windows at once, then nothing."""

        def rank(self, n: int) -> Any:
            yield [tuple(range(0, n, 2)), tuple(range(1, n, 2))]
            return tuple(range(n))

        def calls(self, n: int) -> int:
            return 2

        def rounds(self, n: int) -> int:
            return 1

        def passages(self, n: int) -> int:
            return n

    with Reranker(Late(1), strategy=Halves(), deadline=600) as reranker:
        ranking = reranker.rerank(Query("late", "x"), DOCUMENTS[:6])
    assert ranking.ids == ("d4", "d1", "d2", "d3", "d0", "d5")


def test_a_judges_own_timeout_is_a_failure() -> None:
    class Impatient:
        async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
            raise TimeoutError("a server's")

    with Reranker(Impatient(), deadline=600) as reranker, pytest.raises(TimeoutError, match="a server's"):
        reranker.rerank("q", DOCUMENTS)


def test_a_failure_is_not_hidden_by_a_deadline() -> None:
    class Failing:
        async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
            raise EngineError("boom")

    with Reranker(Failing(), deadline=600) as reranker, pytest.raises(EngineError, match="boom"):
        reranker.rerank("q", DOCUMENTS)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_deadline_is_above_zero(seconds: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        Reranker(Late(0), deadline=seconds)
    with Reranker(Late(0)) as reranker:
        with pytest.raises(InputError, match="above 0"):
            reranker.rerank("q", DOCUMENTS, deadline=seconds)
        with pytest.raises(InputError, match="above 0"):
            next(reranker.rerank_many([("q", DOCUMENTS)], deadline=seconds))


def command(requests: Path, server: Server, output: Path, deadline: str) -> subprocess.CompletedProcess[str]:
    return reasonrank(
        "rerank", "--requests", requests, "--model", "tiny", "--base-url", server.url, "--api", "chat",
        "-o", output, "--deadline", deadline,
    )  # fmt: skip


def ranking_ids(output: Path) -> list[str]:
    return [line.id for line in read_run(output / "run.trec")["q"]]


def test_by_the_command_line_it_is_counted_and_never_taken_for_complete(tmp_path: Path) -> None:
    candidates = [{"docid": f"d{i}", "score": 40 - i, "doc": {"contents": f"passage {i}"}} for i in range(40)]
    requests, out = tmp_path / "requests.jsonl", tmp_path / "out"
    requests.write_text(
        json.dumps({"query": {"text": "question", "qid": "q"}, "candidates": candidates}) + "\n"
    )

    def second(request: Request) -> Any:
        return hang() if len(server.requests) > 1 else None

    with Server(choose=second) as server:
        cut = command(requests, server, out, "4")
        summary = json.loads(cut.stdout)
        assert (cut.returncode, summary["deadline"], summary["errors"]) == (3, 1, 0), cut.stderr
        assert "1 of 1 queries reached the deadline" in cut.stderr
        manifest = json.loads((out / "manifest.json").read_text())
        trace = (out / "trace.jsonl").read_text().splitlines()
        assert (manifest["deadline"], manifest["windows"]) == (1, len(trace))
        assert sorted(ranking_ids(out)) == sorted(f"d{i}" for i in range(40))
        server.choose, asked = None, len(server.requests)
        done = command(requests, server, out, "100")
        assert (done.returncode, json.loads(done.stdout)["deadline"]) == (0, 0), done.stderr
        assert len(server.requests) - asked == 3 - len(trace), "what was answered is not asked again"
        while server.gone < len(server.requests) - 3:  # the calls under way were cancelled
            time.sleep(0.01)
    assert ranking_ids(out)[:2] == ["d39", "d38"]


def test_the_command_line_refuses_a_deadline_of_nothing(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        rerank.command, ["--requests", "x.jsonl", "--deadline", "0", "-o", str(tmp_path)]
    )
    assert (done.exit_code, "--deadline" in done.output) == (2, True)
