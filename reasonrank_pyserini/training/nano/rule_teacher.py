"""A rule-based teacher for the nano world: answers both calls of a synthesis, with noise where asked for."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...datasets.nano.concepts import Concept
from ...datasets.nano.world import World, words_of
from ...errors import InputError

_PASSAGE = re.compile(r"^\[(\d+)\] *(.*)$", re.MULTILINE)
_ASKS_FOR_PICKS = "<answer> none </answer>"
"""A text that only the first call's prompt has."""


@dataclass(frozen=True, slots=True)
class Taught:
    """An answer: `reasoning` is one line, `text` the numbers in `<answer>` tags."""

    reasoning: str
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A numbered passage of a prompt; `first` is its first word."""

    number: int
    text: str

    @property
    def first(self) -> str:
        return next(iter(re.findall(r"\w+", self.text)), "")


@dataclass(frozen=True, slots=True)
class Teacher:
    """Picks by the concept and the setting of a query, orders by the concept alone, going through the passages.

    With probability `noise`, drawn from `seed` and the prompt, an order is for another concept: one that the
    shown passages name, else one of the domain. Picks are never noisy.
    """

    world: World
    noise: float = 0.0
    seed: int = 0

    def answer(self, messages: Sequence[Mapping[str, str]]) -> Taught:
        """The answer to the prompt in the last message; InputError when it holds no passages or no clues."""
        prompt = messages[-1]["content"] if messages else ""
        start = prompt.find("\n[1] ")
        shown = [Shown(int(number), text) for number, text in _PASSAGE.findall(prompt[start + 1 :])]
        request = prompt[:start]
        concept = self.world.concept_of(request)
        if start < 0 or concept is None:
            raise InputError("the nano teacher needs a query of the nano world and passages [1], [2], ...")
        if _ASKS_FOR_PICKS in prompt:
            return self._picks(concept, request, shown)
        return order(self._believed(concept, prompt, shown), shown)

    def _picks(self, concept: Concept, request: str, shown: Sequence[Shown]) -> Taught:
        words = words_of(request)
        settings = [word for word in self.world.domain(concept.domain).settings if word in words]
        numbers = [
            passage.number
            for passage in shown
            if passage.first == concept.name and not set(settings).isdisjoint(words_of(passage.text))
        ]
        found = _numbers(numbers) or "none"
        return Taught(f"The query describes {concept.name}.", f"<answer> {found} </answer>")

    def _believed(self, concept: Concept, prompt: str, shown: Sequence[Shown]) -> str:
        """The concept that an order is for."""
        draw = random.Random(f"{self.seed}\0{prompt}")
        if draw.random() >= self.noise:
            return concept.name
        known = {other.name for other in self.world.domain(concept.domain).concepts} - {concept.name}
        return draw.choice(sorted(known & {passage.first for passage in shown} or known))


def order(name: str, shown: Sequence[Shown]) -> Taught:
    """The answer of a teacher that reads that concept in the query: passages that begin with its name come first.

    The reasoning names the concept, goes through the passages with a verdict on each, and repeats those that fit so
    far at each that does.
    """
    fits: list[int] = []
    said = [f"The query describes {name}. {name} fits, others differ."]
    for passage in shown:
        if passage.first == name:
            fits.append(passage.number)
            said.append(f"[{passage.number}] {passage.first} fits ({_plain(fits)}).")
        else:
            said.append(f"[{passage.number}] {passage.first} differs.")
    said.append(f"So first ({_plain(fits)})." if fits else "So none is better.")
    rest = [passage.number for passage in shown if passage.number not in fits]
    answer = " > ".join(f"[{number}]" for number in (*fits, *rest))
    return Taught(" ".join(said), f"<answer> {answer} </answer>")


def _plain(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(f"[{number}]" for number in numbers)
