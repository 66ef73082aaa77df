"""Text that is encoded word by word has the tokenizer's own ids; what ftfy is not shown, it would not change."""

from __future__ import annotations

import ftfy
import prompts_kit as kit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonrank_pyserini.prompts import PromptBuilder, words
from reasonrank_pyserini.prompts.texts import fixed
from reasonrank_pyserini.prompts.words import Words
from reasonrank_pyserini.types import Document

TOKENIZER = kit.bpe_tokenizer(kit.TEMPLATES["chatml"])
BACKEND = TOKENIZER.backend_tokenizer
ADDED = tuple(TOKENIZER.get_added_vocab())
ORDINARY = (
    "the", "Rank", "don't", "I'LL", "'S", "passages", "é", "naïve", "x²", "½", "3.14", "[12]", "(a)", "ǆ",
    "'d", "_", " ", "  ", "\t", "\n", "\r\n", "\n\n", " \n ", "...", "–", "“", "”", "€", "<", "&amp;", "~",
    "§", "•", "…",
)  # fmt: skip
ODD = (
    "ﬁ", "ſ", "'ſ", "\u00a0", "\u2028", "\u0301", "\x1c", "<|im_end|>", "<think>", "中文", "عرب", "𝒳",
    "\u212a", "\x85", "\x0b", "\x0c", "\u3000", "①", "\ud800",
)  # fmt: skip
ordinary = st.lists(st.one_of(st.sampled_from(ORDINARY), st.text("ab Z9'.\n", max_size=3)), max_size=25).map(
    "".join
)
texts = st.one_of(ordinary, st.tuples(ordinary, st.sampled_from(ODD), ordinary).map("".join))
MOJIBAKE = (
    "â€™", "â€œ", "Ã©", "Ã", "Â ", "â€”", "\x80", "\x9d", "é", "à", "°", "·", "–", "…", "’", "ﬀ", "Ａ",
    "\u00ad",
)  # fmt: skip


def fast() -> Words:
    found = Words.of(BACKEND, ADDED)
    assert found is not None
    return found


@settings(max_examples=200, deadline=None)
@given(ordinary)
def test_ids_of_ordinary_text_are_the_tokenizers(text: str) -> None:
    ids = fast_words.ids(text)
    assert ids is not None
    assert list(ids) == BACKEND.encode(text).ids


@settings(max_examples=100, deadline=None)
@given(texts)
def test_ids_are_the_tokenizers_or_none(text: str) -> None:
    text = text.replace("\ud800", "")
    ids = fast_words.ids(text)
    assert ids is None or list(ids) == BACKEND.encode(text).ids


@settings(max_examples=100, deadline=None)
@given(texts, st.sampled_from(["[1] a", "Search Query: ", ""]))
def test_ids_between_are_those_of_the_whole(middle: str, right: str) -> None:
    middle = middle.replace("\ud800", "")
    ids = fast_words.ids_between("[1]", f" {middle}\n", right)
    whole = BACKEND.encode(f"[1] {middle}\n{right}").ids
    if ids is not None:
        before, after = BACKEND.encode("[1]").ids, BACKEND.encode(right).ids
        assert [*before, *ids, *after] == whole


@pytest.mark.parametrize("text", ["a <think> b", "中文", "a\u00a0b", "e\u0301", "'ſ", "a\x1cb", "ﬁ"])
def test_what_is_not_ordinary_is_left_to_the_tokenizer(text: str) -> None:
    assert fast_words.ids(text) is None


def test_ordinary_text_is_known() -> None:
    for text in ("", "It's 12 o'clock:\n\n  [3] naïve – “x²”\t(€5)… DON'T\r\n ", "  ", "\n"):
        ids = fast_words.ids(text)
        assert ids is not None
        assert list(ids) == BACKEND.encode(text).ids


def test_other_tokenizers_go_their_own_way() -> None:
    other = kit.bpe_tokenizer(kit.TEMPLATES["chatml"], split=r"\w+|\s+|[^\w\s]+").backend_tokenizer
    assert Words.of(other, ()) is None
    assert Words.of(kit.byte_tokenizer().backend_tokenizer, ()) is None


def test_few_words_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_MAX_WORDS", 8)
    ours = fast()
    text = " ".join(f"w{'x' * number}" for number in range(100))  # the last ones are longer than is ever kept
    ids = ours.ids(text)
    assert ids is not None
    assert list(ids) == BACKEND.encode(text).ids
    assert len(ours._ids) <= 8
    assert max(map(len, ours._ids)) <= 64


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from((*MOJIBAKE, *ORDINARY, *ODD)), st.text(max_size=3)), max_size=12).map(
        "".join
    )
)
def test_fixed_is_what_ftfy_gives(text: str) -> None:
    assert fixed(text) == ftfy.fix_text(text)


@settings(max_examples=40, deadline=None)
@given(texts, st.integers(1, 40))
def test_passages_are_cut_to_the_tokenizers_own_tokens(text: str, limit: int) -> None:
    documents = [Document("d", text), Document("e", f"{text} more of it", "A title")]
    builder = PromptBuilder("reasonrank", TOKENIZER, passage_tokens=limit)
    style = builder.style
    built = builder.build("q", documents, answer_tokens=0)
    assert built.prompt.text == kit.plainly_rendered(style, TOKENIZER, "q", documents, limit)


fast_words = fast()
