"""The benchmarks of modelled time: the step model's arithmetic, and both scripts at a small size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[1] / "eval" / "bench"
STEPS = """
from simulated_gpu import Speed
from reasonrank_pyserini.models.cost import GPUS, STEP
from reasonrank_pyserini.models.profiles import shipped_profile

for name in ("a100-80g", "h200"):
    speed = Speed.of(shipped_profile("reasonrank-7b"), GPUS[name])
    for windows, cached, steps in ((1, 5687, 750), (256, 256 * 440, 1200), (200, 200 * 100, 900)):
        each = [
            STEP + max(windows * speed.per_prompt_token, speed.per_pass + held * speed.per_cached_token)
            for held in range(cached, cached + windows * steps, windows)
        ]
        assert abs(sum(each) / speed.decode(steps, windows, cached) - 1) < 1e-9
        for made in (1, 2, steps // 2, steps):
            assert speed.steps_by(speed.decode(made, windows, cached), windows, cached) == made
            assert speed.steps_by(0.9999 * speed.decode(made, windows, cached), windows, cached) == made
"""
LIST = """
import random
from quality_table import read_quality
from strategies_in_time import NAMES, QUALITY, rows

found = rows(read_quality(QUALITY))
assert [row.name for row in found[:-1]] == list(NAMES)
assert all(row.quality.ndcg.low < row.quality.ndcg.mean < row.quality.ndcg.high for row in found)
small, long = (row.tokens.new(10, random.Random(1)) for row in (found[2], found[-1]))
assert abs(long - 2 * small) <= 1
"""


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=BENCH, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", [STEPS, LIST], ids=["steps", "list"])
def test_the_parts_are_what_they_say(script: str) -> None:
    run("-c", script)


def test_more_gpus_help_a_single_query_only_where_a_round_has_several_windows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figures, picture = tmp_path / "figures.json", tmp_path / "picture.png"
    names = ("sliding 20/10", "single", "groups, 6 epochs", "groups, 2 epochs + first stage")
    small = ("--queries", "3", "--alone", "1", "--gpus", "1", "8", "--strategies", *names)
    printed = run("strategies_in_time.py", *small, "--json", str(figures), "--picture", str(picture))
    assert printed.startswith("modelled, not measured")
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines: dict[str, Any] = {line["strategy"]: line for line in json.loads(figures.read_text())["lines"]}
    assert list(lines) == list(names)
    for name in ("sliding 20/10", "single"):
        assert lines[name]["alone"]["1"] == lines[name]["alone"]["8"]
    assert lines["groups, 6 epochs"]["alone"]["8"] < lines["groups, 6 epochs"]["alone"]["1"]
    assert [lines[name]["calls"] for name in names] == [9, 1, 30, 10]
    assert lines["sliding 20/10"]["prompt_tokens"] == 9 * 5687


def test_rank1_answers_a_query_alone_sooner_and_the_paper_way_later(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    small = ("--only", "modelled", "--queries", "2", "--answers", "100", "300")
    printed = run("reasonrank_and_rank1.py", *small, "--json", str(figures))
    assert printed.startswith("modelled, not measured")
    found = json.loads(figures.read_text())["modelled"]
    assert (found["tokens"]["ReasonRank"]["calls"], found["tokens"]["Rank1"]["calls"]) == (9, 100)
    assert found["tokens"]["ReasonRank"]["in"] == 9 * 5687
    assert found["tokens"]["Rank1"]["in"] == 100 * (138 + 258)
    short, long = found["by_answer"]["one query alone"]
    assert short["ratio"] < long["ratio"] < 1
    barrier, queue = (found["by_answer"][way][0]["ReasonRank"] for way in list(found["by_answer"])[2:0:-1])
    assert barrier > queue


def test_both_rerankers_ask_one_real_engine_about_the_same_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCH))
    import reasonrank_and_rank1 as bench
    from two_rerankers_measured import Rerankers, made_up, rounds

    given = made_up(1, 30)
    bench.make_model(str(tmp_path / "model"), str(bench.learnt(given, tmp_path / "tokenizer")))
    with Rerankers(tmp_path / "model", "transformers", 0.02, 30) as rerankers:
        found = rounds(rerankers, given, [1], 1)
    line = bench.line(1, found[1])
    assert (line["ReasonRank"]["calls"], line["Rank1"]["calls"]) == (2, 30)
    assert line["ratio"].rounds == 1
    assert line["Rank1"]["new_tokens"] >= 30
