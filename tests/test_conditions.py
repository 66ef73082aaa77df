from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from commands import reasonrank

from reasonrank_pyserini.errors import UnknownNameError
from reasonrank_pyserini.models.profiles import find_profile
from reasonrank_pyserini.reproduce.condition_settings import calls
from reasonrank_pyserini.reproduce.conditions import (
    BENCHMARKS,
    Condition,
    conditions,
    find_condition,
    first_stage,
    gain,
    upstream_url,
)

EVERY = [one for benchmark in BENCHMARKS for one in conditions(benchmark)]
RERANKERS = [one for one in EVERY if one.kind == "reranker" and one.name.startswith("reasonrank")]
OTHERS = [one for one in EVERY if one.kind == "reranker" and one not in RERANKERS]


def named(condition: Condition) -> str:
    return f"{condition.benchmark}-{condition.name}"


@pytest.mark.parametrize("condition", EVERY, ids=named)
def test_a_row_has_every_task_and_its_printed_average(condition: Condition) -> None:
    assert tuple(condition.published) == BENCHMARKS[condition.benchmark].tasks
    if condition.average is None:
        assert condition.source == "Pyserini docs/2cr/bright.html"
    else:
        mean = sum(condition.published.values()) / len(condition.published)
        one_decimal = all(value == round(value, 1) for value in condition.published.values())
        assert condition.average == pytest.approx(mean, abs=0.06 if one_decimal else 0.006)


@pytest.mark.parametrize(
    ("benchmark", "name", "average"),
    [
        ("bright", "reasonrank-7b", 35.74),
        ("bright", "reasonrank-32b", 38.03),
        ("bright", "reasonrank-8b", 36.14),
        ("bright", "reasonrank-32b-rader", 39.08),
        ("bright", "reasonrank-32b-rader-w10", 40.80),
        ("bright", "reasonir", 30.59),
        ("bright", "rader-bm25", 35.71),
        ("bright", "rankt5-3b", 16.60),
        ("bright", "rankzephyr-7b", 22.64),
        ("bright", "rank-r1-7b", 20.57),
        ("bright", "rank-r1-14b", 29.66),
        ("bright", "rank1-7b", 27.23),
        ("bright", "rank1-32b", 28.34),
        ("bright", "rearank-7b", 31.75),
        ("bright", "rank-k-32b", 32.61),
        ("bright", "reasonrank-7b-rerun", 35.26),
        ("r2med", "reasonrank-7b", 39.53),
        ("r2med", "reasonrank-32b", 42.85),
        ("r2med", "e5-mistral", 23.84),
        ("beir", "reasonrank-7b", 54.35),
        ("beir", "reasonrank-32b", 55.44),
        ("beir", "bm25", 43.74),
    ],
)
def test_published_averages(benchmark: str, name: str, average: float) -> None:
    assert find_condition(benchmark, name).average == average


def test_numbers_by_task() -> None:
    ours = find_condition("bright", "reasonrank-7b").published
    assert (ours["economics"], ours["biology"], ours["theoremqa-theorems"]) == (35.05, 56.70, 41.80)
    assert find_condition("bright", "bm25").published["biology"] == pytest.approx(100 * 0.1824)
    assert find_condition("bright", "bm25q").published["theoremqa-questions"] == pytest.approx(100 * 0.1036)
    assert find_condition("r2med", "reasonrank-32b").published["iiyi-clinical"] == 29.35
    assert find_condition("beir", "reasonrank-7b").published["robust04"] == 55.40


@pytest.mark.parametrize("condition", RERANKERS, ids=named)
def test_rerankers_are_run_as_published(condition: Condition) -> None:
    narrow = condition.name.endswith("-w10")
    assert (condition.window, condition.step) == ((10, 5) if narrow else (20, 10))
    assert (condition.passes, condition.depth, condition.measure) == (1, 100, "nDCG@10")
    assert condition.passage_tokens == (100 if condition.benchmark == "beir" else 512)
    assert condition.sampled == (condition.name == "reasonrank-8b")
    assert condition.model == "liuwenhan/reasonrank-" + condition.name.split("-")[1].upper()
    assert (condition.tolerance, condition.average_tolerance) == (1.5, 0.5)


