"""Any prompt that lists passages, with a line after each that says its first-stage score (after InsertRank)."""

from __future__ import annotations

from dataclasses import replace

from ..errors import InputError
from .message_style import MessageStyle, Turn
from .styles import PromptStyle

SCORE_LINE = "First-stage score of passage [{i}]: {score}"


def with_score_lines(style: PromptStyle | MessageStyle) -> MessageStyle:
    """The style with scores; itself where it shows them. InputError for one that does not list its passages."""
    if isinstance(style, PromptStyle):
        return _listed(style)
    if style.shows_scores:
        return style
    if not any("{passages}" in turn.text for turn in style.turns):
        raise InputError(f"style {style.name} does not list its passages: leave `scores_shown` out")
    ending = style.passage[len(style.passage.rstrip("\n")) :]
    return replace(style, passage=f"{style.passage.rstrip()}\n{SCORE_LINE}{ending}")


def _listed(style: PromptStyle) -> MessageStyle:
    """A window style as chat turns: without the lines the prompt is the same."""
    user = f"{style.header}{{passages}}{style.footer}"
    return MessageStyle(
        name=style.name,
        turns=(Turn("system", style.system), Turn("user", user)),
        passage=f"{style.passage}{SCORE_LINE}\n",
        title="Title: {title} Content: {text}",
        prepare=("strip", "fixed", "tokens", "unbracketed"),
        prepare_query=("unbracketed", "strip"),
        fixed=True,
        answer=style.answer,
        passage_tokens=style.passage_tokens,
    )
