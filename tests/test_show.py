from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_kit import WritingJudge, rerank

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.errors import FileFormatError, InputError, UnknownNameError
from reasonrank_pyserini.jobs.trace import (
    QueryResult,
    TracedWindow,
    by_query,
    orders,
    read_manifest,
    read_query,
    read_trace,
)
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge

RUN = {"q1": ["a", "b", "c", "d"], "q2": ["e", "f"]}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    judge = WritingJudge(OracleJudge({"q1": {"d": 1}}))
    return rerank(tmp_path / "out", RUN, queries={"q1": "moths"}, judge=judge, window=(2, 1))


def show(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["show", *arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_ranks_before_and_after_and_every_window(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(str(out), "--query", "q1", "--top", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "query q1: 3 windows, 4 candidates reranked"
    assert [line.split() for line in lines[3:5]] == [["1", "4", "+3", "d"], ["2", "1", "-1", "a"]]
    assert sum("CLEAN" in line for line in lines) == 3
    assert "  The query asks: moths" in lines


def test_an_unknown_query_names_those_that_exist(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(str(out), "--query", "q3") == 2
    assert "unknown query 'q3': known: q1, q2" in capsys.readouterr().err


def test_control_characters_do_not_reach_the_terminal(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = {
        "query_id": "q",
        "window": ["a"],
        "order": ["a"],
        "status": "\x1b[2J",
        "reasoning": "\x1b[31m\u202e",
    }
    (out / "trace.jsonl").write_text(json.dumps(line) + "\n")
    assert show(str(out), "--query", "q") == 0
    shown = capsys.readouterr().out
    assert not set("\x1b\u202e") & set(shown)
    assert "\N{REPLACEMENT CHARACTER}[31m" in shown


def window(shown: str, order: str) -> TracedWindow:
    return TracedWindow("q", tuple(shown), tuple(order), "CLEAN")


def test_orders_follow_the_windows_upwards() -> None:
    assert orders([window("cd", "dc"), window("bd", "db"), window("ad", "ad")]) == (
        list("abcd"),
        list("adbc"),
    )
    assert orders([]) == ([], [])


def test_one_query_of_a_trace(out: Path) -> None:
    windows = tuple(window for window in read_trace(out) if window.query_id == "q1")
    assert read_query(str(out), "q1") == QueryResult(
        "q1", ("a", "b", "c", "d"), ("d", "a", "b", "c"), windows
    )
    assert len(windows) == 3
    with pytest.raises(UnknownNameError, match="unknown query 'q3'"):
        read_query(out, "q3")


def test_windows_are_grouped_by_query(out: Path) -> None:
    found = by_query(read_trace(out))
    assert {id: len(windows) for id, windows in found.items()} == {"q1": 3, "q2": 1}
    assert orders(found["q1"]) == (["a", "b", "c", "d"], ["d", "a", "b", "c"])


def test_the_last_line_may_be_unfinished_only_while_it_is_written(out: Path) -> None:
    whole = (out / "trace.jsonl").read_text()
    (out / "trace.jsonl").write_text(whole[:-10])
    with pytest.raises(FileFormatError, match=r"trace\.jsonl:4: not JSON"):
        list(read_trace(out))
    (out / "trace.jsonl").rename(out / "trace.jsonl.part")
    assert len(list(read_trace(out))) == 3


def test_a_manifest_is_empty_until_the_end(out: Path, tmp_path: Path) -> None:
    assert read_manifest(out)["windows"] == 4
    assert read_manifest(tmp_path) == {}
    with pytest.raises(InputError, match="holds no trace"):
        read_trace(tmp_path)
