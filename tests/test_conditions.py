from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from reasonrank_pyserini.errors import FileFormatError, UnknownNameError
from reasonrank_pyserini.reproduce.conditions import (
    BENCHMARKS,
    UPSTREAM_COMMIT,
    Condition,
    conditions,
    find_condition,
    first_stage,
    upstream_url,
)
from reasonrank_pyserini.reproduce.conditions.condition_loading import parse_table

EVERY = [one for benchmark in BENCHMARKS for one in conditions(benchmark)]
RERANKERS = [one for one in EVERY if one.kind == "reranker"]


def named(condition: Condition) -> str:
    return f"{condition.benchmark}-{condition.name}"


@pytest.mark.parametrize("condition", EVERY, ids=named)
def test_a_row_has_every_task_and_its_printed_average(condition: Condition) -> None:
    assert tuple(condition.published) == BENCHMARKS[condition.benchmark].tasks
    if condition.average is None:
        assert condition.source == "Pyserini docs/2cr/bright.html"
    else:
        mean = sum(condition.published.values()) / len(condition.published)
        assert condition.average == pytest.approx(mean, abs=0.006)


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
    assert "are not public" in find_condition("bright", "reasonrank-32b-rader-w10").note
    assert any("LeetCode" in note for note in BENCHMARKS["bright"].footnotes)


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
    for benchmark, name in (("bright", "reasonir"), ("r2med", "e5-mistral")):
        runs = first_stage(benchmark, name).upstream
        assert tuple(runs) == BENCHMARKS[benchmark].tasks
        assert len({run.sha256 for run in runs.values()}) == len(runs)
    assert upstream_url(first_stage("r2med", "e5-mistral").upstream["medqa-diag"]) == (
        f"https://raw.githubusercontent.com/8421BCD/ReasonRank/{UPSTREAM_COMMIT}"
        "/runs/r2med_MedQA-Diag/e5-mistral-7b-instruct_top100.txt"
    )


def test_stages_without_public_runs() -> None:
    assert first_stage("bright", "rader-bm25").upstream == {}
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


GOOD = """title = "T"
own_order = ["b", "a"]
[tasks]
a = { label = "A" }
b = { label = "B", dataset = "x/b" }
[first_stages.f]
label = "F"
[first_stages.f.upstream]
a = { path = "p", sha256 = "%s", size = 1 }
[conditions.c]
kind = "first-stage"
label = "C"
first_stage = "f"
source = "here"
passage_tokens = 9
published = [1, 2.5]
""" % ("0" * 64)


def test_a_file_that_fits() -> None:
    found = parse_table("t", GOOD, "t.toml")
    assert found.conditions["c"].published == {"a": 1.0, "b": 2.5}
    assert found.benchmark.datasets == {"a": None, "b": "x/b"}
    assert found.benchmark.own_order == ("b", "a")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('label = "C"', 'lable = "C"', r":12: c: unknown key 'lable': did you mean 'label'"),
        ("published = [1, 2.5]", "published = [1]", "c: published holds 1 numbers, there are 2 tasks"),
        (
            "published = [1, 2.5]",
            "published = [1, 250]",
            r":16: c: published is \[1, 250\]: it must be a list",
        ),
        ('kind = "first-stage"', 'kind = "reranker"', "a reranker, and nothing else, has a model"),
        ('kind = "first-stage"', 'kind = "other"', r":11: c: kind is 'other': it must be one of"),
        ('first_stage = "f"', 'first_stage = "g"', "condition c: unknown first stage 'g'"),
        ('source = "here"\n', "", r":10: c: source is missing"),
        ('["b", "a"]', '["b"]', r":2: own_order must hold every task once"),
        ("size = 1", "size = 0", "a: size is 0: it must be a whole number from 1 up"),
        ("0" * 64, "0" * 63, "sha256 .* 64 hexadecimal digits"),
        ('a = { path = "p"', 'z = { path = "p"', "f: unknown task 'z'"),
        ("passage_tokens = 9", "passage_tokens = 9\nstep = 3", "step 3 is larger than window 0"),
        ('title = "T"', "title = T", ":1: not TOML"),
        ("[tasks]", "[tasks]\nq = 1", "q is 1: it must be a table"),
    ],
)
def test_files_that_do_not_fit(old: str, new: str, problem: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(FileFormatError, match=problem) as caught:
        parse_table("t", GOOD.replace(old, new), "t.toml")
    assert str(caught.value).startswith("t.toml")
    assert "\n" not in str(caught.value)
