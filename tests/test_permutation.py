from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reasonrank_pyserini.permutation import parse
from reasonrank_pyserini.types import Parsed, ParseStatus

CLEAN, REPAIRED, SALVAGED, FAILED = ParseStatus


def read(text: str, n: int = 3, **options: object) -> tuple[list[int], ParseStatus]:
    """The order 1-based, as models write it."""
    found = parse(text, n, **options)  # type: ignore[arg-type]
    return [index + 1 for index in found.order], found.status


# ---- the default parser, tagged answers


@pytest.mark.parametrize(
    ("text", "order", "status"),
    [
        # complete answers
        ("<think>why</think>\n<answer>[3] > [1] > [2]</answer>", [3, 1, 2], CLEAN),
        ("<THINK>why</Think><Answer>[3] > [1] > [2]</ANSWER>", [3, 1, 2], CLEAN),
        ("<answer>[3] > [1] > [2]</answer>", [3, 1, 2], CLEAN),
        ("so [2], then [1].</think>\n<answer>[3] > [1] > [2]</answer>", [3, 1, 2], CLEAN),
        ("<think>1</think> Final: 2 <answer>3, 1, 2</answer> because 1<|im_end|>", [3, 1, 2], CLEAN),
        ("<answer>3 > 1 > 2</answer>\n<think>because 2", [3, 1, 2], CLEAN),
        ("<answer>［３］ > ［１］ > ［２］</answer>", [3, 1, 2], CLEAN),
        # several answers: the last complete one outside reasoning
        (
            "<think>a</think><answer>[1] > [2] > [3]</answer> no: <answer>[3] > [2] > [1]</answer>",
            [3, 2, 1],
            CLEAN,
        ),
        ("<think>a</think><answer>[3] > [2] > [1]</answer> or <answer>[1] > [", [3, 2, 1], CLEAN),
        ("<think>a</think>in <answer> tags: <answer>[3] > [2] > [1]</answer>", [3, 2, 1], CLEAN),
        (
            "<think><answer>[1] > [2] > [3]</answer>?</think><answer>[3] > [2] > [1]</answer>",
            [3, 2, 1],
            CLEAN,
        ),
        ("say <answer>[1]</answer>?</think><answer>[3] > [2] > [1]</answer>", [3, 2, 1], CLEAN),
        # missing, repeated, out of range, odd
        ("<answer>[3]</answer>", [3, 1, 2], REPAIRED),
        ("<answer>[3] > [3] > [1] > [2]</answer>", [3, 1, 2], REPAIRED),
        ("<answer>[4] > [3] > [0] > [1] > [2]</answer>", [3, 1, 2], REPAIRED),
        ("<answer>[3] > [²] > [2]</answer>", [3, 2, 1], REPAIRED),
        ("<answer>3 > 1² > 2 > 1</answer>", [3, 2, 1], REPAIRED),
        ("<answer>[" + "0" * 5000 + "3] > [1] > [2]</answer>", [3, 1, 2], CLEAN),
        ("<answer>[" + "0" * 30 + "９] > [3] > [1] > [2]</answer>", [3, 1, 2], REPAIRED),
        ("<answer>[" + "9" * 5000 + "] > [3] > [1] > [2]</answer>", [3, 1, 2], REPAIRED),
        # words around bracketed identifiers
        ("<answer>Of 2 studies, [3] (2019) > [1] > [2]</answer>", [3, 1, 2], REPAIRED),
        ("<answer>Passage 3 > Passage 1 > Passage 2</answer>", [3, 1, 2], CLEAN),
        ("<answer>[3] > 1 > [2]</answer>", [3, 1, 2], CLEAN),
        ("<answer>[2] &gt; [1] &gt; [3]</answer>", [2, 1, 3], CLEAN),
        # unclosed after finished reasoning
        ("<think>a [1]</think>\n<answer>[3] > [2] > [1]", [3, 2, 1], REPAIRED),
        ("a [1]</think>\n<answer>[3] > [2]", [3, 2, 1], REPAIRED),
        ("<think>a</think><answer>[3] > [2] and 1 more", [3, 2, 1], REPAIRED),
        ("<answer>[3] > [2]", [3, 2, 1], REPAIRED),
        ("Ranking: <answer>[3] > [2]", [3, 2, 1], REPAIRED),
        # no answer
        ("", [1, 2, 3], FAILED),
        ("Ranking: [3] > [2] > [1]", [1, 2, 3], FAILED),
        ("[3] > [2] > [1", [1, 2, 3], FAILED),
        # nothing but a permutation: a server split the reasoning off
        ("[3] > [2] > [1]", [3, 2, 1], CLEAN),
        ("<think>[1] is best</think>[3], [2]\n", [3, 2, 1], REPAIRED),
        ("<think>passage [3], then [2]; 1 of 3", [1, 2, 3], FAILED),
        ("<think>passage [3], then [2]</think>", [1, 2, 3], FAILED),
        ("<think>passage [3]</think>\n<answ", [1, 2, 3], FAILED),
        ("<think>I write <answer>[3] > [2] > [1]</answer> and", [1, 2, 3], FAILED),
        ("<think>I write <answer> but first [3], [2]", [1, 2, 3], FAILED),
        ("I write <answer> but first [3], [2]", [1, 2, 3], FAILED),
        ("<think>I write <answer>[3] > [2] > [1]</answer></think>", [1, 2, 3], FAILED),
        ("<answer>none of them</answer>", [1, 2, 3], FAILED),
        ("<answer>[7] > [9]</answer>", [1, 2, 3], FAILED),
        ("<answer>① > ③ > ②</answer>", [1, 2, 3], FAILED),
        ("<think>t</think>\\boxed{[3] > [1]}", [1, 2, 3], FAILED),
    ],
)
def test_a_tagged_answer(text: str, order: list[int], status: ParseStatus) -> None:
    assert read(text) == (order, status)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("<think>t</think><answer>[7] > [12] > [1", [7, 12]),  # of [1], [10]..[19]
        ("<think>t</think><answer>[7] > [12] > [5", [7, 12]),
        ("<think>t</think><answer>[7] > [12] > [", [7, 12]),
        ("<think>t</think><answer>7 > 12 > 1", [7, 12]),
        ("<think>t</think><answer>7 > 12 > 5", [7, 12, 5]),  # no 50 among 20
    ],
)
def test_a_last_identifier_that_was_cut_is_dropped(text: str, first: list[int]) -> None:
    order, status = read(text, 20)
    assert (order[: len(first)], status) == (first, REPAIRED)
    assert order[len(first) :] == [index for index in range(1, 21) if index not in first]