@pytest.mark.parametrize("condition", OTHERS, ids=named)
def test_other_rerankers_have_profiles_of_their_own(condition: Condition) -> None:
    profile, known = find_profile(condition.model or "")
    assert known
    assert condition.sampled == (profile.temperature > 0)
    if condition.window:
        published = (condition.window, condition.step, condition.passage_tokens)
        assert published == (profile.window, profile.step, profile.passage_tokens)
    assert calls(condition) in {
        "pointwise": (100,), "two-pass": (100 + 30 * 16,), "groups": (6 * 100 // 20,), "sliding": (9,),
    }[profile.strategy]  # fmt: skip


def test_what_cannot_be_run_has_no_model() -> None:
    others = [one for one in EVERY if one.kind != "reranker"]
    assert {one.kind for one in others} == {"first-stage", "reference"}
    assert {(one.model, one.window, one.passes) for one in others} == {(None, 0, 0)}


def test_a_first_stage_s_condition_is_its_own_candidates() -> None:
    for one in EVERY:
        assert one.first_stage == one.name or one.kind != "first-stage"
        assert first_stage(one.benchmark, one.first_stage).name == one.first_stage


def test_notes_say_what_differs() -> None:
    assert "31.68" in find_condition("bright", "reasonir").note
    assert "24.92" in find_condition("r2med", "e5-mistral").note
    assert "43.43" in find_condition("bright", "rader-bm25").note
    assert any("LeetCode" in note for note in BENCHMARKS["bright"].footnotes)


def test_calls_a_query_and_the_gain_over_the_first_stage() -> None:
    narrow, usual, first = (
        find_condition("bright", name)
        for name in ("reasonrank-32b-rader-w10", "reasonrank-32b-rader", "rader-bm25")
    )
    # 100 candidates: (100 - 10) / 5 + 1 windows of 10, (100 - 20) / 10 + 1 windows of 20
    assert (calls(narrow), calls(usual), calls(first)) == (19, 9, None)
    assert gain(narrow) == pytest.approx(40.80 - 35.71)
    assert gain(usual) == pytest.approx(39.08 - 35.71)
    assert gain(find_condition("bright", "rankt5-3b")) == pytest.approx(16.60 - 30.59)
    assert gain(find_condition("beir", "reasonrank-7b")) == pytest.approx(54.35 - 43.74)
    assert [gain(find_condition("bright", name)) for name in ("rader-bm25", "bm25")] == [None, None]


def test_the_gain_over_a_first_stage_without_a_row_of_its_own() -> None:
    stages = {name: first_stage("bright", name) for name in ("bge-reasoner", "diver-4b", "bm25-gpt4")}
    assert {name: (stage.average, bool(stage.average_source)) for name, stage in stages.items()} == {
        "bge-reasoner": (32.5, True), "diver-4b": (32.93, True), "bm25-gpt4": (None, False),
    }  # fmt: skip
    assert gain(find_condition("bright", "retro-star-32b-16")) == pytest.approx(40.6 - 32.5)
    diver = find_condition("bright", "grouprank-7b-diver")
    assert gain(diver) == pytest.approx(36.65 - 32.93)
    assert gain(replace(diver, qrels_kind="fixed")) is None
    assert gain(find_condition("bright", "rank1-7b-bm25-gpt4")) is None


def test_no_gain_between_different_judgements() -> None:
    plain = find_condition("bright", "reasonrank-7b")
    assert gain(replace(plain, average=30.60)) == pytest.approx(0.01)
    assert gain(replace(plain, qrels_kind="fixed")) is None
    assert gain(replace(plain, average=None)) is None


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_list_fits_a_terminal_of_100_columns(benchmark: str) -> None:
    done = reasonrank("reproduce", benchmark, "--list")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].split() == ["condition", "kind", "average", "calls", "gain", "first", "stage"]
    for line, one in zip(lines[1:], conditions(benchmark), strict=False):
        figures = [one.average and f"{one.average:.2f}", calls(one), (up := gain(one)) and f"{up:+.2f}"]
        label = first_stage(benchmark, one.first_stage).label
        words = [one.name, one.kind, *(str(value) for value in figures if value is not None), *label.split()]
        assert line.split() == words
    assert lines[len(conditions(benchmark)) + 1] == ""


