"""The automaton of answers: it takes exactly the permutations, in any vocabulary, and never runs into a dead end."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.models.identity import load_tokenizer
from reasonrank_pyserini.permutation import parse
from reasonrank_pyserini.prompts.grammar import (
    ALPHABET,
    CLOSE,
    Grammar,
    Guide,
    State,
    Vocabulary,
    token_texts,
)
from reasonrank_pyserini.types import AnswerForm, ParseStatus, Permutation

SINGLE = sorted(ALPHABET)
END = 10_000
FORMS = st.sampled_from(["tagged", "bare"])
MERGES = st.lists(st.text(SINGLE, min_size=2, max_size=6) | st.sampled_from(
    [" [", " >", "] >", "]</", ">[", "> [1", "] > [", "12", "1]", " [2] > [1] > [", "answer", "</answer>", "\n\n"]
), max_size=12, unique=True)  # fmt: skip


def label(order: tuple[int, ...]) -> str:
    return " > ".join(f"[{index + 1}]" for index in order)


def vocabulary(merges: list[str]) -> Vocabulary:
    return Vocabulary(dict(enumerate([*SINGLE, *merges])))


def read(rules: Grammar, text: str) -> bool:
    state = rules.read(text)
    return state is not None and state.done


@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_takes_exactly_the_permutations(count: int) -> None:
    """Of all sequences of up to four identifiers out of 0 to 4, those of `count` different ones of 1 to 3."""
    for length in range(5):
        for order in itertools.product(range(-1, 4), repeat=length):
            good = length == count == len(set(order)) and set(order) <= {0, 1, 2}
            assert read(Grammar(3, count, tagged=False), label(order)) is good
            assert read(Grammar(3, count), f" {label(order)} {CLOSE}") is good


@pytest.mark.parametrize(
    "text", ["[2]>[1]", "[2] > [1]", "[02] > [1]</answer>", "  [2] > [1]</answer>", "[2] > [1]x"]
)
def test_another_form_is_not_an_answer(text: str) -> None:
    assert not read(Grammar(2), text)


@given(st.integers(1, 130), st.data())
def test_the_longest_answer_is_as_long_as_said(passages: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, passages))
    order = tuple(range(passages))[-count:]
    assert Grammar(passages, count).longest == len(f"\n{label(order)}\n{CLOSE}")
    assert read(Grammar(passages, count), f"\n{label(order)}\n{CLOSE}")


@given(MERGES, st.integers(1, 25), FORMS, st.randoms(use_true_random=False), st.data())
def test_every_walk_ends_in_a_clean_answer(
    merges: list[str], passages: int, form: AnswerForm, chance: random.Random, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, passages))
    tokens = vocabulary(merges)
    guide = Guide(tokens, Permutation(passages, count, form), [END])
    written: list[int] = []
    while (allowed := guide.follow(written[guide.seen :]).allowed()) != [END]:
        assert allowed
        written.append(chance.choice(sorted(allowed)))
    text = "".join(tokens.texts[id] for id in written)
    assert len(written) <= Grammar(passages, count, tagged=form == "tagged").longest
    whole = f"<think>x</think> <answer>{text}" if form == "tagged" else text
    assert parse(whole, passages, answer=form, count=count).status is ParseStatus.CLEAN


@given(MERGES, st.integers(1, 12), st.randoms(use_true_random=False), st.integers(0, 40))
def test_exactly_the_tokens_that_can_go_on_are_allowed(
    merges: list[str], passages: int, chance: random.Random, steps: int
) -> None:
    tokens, rules = vocabulary(merges), Grammar(passages)
    state: State = rules.start
    for _ in range(steps):
        allowed = set(tokens.allowed(rules, state))
        assert allowed == {id for id, text in tokens.texts.items() if rules.read(text, state) is not None}
        if not allowed:
            assert state.done
            break
        after = rules.read(tokens.texts[chance.choice(sorted(allowed))], state)
        assert after is not None
        state = after


@given(st.permutations(range(5)), MERGES, st.randoms(use_true_random=False))
def test_it_waits_for_an_answer_after_the_reasoning(
    order: list[int], merges: list[str], chance: random.Random
) -> None:
    """However the text is split into tokens, all is free before the answer, and its own next token inside it."""
    texts = [*SINGLE, *merges, *"<think>soy", "</think>", "k>\n", "<answer>["]
    tokens = Vocabulary(dict(enumerate(texts)))
    before = "<think>so <answer>[2]</answer>, yes</think>\n"
    text = f"{before}<answer>[{label(tuple(order))[1:]}{CLOSE}"
    guide, written, at = Guide(tokens, Permutation(5, 5, "tagged", None), [END]), [], 0
    tokens.texts = {**tokens.texts, END + 1: ","}
    while at < len(text):
        allowed = guide.follow(written[guide.seen :]).allowed()
        fitting = [id for id, piece in tokens.texts.items() if piece and text.startswith(piece, at)]
        if at <= len(before):
            assert allowed is None
        elif allowed is not None:
            fitting = [id for id in fitting if id in allowed]
        written.append(chance.choice(fitting))
        at += len(tokens.texts[written[-1]])
    assert guide.follow(written[guide.seen :]).allowed() == [END]


def test_an_answer_that_was_begun_is_gone_on_with() -> None:
    tokens = vocabulary([])
    guide = Guide(tokens, Permutation(12, 12, "tagged", " [2] > [1"), [END])
    assert {tokens.texts[id] for id in guide.allowed() or ()} == {"]", "0", "1", "2"}


def test_the_tokens_of_a_real_tokenizer(tiny_tokenizer: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_tokenizer))
    tokens = Vocabulary(token_texts(tokenizer))
    assert tokens.covers
    ids = tokenizer.encode(" [2] > [1] > [3] </answer>", add_special_tokens=False)
    guide = Guide(tokens, Permutation(3, 3), [END])
    for id in ids:
        assert id in (guide.allowed() or ())
        guide.follow([id])
    assert guide.allowed() == [END]
    assert not Vocabulary({0: "[", 1: "]"}).covers
