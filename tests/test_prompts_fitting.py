"""Prompts that are too long: what is shortened, by how much, and when it is refused. One byte is one token here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import ftfy
import prompts_kit as kit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reasonrank_pyserini.errors import PromptTooLongError
from reasonrank_pyserini.prompts import STYLES, BuiltPrompt, PromptBuilder, encode, render
from reasonrank_pyserini.prompts.texts import start_of
from reasonrank_pyserini.types import Document


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tokenizer_of_bytes()


def docs(*texts: str) -> list[Document]:
    return [Document(str(number), text) for number, text in enumerate(texts)]


def tokens(tokenizer: Any, query: str, *texts: str) -> int:
    return len(encode("rankgpt", tokenizer, query, docs(*texts)))


def build(
    tokenizer: Any, query: str, texts: Sequence[str], context: int, answer: int = 50, **options: Any
) -> BuiltPrompt:
    builder = PromptBuilder("rankgpt", tokenizer, context=context, **options)
    return builder.build(query, docs(*texts), answer_tokens=answer)


def test_what_just_fits_is_left_alone(tokenizer: Any) -> None:
    texts = ("a" * 100, "b" * 30)
    built = build(tokenizer, "query", texts, tokens(tokenizer, "query", *texts) + 50)
    assert list(built.prompt.token_ids or ()) == encode("rankgpt", tokenizer, "query", docs(*texts))
    assert (built.shrunk_passages, built.query_shortened) == (0, False)


def test_one_token_over_and_the_longest_passage_loses_it(tokenizer: Any) -> None:
    texts = ("a" * 100, "b" * 30)
    context = tokens(tokenizer, "query", *texts) + 50 - 1
    built = build(tokenizer, "query", texts, context)
    assert "[1] " + "a" * 99 + "\n[2] " + "b" * 30 + "\n" in built.prompt.text
    assert (built.tokens, built.shrunk_passages, built.query_shortened) == (context - 50, 1, False)


def test_passages_shrink_evenly(tokenizer: Any) -> None:
    base = tokens(tokenizer, "q", "", "", "")
    built = build(tokenizer, "q", ("a" * 400, "b" * 20, "c" * 300), base + 50 + 20 + 2 * 60 + 1)
    assert f"[1] {'a' * 60}\n[2] {'b' * 20}\n[3] {'c' * 60}\n" in built.prompt.text
    assert (built.tokens, built.shrunk_passages) == (base + 20 + 2 * 60, 2)


def test_the_query_goes_first(tokenizer: Any) -> None:
    base = tokens(tokenizer, "", "")
    context = base + 50 + 2 * 100 + 200
    built = build(tokenizer, "q" * 1000, ("a" * 200,), context, query_tokens=100)
    assert built.prompt.text.count(f": {'q' * 100}.") == 2
    assert (built.query_shortened, built.shrunk_passages, built.tokens) == (True, 0, context - 50)


def test_a_long_query_that_fits_stays_whole(tokenizer: Any) -> None:
    built = build(tokenizer, "q" * 1000, ("a",), 4000, query_tokens=100)
    assert built.query_shortened is False
    assert built.tokens == tokens(tokenizer, "q" * 1000, "a")


def test_the_query_may_take_a_quarter_of_the_context_by_default(tokenizer: Any) -> None:
    built = build(tokenizer, "q" * 9000, ("a" * 5,), 4000)
    assert built.prompt.text.count(f": {'q' * 1000}.") == 2


def test_a_query_of_control_strings_is_measured_as_plain_text(tokenizer: Any) -> None:
    built = build(tokenizer, "<|im_end|>" * 500, ("a" * 50,), 4000)
    assert built.prompt.text.count("<|im_end|>" * 100 + ".") == 2  # 10 bytes each, a quarter of 4000
    assert (built.query_shortened, built.neutralised) == (True, 200)


def test_too_long_whatever_is_cut(tokenizer: Any) -> None:
    least = tokens(tokenizer, "q", "a", "b")
    assert build(tokenizer, "q", ("a" * 9, "b" * 9), least + 50).tokens == least
    with pytest.raises(
        PromptTooLongError, match=rf"needs {least} tokens .* context is {least + 49}"
    ) as caught:
        build(tokenizer, "q", ("a" * 9, "b" * 9), least + 49)
    assert "\n" not in str(caught.value)


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    kit.hostile, st.lists(kit.hostile.map(lambda text: text * 3), min_size=1, max_size=3), st.integers(0, 60)
)
def test_the_largest_even_limit(query: str, texts: list[str], room: int) -> None:
    bytewise, longest = tokenizer_of_bytes(), 20
    drafts = {
        n: encode("rankgpt", bytewise, query, docs(*texts), passage_tokens=n) for n in range(1, longest + 1)
    }
    context = len(drafts[1]) + room
    fitting = [n for n, draft in drafts.items() if len(draft) <= context]
    ends = [longest] if longest in fitting else [n for n in fitting if n + 1 not in fitting]
    builder = PromptBuilder("rankgpt", bytewise, context=context, passage_tokens=longest, query_tokens=10**6)
    ids = list(builder.build(query, docs(*texts), answer_tokens=0).prompt.token_ids or ())
    assert ids in [drafts[n] for n in ends]  # several ends: a character cut in two makes the length jump


@cache
def tokenizer_of_bytes() -> Any:
    return kit.byte_tokenizer()


@pytest.mark.parametrize(
    "unit",
    [
        "word <|im_end|> [12] caf\u00e9\n",
        "words, &amp; \U0001f600 more  ",
        "x",
        "\n",
        "&lt;",
        "中文。",
        "中文",
        "a\u0301\u0302",
        "\U0001f600",
        "\u00e2\u20ac\u2122",
        "[1",
        "<",
    ],
)
def test_a_huge_passage_is_cut_as_the_authors_cut_it(unit: str) -> None:
    tokenizer = kit.bpe_tokenizer(kit.TEMPLATES["chatml"])
    document = Document("d", "  " + unit * (400_000 // len(unit)))
    expected = kit.plainly_rendered(STYLES["rankgpt"], tokenizer, "q", [document], 100)
    assert render("rankgpt", tokenizer, "q", [document], passage_tokens=100) == expected


@pytest.mark.parametrize(
    ("text", "size", "length"),
    [
        ("ab\n" * 10, 4, 6),
        ("ab\n" * 10, 6, 9),
        ("ab", 9, 2),
        ("a" * 1_500_000, 4, 1_000_000),
        ("b\n" + "a" * 3_000_000, 1_500_000, 2_000_002),
        ("a" * 900_000 + "\n" + "\u00e2\u20ac\u2122<&amp;" * 200_000, 950_000, 1_900_001),
    ],
)
def test_a_start_is_fixed_as_within_the_whole_text(text: str, size: int, length: int) -> None:
    start = start_of(text, size)
    assert (start, len(start)) == (text[:length], length)
    assert ftfy.fix_text(text).startswith(ftfy.fix_text(start))


@pytest.mark.parametrize("unit", ["中文", "\U0001f600", "a\u0301", "\ud800", "kh0"])
def test_a_word_of_four_megabytes_costs_little(tokenizer: Any, unit: str) -> None:
    document = Document("d", unit * (4_000_000 // len(unit.encode("utf-8", "surrogatepass"))))
    builder = PromptBuilder("rankgpt", tokenizer)
    started = time.process_time()
    builder.build("q", [document], answer_tokens=0)
    assert time.process_time() - started < 4


def test_a_passage_of_five_megabytes_costs_little(tokenizer: Any) -> None:
    document = Document("d", "A line of ordinary words, and one more caf\u00e9.\n" * 120_000)
    builder = PromptBuilder("rankgpt", tokenizer)
    started = time.process_time()
    built = builder.build("q", [document], answer_tokens=0)
    spent = time.process_time() - started
    size = len(document.text)
    assert size > 5_000_000
    assert built.tokens == tokens(tokenizer, "q", "") + 512
    assert spent < 1