# ---- bare answers


@pytest.mark.parametrize(
    ("text", "order", "status"),
    [
        ("[3] > [1] > [2]", [3, 1, 2], CLEAN),
        ("3 1 2", [3, 1, 2], CLEAN),
        ("[2]", [2, 1, 3], REPAIRED),
        ("[3] > [2] > [1", [3, 2, 1], REPAIRED),
        ("Here is the ranking of 3 passages: [2] > [1] > [3]", [2, 1, 3], REPAIRED),
        ("<think>3 2 1</think>[2] > [1] > [3]", [2, 1, 3], CLEAN),
        ("3 2 1</think>[2] > [1] > [3]", [2, 1, 3], CLEAN),
        ("[2] > <think>3</think> [1] > [3]", [2, 1, 3], CLEAN),
        ("<think>[3]</think>of 3: <answer>[2] > [1] > [3]</answer>", [2, 1, 3], CLEAN),
        ("<think>[3]</think><answer>[2] > [1] > [3]", [2, 1, 3], REPAIRED),
        ("<think>[3] > [2] > [1]", [1, 2, 3], FAILED),
        ("I cannot rank these.", [1, 2, 3], FAILED),
        ("", [1, 2, 3], FAILED),
    ],
)
def test_a_bare_answer(text: str, order: list[int], status: ParseStatus) -> None:
    assert read(text, answer="bare") == (order, status)


# ---- small windows, bad arguments


@pytest.mark.parametrize("compat", [False, True])
def test_windows_of_none_and_of_one(compat: bool) -> None:
    assert parse("<answer>[1]</answer>", 0, compat=compat) == Parsed((), CLEAN)
    assert parse("", 0, compat=compat) == Parsed((), CLEAN)
    assert parse("<think>.</think><answer>[1]</answer>", 1, compat=compat) == Parsed((0,), CLEAN)
    assert parse("", 1, compat=compat) == Parsed((0,), FAILED)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        parse("", -1)
    with pytest.raises(ValueError, match="boxed"):
        parse("", 2, answer="boxed")  # type: ignore[arg-type]


# ---- the authors' parser


@pytest.mark.parametrize(
    ("text", "order", "status"),
    [
        ("<think>a</think> <answer>[3] > [1] > [2]</answer>", [3, 1, 2], CLEAN),
        ("<think>a</think><answer>[2]</answer><think>b</think><answer>[3]</answer>", [2, 1, 3], REPAIRED),
        ("<think>a</think> so <answer>[3]</answer> and 2", [3, 2, 1], REPAIRED),
        ("<think>or <answer>[3] > [2] > [1]", [3, 2, 1], REPAIRED),
        ("<think>passage [3] of 2019, then [2] and [1]", [3, 2, 1], SALVAGED),
        ("<think>[3], [2], [1]", [3, 2, 1], SALVAGED),
        ("<THINK>1</THINK>2<ANSWER>3</ANSWER>", [1, 2, 3], SALVAGED),
        ("<think>x²; [3]", [1, 2, 3], FAILED),
        ("<think>a</think><answer>[3] > [²]</answer>", [1, 2, 3], FAILED),
        ("<think>a</think><answer>[3] > [" + "0" * 4301 + "]</answer>", [1, 2, 3], FAILED),
        ("<think>a</think><answer>[3] > [" + "0" * 4299 + "2]</answer>", [3, 2, 1], REPAIRED),
        ("nothing", [1, 2, 3], FAILED),
    ],
)
def test_the_authors_parser(text: str, order: list[int], status: ParseStatus) -> None:
    assert read(text, compat=True) == (order, status)