def test_bright_in_two_orders() -> None:
    bright = BENCHMARKS["bright"]
    assert bright.tasks[:3] == ("economics", "earth-science", "robotics")
    assert bright.own_order[:3] == ("biology", "earth-science", "economics")
    assert sorted(bright.own_order) == sorted(bright.tasks)
    assert (bright.labels[bright.tasks[0]], bright.labels[bright.own_order[0]]) == ("Econ.", "Bio.")
    assert bright.dataset("earth-science") == "bright/earth-science"


def test_collections_by_task() -> None:
    assert BENCHMARKS["r2med"].dataset("medqa-diag") == "r2med/medqa-diag"
    beir = BENCHMARKS["beir"]
    assert [beir.dataset(task) for task in beir.tasks] == [
        "beir/trec-covid",
        "beir/dbpedia-entity/test",
        "beir/scifact/test",
        "beir/nfcorpus/test",
        None,
        None,
        None,
    ]
    assert any("must be obtained" in note for note in beir.footnotes)


def test_ir_datasets_knows_the_collections() -> None:
    import ir_datasets

    ids = [bench.dataset(task) for bench in BENCHMARKS.values() for task in bench.tasks]
    known = [one for one in ids if one is not None and not one.startswith("r2med/")]
    assert len(known) == 12 + 4
    assert all(one in ir_datasets.registry for one in known)


# ---- the authors' runs


def test_every_upstream_task_has_a_run() -> None:
    for benchmark, name in (("bright", "reasonir"), ("bright", "rader-bm25"), ("r2med", "e5-mistral")):
        runs = first_stage(benchmark, name).upstream
        assert tuple(runs) == BENCHMARKS[benchmark].tasks
        assert len({run.git_blob or run.sha256 for run in runs.values()}) == len(runs)
    assert upstream_url(first_stage("r2med", "e5-mistral").upstream["medqa-diag"]) == (
        "https://raw.githubusercontent.com/8421BCD/ReasonRank/06721fd6ef3766c0e00d59a87d2696a0b4b0c17a"
        "/runs/r2med_MedQA-Diag/e5-mistral-7b-instruct_top100.txt"
    )
    assert upstream_url(first_stage("bright", "rader-bm25").upstream["earth-science"]) == (
        "https://raw.githubusercontent.com/Debrup-61/RaDeR/3a127e47a419bcda878cddef9c86f7dfbaca81f3"
        "/BRIGHT_score_files/RaDeR-gte-Qwen2-LLMq_CoT_lexical/earth_science/hybrid_BM25_Rader.json"
    )


def test_how_first_stages_are_made() -> None:
    assert first_stage("beir", "bm25").upstream == {}
    assert [first_stage("bright", name).method for name in ("bm25", "bm25q", "reasonir")] == [
        "bm25",
        "bm25q",
        None,
    ]
    assert first_stage("bright", "reasonir").query_variant == "gpt4_reason"


def test_the_digests_are_those_of_the_files(shared: Path) -> None:
    seen = 0
    for benchmark, name in (("bright", "reasonir"), ("r2med", "e5-mistral")):
        for run in first_stage(benchmark, name).upstream.values():
            folder, file = run.path.removeprefix("runs/").removeprefix("r2med_").split("/")
            if (path := shared / benchmark / "runs" / f"{folder}.{file}").is_file():
                data = path.read_bytes()
                assert (len(data), hashlib.sha256(data).hexdigest()) == (run.size, run.sha256)
                seen += 1
    assert seen == 6 + 4


def test_the_git_blob_id_is_that_of_the_file(shared: Path) -> None:
    run = first_stage("bright", "rader-bm25").upstream["theoremqa-theorems"]
    path = shared / "bright" / "rader" / "theoremqa_theorems.hybrid_BM25_Rader.json"
    if not path.is_file():
        pytest.skip("the reference data has no RaDeR scores")
    data = path.read_bytes()
    assert hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == run.git_blob
    assert (len(data), hashlib.sha256(data).hexdigest()) == (run.size, run.sha256)


# ---- names and files that are wrong


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'reasonrank-7b'"):
        find_condition("bright", "reasonrank7b")
    with pytest.raises(UnknownNameError, match="did you mean 'bright'"):
        conditions("brigth")
    with pytest.raises(UnknownNameError, match="did you mean 'reasonir'"):
        first_stage("bright", "reason-ir")
    with pytest.raises(UnknownNameError, match="unknown BRIGHT task 'biologie': did you mean 'biology'"):
        BENCHMARKS["bright"].dataset("biologie")
