"""Answers read as permutations, from any text, in time linear in its length."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from .identifiers import BRACKETED, digit_runs, identifiers, is_complete, place
from .types import AnswerForm, Parsed, ParseStatus

_TAG = re.compile(r"<(/?)(think|answer)>", re.IGNORECASE | re.ASCII)
_REASONED_ANSWER = re.compile(r"</think>\s*+<answer>")
_OPEN_BRACKET = re.compile(r"\[\s*+[^\W_]++\s*+\Z")
_ONLY_IDENTIFIERS = re.compile(
    r"(?:\[\s*+\d++\s*+\][\s>,;=]*+)+"
)  # a possessive group is wrong in Python 3.11.2
"""Bracketed identifiers with only separators between them."""
_OTHER_REASONING = re.compile(
    r"(?:<|◁)(/?)(thinking|thoughts?|reasoning|seed:think|think(?=▷))(?:>|▷)|\[(/?)(THINK)\]",
    re.IGNORECASE | re.ASCII,
)
_OTHER_ANSWER = re.compile(r"<(/?)(?:final_?answer|answers|ranking)>", re.IGNORECASE | re.ASCII)
_FINAL_CHANNEL = ("<|channel|>final<|message|>", "assistantfinal")
"""What opens the answer of models of the gpt-oss family where a server leaves their channels in the text."""
_MARKUP = re.compile(r"```\w{0,20}|\\boxed|\\succ|\\[\[\](){}]|[*`$\"'{}|]")
_PERMUTATION = re.compile(r"[\[\]［］【】\d\s>＞≻→,;=、，.#():-]+")
_MOST_DIGITS = 4300
"""The digits that int() accepts by default: the authors' parser discards an answer with a longer number."""


def parse(
    text: str, n: int, *, answer: AnswerForm = "tagged", compat: bool = False, count: int | None = None
) -> Parsed:
    """The order of `n` passages, 0-based, in a model's text, and how it was read.

    Numbers outside the window and repetitions are dropped; passages not named follow in window order.
    `tagged` reads the last complete `<answer>..</answer>` outside reasoning, else an unclosed one (REPAIRED);
    reasoning is `<think>..</think>` or the like of other models, or everything before the first `</think>` when none
    was opened, and is never read. Text without tags, besides its reasoning, is an answer if it is nothing but a
    permutation. `bare` reads the whole text but its reasoning, or a complete `<answer>` if there is one. How an answer
    is read, see `identifiers`. FAILED keeps the window's order: no answer, unfinished reasoning, or no identifier of
    this window. An empty window is CLEAN. When only the best `count` passages were requested, an answer that names at
    least that many, each once, is CLEAN.

    `compat` is the authors' parser (`rank_listwise_os_llm.process_answer`, `receive_permutation`): without an
    answer every digit of the text counts (SALVAGED); one number that `int` rejects discards the whole answer.
    """
    if n < 0:
        raise ValueError(f"a window holds 0 or more passages, not {n}")
    if answer not in ("tagged", "bare"):
        raise ValueError(f"answer is 'tagged' or 'bare', not {answer!r}")
    if n == 0:
        return Parsed((), ParseStatus.CLEAN)
    return _parse_as_authors(text, n, answer) if compat else _parse(text, n, answer, count)


def _parse(text: str, n: int, answer: AnswerForm, count: int | None) -> Parsed:
    text = _with_usual_tags(text)
    scan = AnswerTags(text)
    if scan.complete is not None:
        return _permutation(identifiers(scan.complete, n, count), n, count)
    if scan.reasoning:
        return _permutation((), n)
    if scan.unclosed is not None and (answer == "bare" or scan.is_answer(scan.unclosed)):
        span = text[slice(*scan.unclosed)]
        return _permutation(identifiers(_without_cut_end(span, n), n), n, status=ParseStatus.REPAIRED)
    if answer == "bare":
        return _permutation(identifiers(_without_cut_end(scan.outside(), None), n), n, count)
    if scan.unclosed is None:
        untagged = scan.outside().strip()
        if _ONLY_IDENTIFIERS.fullmatch(untagged):
            return _permutation(identifiers(_without_cut_end(untagged, n), n, count), n, count)
        untagged = _MARKUP.sub(" ", untagged)
        if _PERMUTATION.fullmatch(untagged) and not _OPEN_BRACKET.search(untagged):
            found = identifiers(untagged, n, count)
            if is_complete(found, n, count or n):
                return _permutation(found, n, count)
    return _permutation((), n)


def _with_usual_tags(text: str) -> str:
    """The text without reasoning in other tags than `<think>`, and with `<answer>` for the like of it."""
    for final in _FINAL_CHANNEL:
        if final in text and text.lstrip().startswith(("analysis", "<|")):
            text = text.rpartition(final)[2]
    kept, start, name, opened = [], 0, None, 0
    for tag in _OTHER_REASONING.finditer(text):
        closing, found = bool(tag[1] or tag[3]), (tag[2] or tag[4]).lower()
        if not closing and name is None:
            name, opened = found, tag.start()
        elif closing and found == name:
            kept.append(text[start:opened])
            name, start = None, tag.end()
    unclosed = name is not None and "</answer>" not in text[opened:].lower()
    text = "".join([*kept, text[start : opened if unclosed else None]])
    lowered = text.lower()
    if "<answer>" in lowered:
        return text
    return _OTHER_ANSWER.sub(r"<\1answer>", html.unescape(text) if "&lt;answer&gt;" in lowered else text)


