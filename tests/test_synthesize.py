"""`reasonrank synthesize` as a user runs it, against a teacher on a real HTTP server."""

from __future__ import annotations

import dataclasses
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from http_server import answer, hang, status
from teacher_server import Teaching, teaching, user_message, world

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.files.corpora import Corpus
from reasonrank_pyserini.jobs.collection import CollectionRequest
from reasonrank_pyserini.jobs.saying import Standing
from reasonrank_pyserini.runfile import read_run
from reasonrank_pyserini.training import synthesis
from reasonrank_pyserini.training.list_records import read_records
from reasonrank_pyserini.training.rendering import read_examples
from reasonrank_pyserini.training.rewards import multi_view_reward
from reasonrank_pyserini.training.synthesis.synthesis_folder import FILES

REASONRANK = [sys.executable, "-c", "from reasonrank_pyserini.cli import main; main()"]
CONCURRENCY = 4


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def synthesize(arguments: list[str], *more: str, status: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        main([*arguments, *more])
    assert end.value.code == status


def synthesized(arguments: list[str], server: Teaching, output: Path, *more: str) -> dict[str, Any]:
    """The manifest of a synthesis that has to succeed."""
    synthesize(arguments, "--base-url", server.url, "-o", str(output), *more)
    return dict(json.loads((output / "manifest.json").read_text()))


def test_lists_are_made_kept_and_rendered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, out = world(tmp_path, 6, relevant=4), tmp_path / "out"
    with teaching() as server:
        manifest = synthesized(arguments, server, out, "--price-in", "2", "--price-out", "10")
    assert manifest["counts"] == json.loads(capsys.readouterr().out)
    assert {path.name for path in out.iterdir()} == {*FILES, "manifest.json", "journal"}
    calls = 6 + 4
    assert manifest["counts"]["all"] == {
        "calls": calls,
        "prompt_tokens": calls * 1000,
        "completion_tokens": calls * 100,
        "money": pytest.approx(calls * (1000 * 2 + 100 * 10) / 1e6),
    }
    assert manifest["counts"]["datasets"] == {"sources": {"sources": 6, "kept": 4}}
    records = list(read_records(out / "records.jsonl"))
    assert [record.qid for record in records] == ["q0", "q1", "q2", "q3"]
    for number, record in enumerate(records):
        assert sorted(record.initial_list) == sorted(record.final_list)
        assert len(record.initial_list) == 20
        assert set(record.relevant_docids) == {f"d {number} {i}" for i in range(3)}
        assert record.final_list[2] == f"d {number} 2"
        assert record.reasoning.startswith(f"The request is about topic {number}.")
    assert [(row["qid"], row["reason"]) for row in rows(out / "filtered.jsonl")] == [
        ("q4", "nothing relevant"),
        ("q5", "nothing relevant"),
    ]


class Display:
    """Notes how many outcomes it is shown."""

    def __init__(self) -> None:
        self.seen: list[int | str] = []

    def update(self, standing: Standing) -> None:
        self.seen.append(standing.done)

    def close(self) -> None:
        self.seen.append("closed")


def test_the_same_lists_from_python_with_objects_in_place_of_files(tmp_path: Path) -> None:
    arguments = world(tmp_path, 3)
    with teaching() as server:
        synthesized(arguments, server, tmp_path / "files")
        request = synthesis.SynthesisRequest(
            sources=tuple(synthesis.read_sources(tmp_path / "sources.jsonl", "qa")),
            teacher=synthesis.TeacherOptions(
                model="teacher", base_urls=(server.url,), price_in=1, price_out=2
            ),
            candidates=synthesis.CandidateOptions(
                collection=CollectionRequest(corpus=list(Corpus(tmp_path / "corpus.jsonl"))),
                run=read_run(tmp_path / "run.trec"),
            ),
            output=tmp_path / "objects",
        )
        estimate = synthesis.estimate(request)
        said, display = list[str](), Display()
        done = synthesis.run(request, say=said.append, display=display)
        asked = len(server.requests)
        again = synthesis.run(request, say=said.append)
        assert len(server.requests) == asked == 2 * (3 + 3)
    assert (estimate.queries, estimate.calls) == (3, 6)
    assert estimate.cost == pytest.approx((estimate.tokens_in * 1 + 6 / 2 * 2500 * 2) / 1e6)
    assert (done.kept, done.failed_calls, display.seen) == (3, 0, [0, 1, 2, 3, "closed"])
    assert again == done
    assert "nothing to do" in said[-1]
    for name in FILES:
        assert (tmp_path / "files" / name).read_bytes() == (tmp_path / "objects" / name).read_bytes(), name
    with pytest.raises(InputError, match=r"settings\.limit: null there, 2 now"):
        synthesis.run(dataclasses.replace(request, limit=2))
    with pytest.raises(InputError, match="give `output`"):
        synthesis.run(dataclasses.replace(request, output=None))


def test_rendered_examples_earn_the_full_reward(tmp_path: Path) -> None:
    with teaching() as server:
        synthesized(world(tmp_path, 3), server, tmp_path / "out")
    supervised = list(read_examples(tmp_path / "out" / "sft.jsonl"))
    rewarded = list(read_examples(tmp_path / "out" / "rl.jsonl"))
    assert (
        [example.id for example in supervised] == [example.id for example in rewarded] == ["q0", "q1", "q2"]
    )
    for taught, asked in zip(supervised, rewarded, strict=True):
        assert taught.prompt_messages == asked.prompt_messages
        assert "Why does topic" in asked.prompt_messages[-1]["content"]
        earned = multi_view_reward(
            taught.answer, label=asked.label, initial_list=asked.initial_list, relevant=asked.relevant
        )
        assert earned == pytest.approx(1 + 0.2 + 0.1)


def test_only_the_first_call_sees_the_gold_answer(tmp_path: Path) -> None:
    with teaching() as server:
        synthesized(world(tmp_path, 5), server, tmp_path / "out")
    seen = Counter("secret" in prompt for prompt in server.prompts)
    assert seen == {True: 5, False: 5}
    assert all("none </answer>" in prompt for prompt in server.prompts if "secret" in prompt)


def test_what_is_kept_rises_as_the_teachers_noise_falls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, kept = world(tmp_path, 60), {}
    for noise in (8.0, 4.0, 2.0, 0.0):
        with teaching(noise) as server:
            kept[noise] = synthesized(arguments, server, tmp_path / f"noise-{noise}", "--seed", "3")[
                "counts"
            ]["kept"]
        assert "<- threshold" in capsys.readouterr().err
    assert kept[8.0] < kept[4.0] < kept[2.0] < kept[0.0] == 60
    assert kept[8.0] < 60 / 2


def test_another_threshold_asks_nothing_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, out = world(tmp_path, 20), tmp_path / "out"
    with teaching(1.0) as server:
        loose = synthesized(arguments, server, out)["counts"]
        asked = len(server.requests)
        synthesize(arguments, "--base-url", server.url, "-o", str(out), "--min-ndcg", "0.9", status=2)
        assert "min_ndcg: 0.4 there, 0.9 now" in capsys.readouterr().err
        tight = synthesized(arguments, server, out, "--min-ndcg", "0.9", "--overwrite")["counts"]
        assert len(server.requests) == asked == 40
    assert tight["kept"] < loose["kept"]
    assert tight["this_time"]["calls"] == 0
    assert tight["all"] == loose["all"]
    assert len(rows(out / "records.jsonl")) + len(rows(out / "filtered.jsonl")) == 20


def test_a_synthesis_killed_twice_continues_and_pays_no_answered_call_again(tmp_path: Path) -> None:
    arguments, out, queries = world(tmp_path, 40), tmp_path / "out", 40
    draw = random.Random()
    with teaching(delay=0.05) as server:
        teach = server.choose
        command = [
            *REASONRANK, *arguments, "--base-url", server.url, "--engine-arg", f"concurrency={CONCURRENCY}",
            "-o", str(out),
        ]  # fmt: skip
        for _ in range(2):
            enough = len(server.requests) + draw.randrange(8, 25)
            server.choose = lambda r, most=enough: hang() if len(server.requests) > most else teach(r)  # type: ignore[misc]
            with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                while len(server.requests) < enough and process.poll() is None:
                    time.sleep(0.002)
                process.send_signal(signal.SIGKILL)
            assert process.returncode == -signal.SIGKILL
            assert not list(out.glob("*.jsonl"))
        server.choose = teach
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        asked = Counter(map(user_message, server.requests))
    counts = json.loads(done.stdout)
    assert (counts["kept"], counts["all"]["calls"], len(asked)) == (queries, 2 * queries, 2 * queries)
    assert asked.total() <= 2 * queries + 2 * CONCURRENCY
    assert counts["this_time"]["calls"] < 2 * queries


def test_the_same_command_again_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, out = world(tmp_path, 2), tmp_path / "out"
    with teaching() as server:
        first = synthesized(arguments, server, out)["counts"]
        capsys.readouterr()
        assert synthesized(arguments, server, out)["counts"] == first
        assert len(server.requests) == 4
    assert "nothing to do" in capsys.readouterr().err


def test_a_call_that_fails_ends_the_run_or_drops_its_query(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, out = world(tmp_path, 4), tmp_path / "out"
    with teaching() as server:
        usual = server.choose
        server.choose = lambda request: (
            status(422, "no such thing") if "topic 2 behave" in user_message(request) else usual(request)  # type: ignore[misc]
        )
        one = ("--engine-arg", "concurrency=1")  # so that others were answered before
        synthesize(arguments, "--base-url", server.url, *one, "-o", str(out), status=1)
        error = capsys.readouterr().err
        assert "query q2" in error
        assert "the same command continues" in error
        assert not (out / "records.jsonl").exists()
        synthesize(arguments, "--base-url", server.url, "-o", str(out), "--on-error", "drop", status=3)
    assert json.loads(capsys.readouterr().out)["dropped"] == {"failed call": 1}
    assert [row["qid"] for row in rows(out / "records.jsonl")] == ["q0", "q1", "q3"]


def test_a_teacher_that_cannot_be_read_is_not_paid_to_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with teaching() as server:
        server.choose = lambda request: answer("I would rather not.", finish="length", completion_tokens=8192)
        more = ["--engine-arg", "concurrency=2", "-o", str(tmp_path / "out")]
        synthesize(world(tmp_path, 120), "--base-url", server.url, *more, status=1)
        assert 50 <= len(server.requests) < 60
    error = capsys.readouterr().err
    assert "50 of 50 queries gave nothing that can be read" in error
    assert "raise --max-tokens" in error


def test_a_rate_limit_is_waited_out(tmp_path: Path) -> None:
    with teaching() as server:
        server.script(*[status(429, "slow down", headers={"Retry-After": "0.1"})] * 3)
        counts = synthesized(world(tmp_path, 4), server, tmp_path / "out", "--engine-arg", "backoff=0.01")[
            "counts"
        ]
    assert (counts["kept"], counts["all"]["calls"], len(server.requests)) == (4, 8, 8 + 3)


def test_interrupted_it_says_how_to_go_on(tmp_path: Path) -> None:
    arguments, out = world(tmp_path, 12), tmp_path / "out"
    with teaching() as server:
        server.stall_after = 6
        command = [
            *REASONRANK, *arguments, "--base-url", server.url, "--engine-arg", "concurrency=2", "-o", str(out),
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            server.until_stalled(2, process)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=600)
        assert process.returncode == 130, error
        assert "Traceback" not in error
        assert "the same command continues" in error
        server.stall_after = None
        counts = synthesized([*arguments, "--engine-arg", "concurrency=2"], server, out)["counts"]
    assert (counts["kept"], counts["all"]["calls"]) == (12, 24)
    assert counts["this_time"]["calls"] <= 24 - 4
    assert len(server.requests) <= 24 + 2


@pytest.mark.slow
def test_pages_and_a_search_give_the_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path / "cache"))
    world(tmp_path, 5)
    for q in range(5):
        (tmp_path / f"{q}.html").write_text(f"<html><body><p>Linked: topic {q} grade 2.</p></body></html>")
    sources = [
        {
            "id": f"q{q}",
            "query": f"Why does topic {q} behave so?",
            "pages": [{"file": f"{q}.html", "url": f"u{q}"}],
        }
        for q in range(5)
    ]
    (tmp_path / "linked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sources))
    arguments = [
        *REASONRANK, "synthesize", "--sources", str(tmp_path / "linked.jsonl"), "--domain", "qa", "--corpus",
        str(tmp_path / "corpus.jsonl"), "--method", "bm25", "--model", "teacher", "-o", str(tmp_path / "out"),
    ]  # fmt: skip
    with teaching() as server:
        done = subprocess.run(
            [*arguments, "--base-url", server.url], capture_output=True, text=True, timeout=600, check=False
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kept"] == 5
    for number, record in enumerate(read_records(tmp_path / "out" / "records.jsonl")):
        assert f"u{number}#1" in record.relevant_docids
        assert any(docid.startswith("d ") for docid in record.initial_list)


def test_what_shares_words_with_an_evaluation_is_never_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = world(tmp_path, 3)
    (tmp_path / "topics.tsv").write_text("t1\tWhy does topic 1 behave so?\n")
    (tmp_path / "held.jsonl").write_text('{"id": "h", "contents": "x About topic 0 grade 2, passage 1. x"}\n')
    against = ["--against", str(tmp_path / "topics.tsv"), str(tmp_path / "held.jsonl"), "--ngram", "7"]
    with teaching() as server:
        manifest = synthesized(arguments, server, tmp_path / "out", *against)
        assert not any("topic 1 behave" in prompt for prompt in server.prompts)
        assert not any("topic 0 grade 2, passage 1." in prompt for prompt in server.prompts)
    assert manifest["counts"]["dropped"] == {"contaminated": 1}
    found = manifest["decontamination"]
    assert (found["queries"], found["documents"], found["compared"]) == (1, 1, 2)
    assert "topic 0 grade 2 passage 1" in found["examples"]["documents"]["d 0 1"]
    assert "1 queries and 1 documents share 7 words" in capsys.readouterr().err


def test_a_dry_run_asks_nothing_and_names_the_money(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = world(tmp_path, 7)
    synthesize(
        arguments, "--base-url", "http://127.0.0.1:9/v1", "--dry-run", "--price-in", "1", "--price-out", "2"
    )
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["queries"] == "7"
    assert lines["calls"].startswith("14 ")
    assert float(lines["money"]) >= 7 * 2500 * 2 / 1e6


def test_the_papers_lists_are_priced_without_any_input(capsys: pytest.CaptureFixture[str]) -> None:
    synthesize(["synthesize", "--dry-run", "--paper", "--price-in", "1", "--price-out", "2", "--pool", "20"])
    out = capsys.readouterr().out
    assert "queries            13,517" in out
    assert f"calls              {2 * 13_517:,}" in out
    money = 13_517 * (2 * 5687 * 1 + 2500 * 2) / 1e6
    assert f"money              {money:,.2f}" in out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--domain", "law"], "unknown domain 'law'"),
        (["--method", "bm25"], "--run and --method exclude each other"),
        (["--engine", "vllm"], "serve it"),
        (["--price-in", "1"], "both --price-in and --price-out"),
        (["--style", "reasonrnk"], "did you mean 'reasonrank'"),
        (["--sources", "absent.jsonl"], "absent.jsonl"),
        (["--paper"], "--dry-run"),
    ],
)
def test_what_cannot_work_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], said: str
) -> None:
    arguments = world(tmp_path, 1)
    synthesize(
        arguments, "--base-url", "http://127.0.0.1:9/v1", "-o", str(tmp_path / "out"), *change, status=2
    )
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
