"""The second request for a missing answer: text appended to what the model wrote, so that only the answer is left."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..permutation import AnswerTags
from ..types import AnswerForm, Completion, Parsed, ParseStatus, Permutation
from .grammar import CLOSE, OPEN, REASONED, grammar

CLOSING_TOKENS = 24
"""An upper bound on the tokens of any closing text: more than it has characters."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """`closing` is appended to what the model wrote; then the model writes the rest of that `permutation`."""

    closing: str
    permutation: Permutation


def answer_budget(tokens: int, passages: int, count: int | None = None) -> int:
    """New tokens for an answer alone: `tokens`, or more if the longest answer could need them at one per character."""
    return max(tokens, grammar(passages, passages if count is None else count, True).longest)


def is_missing(completion: Completion, parsed: Parsed, answer: AnswerForm) -> bool:
    """Whether a completion has no complete answer: nothing could be parsed, or the token budget ended first."""
    if parsed.status is ParseStatus.FAILED:
        return True
    if completion.finish_reason != "length" or parsed.status is ParseStatus.CLEAN:
        return False
    return answer == "bare" or AnswerTags(completion.text).complete is None


def may_be_continued(completion: Completion) -> bool:
    """Whether a second request may continue the completion's token ids: not after a closed answer."""
    return completion.finish_reason == "length" or AnswerTags(completion.text).complete is None


def continuation(
    text: str, passages: int, *, answer: AnswerForm = "tagged", count: int | None = None
) -> Continuation:
    """How to continue a text without a complete answer so that `permutation.parse` can read one.

    Unfinished reasoning is closed and an answer opened, with the tags of the prompt. An answer that was cut off
    is continued, unless it is already invalid (an identifier twice): then a new answer is opened.
    """
    scan, asked = AnswerTags(text), Permutation(passages, passages if count is None else count)
    if answer == "bare" and (bare := _bare(text, scan, asked)) is not None:
        return bare
    if scan.reasoning:
        return Continuation(f"\n{REASONED} {OPEN}", asked)
    if scan.unclosed is not None and scan.unclosed[1] == len(text):
        then = replace(asked, written=text[scan.unclosed[0] :])
        return Continuation("", then) if _begins(then) else Continuation(f" {CLOSE} {OPEN}", asked)
    return Continuation(OPEN if not text or text[-1].isspace() else f" {OPEN}", asked)


def _bare(text: str, scan: AnswerTags, asked: Permutation) -> Continuation | None:
    """The continuation without tags; None when other text surrounds the answer, so that tags are needed."""
    if scan.complete is not None or scan.unclosed is not None:
        return None
    if scan.reasoning:
        closing = f"\n{REASONED}\n\n"
        alone = not AnswerTags(text + closing).outside().strip()
        return Continuation(closing, replace(asked, answer="bare")) if alone else None
    written = text.rpartition(REASONED)[2].lstrip()
    then = replace(asked, answer="bare", written=written)
    return Continuation("", then) if _begins(then) and scan.outside().strip() == written.strip() else None


def _begins(asked: Permutation) -> bool:
    state = grammar(asked.passages, asked.count, asked.answer == "tagged").read(asked.written or "")
    return state is not None and not state.done
