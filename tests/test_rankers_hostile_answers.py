"""How the answers of other rerankers are read whatever they hold: a permutation, in linear time."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.prompts.answers import READERS
from reasonrank_pyserini.prompts.answers.group_scores import authors_scores

TEXTS = st.lists(
    st.sampled_from(
        [
            "<answer>",
            "</answer>",
            "<think>",
            "</think>",
            "<score>",
            "</score>",
            "<reason>",
            "[1]",
            "[2]",
            "[0]",
            "[-1]",
            "7",
            ":",
            '"',
            "{",
            "}",
            ">",
            "=",
            ",",
            "```json",
            "\n",
            ".",
            "²",
        ]
    )
    | st.text(max_size=3)
).map("".join)


@given(text=TEXTS, n=st.integers(0, 12), compat=st.booleans(), name=st.sampled_from(sorted(READERS)))
def test_every_reader_gives_a_permutation_of_any_text(text: str, n: int, compat: bool, name: str) -> None:
    n = 1 if name in ("score", "integer") else n
    answer = READERS[name](text, n, compat)
    assert sorted(answer.order) == list(range(n))
    assert answer.scores is None or len(answer.scores) == n


@given(
    st.lists(st.sampled_from(["```json", "```", "{", "}", " ", "\n", "a", '"[1]": 5']), max_size=14).map(
        "".join
    )
)
def test_the_authors_patterns_are_searched_in_linear_time(text: str) -> None:
    """The same blocks as the authors' regular expressions find, which take quadratic time."""
    blocks = re.findall(r"(?:```json\s*)([\s\S]+?)(?:\s*```)", text)
    objects = re.findall(r"\{[\s\S]*?\}", text)
    if blocks or objects:
        wanted = (blocks or objects)[-1].strip()
        try:
            expected = dict(
                json.loads(re.sub(r"\s+", " ", wanted + "}" * (wanted.count("{") > wanted.count("}"))))
            )
        except (ValueError, TypeError):
            with pytest.raises((ValueError, TypeError)):
                authors_scores(text)
        else:
            assert authors_scores(text) == expected
    else:
        with pytest.raises(IndexError):
            authors_scores(text)


@pytest.mark.parametrize(
    "piece", ["<reason>", "<think>", "<answer>", "```json ", "{", "<score>", "[1", '"[1]":', "</think>"]
)
@pytest.mark.parametrize("name", sorted(READERS))
@pytest.mark.parametrize("compat", [False, True])
def test_hostile_texts_take_linear_time(piece: str, name: str, compat: bool) -> None:
    answer = READERS[name](piece * 60_000, 1, compat)
    assert answer.order == (0,)
