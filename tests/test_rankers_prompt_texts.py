"""The prompts of other rerankers with any texts: their source, their length, scores, and no control tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import prompts_kit as kit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rankers_kit import built, qwen, style

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.prompts import PromptBuilder, get_style
from reasonrank_pyserini.prompts.message_style import message_style_names
from reasonrank_pyserini.prompts.score_lines import with_score_lines
from reasonrank_pyserini.types import Document

__all__ = ["qwen"]  # fixture

ONE = ("rank1", "retro-star", "erank")
SEVERAL = (
    "diver-grouprank",
    "rank-k",
    "rank-r1",
    "rank-r1-v0.2",
    "setwise-sft",
    "rearank",
    "rankgpt-chat",
    "insertrank",
)


@pytest.mark.parametrize("name", [*ONE, *SEVERAL])
def test_every_style_says_where_it_is_from(name: str) -> None:
    found = style(name)
    assert (found.repository.count("/"), bool(found.commit), found.licence in ("MIT", "Apache-2.0")) == (
        1,
        True,
        True,
    )
    assert found.shows_one == (name in ONE)


@pytest.mark.parametrize("name", [*ONE, *SEVERAL])
def test_no_text_of_a_passage_becomes_a_control_id(name: str, qwen: Any) -> None:
    end = qwen.convert_tokens_to_ids("<|im_end|>")

    def ends(text: str) -> int:
        count = 1 if name in ONE else 3
        prompt = built(style(name), qwen, text, [Document("d", text)] * count, scores=[1.0] * count)
        return list(prompt.token_ids or ()).count(end)

    assert ends("a <|im_end|> b") == ends("a b")


@pytest.mark.parametrize("name", [*ONE, *SEVERAL])
def test_a_long_passage_is_shortened_until_the_prompt_fits(name: str, qwen: Any) -> None:
    count = 1 if name in ONE else 5
    builder = PromptBuilder(style(name), qwen, context=2000, passage_tokens=3000)
    shown = [Document(str(at), f"w{at} " * 2500) for at in range(count)]
    made = builder.build("why", shown, answer_tokens=300, scores=[1.0] * count)
    assert made.tokens <= 1700
    cut_by_style = any(step.startswith(("words", "characters")) for step in style(name).prepare)
    assert made.shrunk_passages == count or cut_by_style


def test_without_a_tokenizer_there_are_messages() -> None:
    prompt = built(style("rearank"), None, "why", [Document("a", "one"), Document("b", "two")])
    assert [message["role"] for message in prompt.messages] == ["system", "user"] + ["assistant", "user"] * 3
    assert prompt.token_ids is None
    assert "[2] two" in [message["content"] for message in prompt.messages]


def test_the_notice_lists_every_prompt() -> None:
    notice = (Path(__file__).parents[1] / "NOTICE").read_text()
    for name in message_style_names():
        (line,) = [line for line in notice.splitlines() if f"rerankers/{name}.toml" in line]
        found = style(name)
        assert found.repository.partition(" ")[0] in line
        assert line.split()[-2:] == [found.commit, found.licence]


@pytest.mark.parametrize("name", ["reasonrank", "reasonrank-qwen3", "rankgpt", "rank-k", "diver-grouprank"])
def test_any_list_of_passages_can_show_scores(name: str, qwen: Any) -> None:
    texts = ["One [2] <|im_end|>.", "two &amp; three", "  last\n\nline "]
    shown = [Document(str(at), text, "A title" if at == 1 else "") for at, text in enumerate(texts)]
    plain = PromptBuilder(name, qwen).build("why [3] ", shown, answer_tokens=1)
    scored = PromptBuilder(with_score_lines(get_style(name)), qwen)
    made = scored.build("why [3] ", shown, answer_tokens=1, scores=[3.0, -0.5, 12.25])
    lines = made.prompt.text.splitlines(keepends=True)
    added = [line for line in lines if line.startswith("First-stage score of passage [")]
    assert [line.split("]: ")[1].strip() for line in added] == ["3.000", "-0.500", "12.250"]
    assert "".join(line for line in lines if line not in added) == plain.prompt.text


def test_scores_need_a_list_of_passages() -> None:
    with pytest.raises(InputError, match="style rearank does not list its passages"):
        with_score_lines(style("rearank"))


HOSTILE_TOKENIZERS: dict[str, Any] = {}
ORDINARY_TEMPLATES = ("chatml", "default-system", "strips", "no-system", "no-markup")


@given(
    query=kit.hostile,
    shown=kit.documents,
    name=st.sampled_from([*ONE, *SEVERAL]),
    template=st.sampled_from(ORDINARY_TEMPLATES),
)
@settings(max_examples=150)
def test_hostile_texts_bring_no_control_ids(
    query: str, shown: list[Document], name: str, template: str
) -> None:
    tokenizer = HOSTILE_TOKENIZERS.setdefault(template, kit.byte_tokenizer(kit.TEMPLATES[template]))
    control = {tokenizer.convert_tokens_to_ids(token) for token in kit.CONTROL}
    shown = shown[:1] if name in ONE else shown
    harmless = [Document(document.id, "a", "b" if document.title else "") for document in shown]

    def controls(text: str, documents: list[Document]) -> list[int]:
        prompt = built(style(name), tokenizer, text, documents, scores=[1.0] * len(documents))
        return [id for id in prompt.token_ids or () if id in control]

    assert controls(query, shown) == controls("q", harmless)
