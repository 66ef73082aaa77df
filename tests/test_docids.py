from __future__ import annotations

import pytest

from reasonrank_pyserini.datasets.docids import from_castorini, to_castorini
from reasonrank_pyserini.errors import InputError

CORPUS = ["a b/c d.txt", "a_b", "plain", "x y", "x_y"]


def test_each_blank_becomes_one_sign() -> None:
    assert to_castorini("a b/c  d.txt") == "a_b/c__d.txt"


def test_only_ids_that_the_corpus_lacks_are_mapped() -> None:
    asked = ["a_b/c_d.txt", "a_b", "plain", "x_y", "nowhere"]
    assert from_castorini(asked, CORPUS) == {"a_b/c_d.txt": "a b/c d.txt"}
    assert from_castorini(iter(asked), iter(CORPUS)) == {"a_b/c_d.txt": "a b/c d.txt"}
    assert from_castorini([], CORPUS) == {}


def test_every_id_comes_back_from_its_castorini_spelling() -> None:
    ids = ["a b", "a  b", "a", "c d e"]
    there = {to_castorini(id): id for id in ids}
    assert {**{id: id for id in there if id in ids}, **from_castorini(there, ids)} == there


def test_an_id_that_stands_for_two_is_refused() -> None:
    with pytest.raises(InputError, match="the document id 'p_q_r' matches both 'p q_r' and 'p_q r'"):
        from_castorini(["p_q_r"], ["p_q r", "p q_r"])
    assert from_castorini(["p_q_r"], ["p_q r", "p q_r", "p_q_r"]) == {}
