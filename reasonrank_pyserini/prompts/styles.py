"""The prompt styles of the published models, as data. The models were trained on these exact bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import UnknownNameError
from ..types import AnswerForm, Sampling
from .message_style import MessageStyle, message_style, message_style_names

_ROLE = (
    "You are RankLLM, an intelligent assistant that can rank passages based on their relevance to the query."
)
_REASONING = (
    " Given a query and a passage list, you first thinks about the reasoning process in the mind and then"
    " provides the answer (i.e., the reranked passage list). The reasoning process and answer are enclosed"
    " within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning process here"
    " </think> <answer> answer here </answer>."
)
_HEADER = (
    "I will provide you with {num} passages, each indicated by a numerical identifier []. Rank the passages"
    " based on their relevance to the search query: {query}.\n\n"
)
_FOOTER = (
    "Search Query: {query}.\nRank the {num} passages above based on their relevance to the search query."
    " All the passages should be included and listed using identifiers, in descending order of relevance."
)
_ONLY = " Only respond with the ranking results, do not say any word or explain."


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """The texts of a ranking prompt.

    `header` and `footer` may contain `{num}` and `{query}`, `passage` contains `{i}` (from 1) and `{text}`;
    nothing else is replaced, so other braces are ordinary text. `sampling` is what the style's model was
    published with, `passage_tokens` the default length of a passage.
    """

    name: str
    system: str
    header: str
    footer: str
    passage: str = "[{i}] {text}\n"
    answer: AnswerForm = "tagged"
    sampling: Sampling = field(default_factory=Sampling)
    passage_tokens: int = 512


STYLES: dict[str, PromptStyle] = {
    style.name: style
    for style in (
        PromptStyle(
            name="reasonrank",
            system=_ROLE + _REASONING,
            header=_HEADER,
            footer=_FOOTER + " The format of the answer should be [] > [], e.g., [2] > [1].",
            sampling=Sampling(temperature=0.0, max_tokens=3172, reasoning_tokens=3072),
        ),
        PromptStyle(
            name="reasonrank-qwen3",
            system=_ROLE,
            header=_HEADER,
            footer=_FOOTER + " The final ranked list should be enclosed within <answer> </answer> tags, i.e.,"
            " <answer> ranked list here </answer>. The format of ranked list should be [] > [],"
            " e.g., [2] > [1]." + _ONLY,
            sampling=Sampling(
                temperature=0.6, top_p=0.95, top_k=20, min_p=0.0, max_tokens=3172, reasoning_tokens=3072
            ),
        ),
        PromptStyle(
            name="rankgpt",
            system=_ROLE,
            header=_HEADER,
            footer=_FOOTER + " The output format should be [] > [], e.g., [2] > [1]." + _ONLY,
            answer="bare",
            sampling=Sampling(temperature=0.0, max_tokens=200, answer="bare"),
        ),
    )
}
"""The window styles by name; `get_style` also knows those of `rerankers/`."""


def style_names() -> list[str]:
    """The names of all styles that come with the package."""
    return [*STYLES, *message_style_names()]


def window_style(name: str) -> PromptStyle:
    """The style of ReasonRank's kind of that name; UnknownNameError with the nearest match otherwise."""
    try:
        return STYLES[name]
    except KeyError:
        raise UnknownNameError("prompt style", name, STYLES) from None


def get_style(name: str) -> PromptStyle | MessageStyle:
    """The style of that name; UnknownNameError with the nearest match otherwise."""
    if name in STYLES:
        return STYLES[name]
    if name in message_style_names():
        return message_style(name)
    raise UnknownNameError("prompt style", name, style_names())