def test_the_authors_outputs(shared: Path) -> None:
    lines = (shared / "golden" / "permutations.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [json.loads(line) for line in lines]
    wrong = [
        case["id"]
        for case in cases
        if list(parse(case["response"], case["n"], answer=_form(case["prompt_mode"]), compat=True).order)
        != case["expected_order"]
    ]
    assert (len(cases), wrong) == (91, [])


def _form(prompt_mode: str) -> str:
    return "bare" if prompt_mode == "rank_GPT" else "tagged"


def _as_the_authors(text: str, n: int, answer: str) -> list[int]:
    """The published behaviour written down directly, quadratic pattern and all."""
    if answer == "tagged":
        pattern = r"<think>.*?</think>\s*<answer>(.*?)</answer>"
        if match := re.search(pattern, text.lower(), re.DOTALL):
            text = match[1]
        elif "<answer>" in text:
            text = text.split("<answer>")[-1]
    try:
        numbers = [int(run) - 1 for run in "".join(c if c.isdigit() else " " for c in text).split()]
    except ValueError:
        numbers = []
    asked = [number for number in dict.fromkeys(numbers) if number in range(n)]
    return asked + [index for index in range(n) if index not in asked]


# ---- any text at all

PIECES = [
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "<THINK>",
    "</Answer>",
    "[",
    "]",
    " > ",
    "\n",
    " ",
    "a",
]
DIGITS = [*"0123456789", "10", "12", "²", "①", "３", "[1]", "[2] > [1]", "K", "İ", "\ud800"]
hostile = st.lists(st.sampled_from(PIECES + DIGITS) | st.text(max_size=3), max_size=25).map("".join)
forms = st.sampled_from(["tagged", "bare"])


@settings(max_examples=400)
@given(hostile, st.integers(0, 25), forms)
@example("<think></think><answer>[2] > [1]</answer>", 2, "tagged")
def test_compat_is_the_published_behaviour(text: str, n: int, answer: str) -> None:
    assert list(parse(text, n, answer=answer, compat=True).order) == _as_the_authors(text, n, answer)  # type: ignore[arg-type]


@settings(max_examples=400)
@given(hostile, st.integers(0, 25), forms, st.booleans())
def test_always_a_permutation(text: str, n: int, answer: str, compat: bool) -> None:
    found = parse(text, n, answer=answer, compat=compat)  # type: ignore[arg-type]
    assert sorted(found.order) == list(range(n))
    if found.status is FAILED:
        assert found.order == tuple(range(n))
    if not compat:
        assert found.status is not SALVAGED


@settings(max_examples=200)
@given(st.text(alphabet=st.characters(exclude_characters="<"), max_size=50), st.integers(1, 9))
def test_unfinished_reasoning_is_never_a_ranking(reasoning: str, n: int) -> None:
    assert parse("<think>" + reasoning, n).status is FAILED
    assert parse(f"<think>{reasoning}<answer>[2] > [1]</answer>", n).status is FAILED


@settings(max_examples=200)
@given(st.integers(1, 30).flatmap(lambda n: st.permutations(range(n))), forms, st.booleans())
def test_a_full_answer_is_read_as_written(order: list[int], answer: str, compat: bool) -> None:
    ranking = " > ".join(f"[{index + 1}]" for index in order)
    text = ranking if answer == "bare" else f"<think>.</think>\n<answer>{ranking}</answer>"
    assert parse(text, len(order), answer=answer, compat=compat) == Parsed(tuple(order), CLEAN)  # type: ignore[arg-type]


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("answer", ["tagged", "bare"])
def test_megabytes_of_hostile_text_take_linear_time(answer: str, compat: bool) -> None:
    million = 1_000_000
    texts = [
        "<think>" * (million // 7),
        "<think>" + "</think> " * (million // 9),
        "</think>" * (million // 8),
        "<answer>" * (million // 8),
        "<think></think><answer>" * (million // 23),
        "<think></think>" + " " * million + "<answe",
        "<think>" + ("</think>" + " " * 1000) * 1000,
        "<think></think><answer>" + "9" * million,
        "<think></think><answer>" + "[1" * (million // 2),
        "<answer>[1]" + "[ " * (million // 2),
        "<answer>" + "[" * million + "</answer>",
        "<answer>" + ("9" * 4300 + " ") * (million // 4301) + "</answer>",
        "<answer>" + "²" * million + "</answer>",
        "<" * million,
    ]
    began = time.process_time()
    for text in texts:
        assert sorted(parse(text, 20, answer=answer, compat=compat).order) == list(range(20))  # type: ignore[arg-type]
    assert time.process_time() - began < 60  # 14 MB: about 2 s of CPU here; quadratic time would be hours