class AnswerTags:
    """One pass over the tags of a text.

    `complete`: inside the last `<answer>..</answer>` outside reasoning. `unclosed`: the span after the last
    `<answer>` outside reasoning that was never closed. `reasoning`: the text ends inside `<think>`.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.complete: str | None = None
        self.unclosed: tuple[int, int] | None = None
        self.reasoning = self.reasoned = False
        self._kept: list[str] = []
        self._outside_from = 0
        opened: int | None = None
        for tag in _TAG.finditer(text):
            closing, name = bool(tag[1]), tag[2].lower()
            if name == "think":
                if self._think(closing, tag, opened):
                    opened = None
            elif self.reasoning:
                continue
            elif not closing:
                opened = tag.end()
            elif opened is not None:
                self.complete, self.unclosed, opened = text[opened : tag.start()], None, None
        if opened is not None:
            self.unclosed = (opened, len(text))

    def _think(self, closing: bool, tag: re.Match[str], opened: int | None) -> bool:
        """Enter or leave reasoning; True when this ends an open answer."""
        if not closing and not self.reasoning:
            self.reasoning = True
            self._kept.append(self.text[self._outside_from : tag.start()])
            if opened is not None:
                self.unclosed = (opened, tag.start())
            return True
        if closing and self.reasoning:
            self.reasoning, self.reasoned, self._outside_from = False, True, tag.end()
            return True
        if closing and not self.reasoned and not self._kept:  # the chat template opened the reasoning
            self.reasoned, self._outside_from = True, tag.end()
            self.complete = self.unclosed = None
            return True
        return False

    def outside(self) -> str:
        """The text without its reasoning (which must be finished)."""
        return " ".join([*self._kept, self.text[self._outside_from :]])

    def is_answer(self, span: tuple[int, int]) -> bool:
        """Whether an unclosed `<answer>` is a real one, not a mention in reasoning that the chat template opened."""
        start, end = span
        opens_text = not self.text[: start - len("<answer>")].strip()
        return self.reasoned or opens_text or not any(map(str.isalpha, self.text[start:end]))


def _without_cut_end(text: str, n: int | None) -> str:
    """The text without a last number that may be incomplete: in an open bracket after closed ones or, in an
    answer known to be cut off (`n` given), a bare one that is the prefix of a larger identifier."""
    text = text.rstrip()
    if (cut := _OPEN_BRACKET.search(text)) and BRACKETED.search(text):
        return text[: cut.start()]
    stem = text.rstrip("0123456789")
    tail = text[len(stem) :]
    cut_short = n is not None and 0 < len(tail) < len(str(n)) and 0 < int(tail) * 10 <= n
    return stem if cut_short else text


def _permutation(
    numbers: Iterable[str | None], n: int, count: int | None = None, status: ParseStatus = ParseStatus.CLEAN
) -> Parsed:
    """The permutation that starts with these 1-based identifiers; CLEAN if they name `count` (or all) once each."""
    asked = [place(number, n) if number is not None else -1 for number in numbers]
    order = list(dict.fromkeys(index for index in asked if 0 <= index < n))
    if not order:
        return Parsed(tuple(range(n)), ParseStatus.FAILED)
    if len(order) < min(n, n if count is None else count) or len(asked) > len(order):
        status = ParseStatus.REPAIRED
    return Parsed(_completed(order, n), status)


def _completed(order: Sequence[int], n: int) -> tuple[int, ...]:
    named = frozenset(order)
    return (*order, *(index for index in range(n) if index not in named))


def _parse_as_authors(text: str, n: int, answer: AnswerForm) -> Parsed:
    response, status = (text, ParseStatus.CLEAN) if answer == "bare" else _authors_answer(text)
    numbers = digit_runs(response)
    if not all(run.isdecimal() and len(run) <= _MOST_DIGITS for run in numbers):
        return Parsed(tuple(range(n)), ParseStatus.FAILED)
    found = _permutation(numbers, n, status=status)
    if found.status is ParseStatus.REPAIRED and status is ParseStatus.SALVAGED:
        return Parsed(found.order, status)
    return found


def _authors_answer(text: str) -> tuple[str, ParseStatus]:
    """The text that the authors' parser reads: `<think>.*?</think>\\s*<answer>(.*?)</answer>` on the lower-cased
    text, else everything after the last `<answer>`, else everything.

    Searching for the parts in turn finds the same as that pattern without its quadratic retries: if the leftmost
    `<think>` has no match, no later one has.
    """
    lowered = text.lower()
    thinking = lowered.find("<think>")
    if thinking >= 0 and (opened := _REASONED_ANSWER.search(lowered, thinking + len("<think>"))):
        closed = lowered.find("</answer>", opened.end())
        if closed >= 0:
            return lowered[opened.end() : closed], ParseStatus.CLEAN
    _, tag, after = text.rpartition("<answer>")
    if not tag:
        return text, ParseStatus.SALVAGED
    return after, ParseStatus.CLEAN if "</answer>" in after.lower() else ParseStatus.REPAIRED
