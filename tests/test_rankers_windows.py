"""Whole rerankings by other rerankers: the windows and the order of their authors' programs, recorded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rankers_kit import QUERY, asker, number, qwen, rows

from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.models.profiles import shipped_profile
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.ranking.authors_windows import PROGRAMS, AuthorsWindows
from reasonrank_pyserini.ranking.group_judges import SetwiseJudge
from reasonrank_pyserini.ranking.listwise_judge import LLMJudge
from reasonrank_pyserini.ranking.model_request import SettingOverrides
from reasonrank_pyserini.ranking.scheduler import rerank_query
from reasonrank_pyserini.ranking.score_showing_judge import ScoreShowingJudge
from reasonrank_pyserini.ranking.settings import Settings
from reasonrank_pyserini.strategies import Setwise, SlidingWindow
from reasonrank_pyserini.types import (
    Candidate,
    Document,
    Prompt,
    Ranking,
    Sampling,
)  # fmt: skip

__all__ = ["qwen"]  # fixture


def windows_of(row: dict[str, Any], answers: Sequence[dict[str, Any]], qwen: Any, strategy: Any) -> Ranking:
    """A whole reranking with the recorded answers; what each prompt shows is checked against the recorded call."""
    left = iter(answers)

    def script(prompt: Prompt, sampling: Sampling) -> str:
        call = next(left, {"names": f"no call left in {row['id']}"})
        lines = prompt.text.splitlines()
        shown = re.findall(r"^\[\d+\] (d\d+)", prompt.text, re.MULTILINE)
        assert shown == call["names"], row["id"]
        if "scores" in call:
            scores = [
                line.rpartition(": ")[2] for line in lines if line.startswith("BM25 score for passge [")
            ]
            assert scores == call["scores"], row["id"]
        return str(call["response"] or "")

    n, scores = row["n"], row.get("scores") or [float(row["n"] - at) for at in range(row["n"])]
    candidates = [Candidate(Document(f"d{at}", f"d{at}"), number(scores[at]), at + 1) for at in range(n)]
    style = "insertrank" if "scores" in row else row.get("mode", "rank-k")
    reading = shipped_profile(style).judge.reading
    engine = ScriptedEngine(script)
    judge = LLMJudge(PromptBuilder(style, qwen), engine, Sampling(), compat=True, reading=reading)
    made: Any = ScoreShowingJudge(judge, compat=True) if style == "insertrank" else judge
    ranking = asyncio.run(rerank_query(QUERY, candidates, strategy, made))
    assert engine.calls == len(answers), row["id"]
    return ranking


def test_golden_windows_of_insertrank(shared: Path, qwen: Any) -> None:
    """The program's batched path, which unlike its other one judges a list that is a step shorter than the window."""
    for row in rows(shared, "insertrank", "scores"):
        if row["kind"] != "windows":
            continue
        recorded = row["single"] if row["batched"] == "same" else row["batched"]
        calls = [
            {
                "names": [docid for docid, _ in call["shown"]],
                "scores": [score for _, score in call["shown"]],
                "response": call["response"],
            }
            for call in recorded["calls"]
        ]
        strategy = SlidingWindow(row["window_size"], row["stride"], compat=True)
        ranking = windows_of(row, calls, qwen, strategy)
        assert list(ranking.ids) == [docid for docid, _ in recorded["final"]], row["id"]


def test_golden_windows_of_rank_k(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "rank-k", "scores"):
        if row["kind"] != "windows" or row["raises"] is not None:
            continue
        names = [
            {"names": call["docids"], "response": call["response"]} for call in row["calls"] if call["docids"]
        ]  # prompts without passages are sent by the authors' program alone
        strategy = AuthorsWindows("rank-k", row["rerank_window"], row["rerank_stride"], row["rerank_depth"])
        ranking = windows_of(row, names, qwen, strategy)
        assert list(ranking.ids)[: len(row["final_order"])] == row["final_order"], row["id"]


def test_golden_windows_of_rearank(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "rearank", "scores"):
        if row["kind"] != "windows" or row["raises"] is not None:
            continue
        if (
            len(row["n"]) > 1 and row["batch_size"] > 1
        ):  # the first list of a batch decides the windows of all
            continue
        for query, (n, final) in enumerate(zip(row["n"], row["final"], strict=True)):
            calls = [call for call in row["calls"] if call["qid"] == f"q{query}"]
            names = [{"names": call["docids"], "response": call["response"]} for call in calls]
            strategy = AuthorsWindows("rearank", row["window_size"], row["step"])
            ids = windows_of({"id": row["id"], "n": n, "mode": "rearank"}, names, qwen, strategy).ids
            assert list(ids) == [hit if isinstance(hit, str) else hit[0] for hit in final], row["id"]


@pytest.mark.parametrize(("reading", "program"), PROGRAMS.items())
def test_compat_takes_the_authors_windows(reading: str, program: str) -> None:
    name = {"rearank": "rearank", "rank-k": "rank-k"}[program]
    profile = shipped_profile(name)
    assert profile.judge.reading == reading
    assert isinstance(
        Settings.resolve(profile, SettingOverrides(compat=True)).ranking_strategy, AuthorsWindows
    )
    usual = Settings.resolve(profile).ranking_strategy
    assert (usual.calls(100), usual.calls(95), usual.calls(5)) == (9, 9, 1)


def test_the_passages_own_score_is_shown_by_default(qwen: Any) -> None:
    seen: list[str] = []

    def script(prompt: Prompt, sampling: Sampling) -> str:
        lines = prompt.text.splitlines()
        seen.extend(f"{a} {b.rpartition(' ')[2]}" for a, b in pairwise(lines) if b.startswith("BM25 score"))
        return "[4] > [3] > [2] > [1]"

    candidates = [Candidate(Document(f"d{at}", f"d{at}"), 10.0 - at, at + 1) for at in range(6)]
    judge = ScoreShowingJudge(
        LLMJudge(PromptBuilder("insertrank", qwen), ScriptedEngine(script), Sampling(answer="bare"))
    )
    asyncio.run(rerank_query(QUERY, candidates, SlidingWindow(4, 2), judge))
    assert len(seen) == 8
    assert all(float(line.rpartition(" ")[2]) == 10.0 - int(line.split("d")[1].split()[0]) for line in seen)


def test_golden_heapsorts_of_rank_r1(shared: Path, qwen: Any) -> None:
    """Strategy and judge together: every call shows the recorded passages in the recorded, shuffled order."""
    for row in rows(shared, "rank-r1", "scores"):
        plain = row["kind"] == "sort" and row["method"] == "heapsort" and row["num_permutation"] == 1
        if not plain or row["raises"] is not None or row["seed"] != 929:
            continue
        calls = iter(row["calls"])

        def script(prompt: Prompt, sampling: Sampling, calls: Any = calls, row: Any = row) -> str:
            shown, label = next(calls, ([], None))
            assert re.findall(r"^\[\d+\]: (d\d+)$", prompt.text, re.MULTILINE) == shown, row["id"]
            return "nothing" if label is None else f"<think>x</think><answer>{label}</answer>"

        judge = SetwiseJudge(asker("rank-r1", qwen, script), "best-label", shuffled=True, compat=True)
        strategy = Setwise(k=row["k"], children=row["num_child"], compat=True)
        candidates = [Candidate(Document(f"d{at}", f"d{at}"), rank=at + 1) for at in range(row["n"])]
        ranking = asyncio.run(rerank_query(QUERY, candidates, strategy, judge))
        assert next(calls, None) is None, row["id"]
        assert list(ranking.ids) == [docid for docid, _ in row["ranking"]], row["id"]
