"""A rule-based teacher for the nano world: answers both calls of a synthesis, with errors where asked for."""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Mapping, Sequence
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

    Its orders err as those of language models do, which overlook what stands late in a long prompt: it says of a
    passage that fits and stands in the second half of a list that it differs, with probability `noise`. Its picks,
    which are made passage by passage with the gold answer, err less: with probability `pick_noise` they are for
    another concept that the shown passages name, else one of the domain. Both are drawn from `seed` and the prompt.
    """

    world: World
    noise: float = 0.0
    pick_noise: float = 0.0
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
            return self._picks(self._picked(concept, prompt, shown), concept, request, shown)
        return order(concept.name, shown, self._overlooked(prompt, shown))

    def _overlooked(self, prompt: str, shown: Sequence[Shown]) -> frozenset[int]:
        """The numbers of the passages that an order overlooks if they fit."""
        draw = random.Random(f"{self.seed}\0{prompt}")
        second_half = shown[len(shown) // 2 :]
        return frozenset(passage.number for passage in second_half if draw.random() < self.noise)

    def _others(self, concept: Concept) -> list[str]:
        names = {other.name for other in self.world.domain(concept.domain).concepts}
        return sorted(names - {concept.name})

    def _picked(self, concept: Concept, prompt: str, shown: Sequence[Shown]) -> str:
        """The concept that picks are for."""
        draw = random.Random(f"{self.seed}\0{prompt}")
        if draw.random() >= self.pick_noise:
            return concept.name
        others, named = self._others(concept), {passage.first for passage in shown}
        return draw.choice([name for name in others if name in named] or others)

    def _picks(self, name: str, concept: Concept, request: str, shown: Sequence[Shown]) -> Taught:
        words = words_of(request)
        domain = self.world.domain(concept.domain)
        settings = [word for word in (*domain.settings, *domain.new_settings) if word in words]
        numbers = [
            passage.number
            for passage in shown
            if passage.first == name and not set(settings).isdisjoint(words_of(passage.text))
        ]
        found = _numbers(numbers) or "none"
        return Taught(f"The query describes {name}.", f"<answer> {found} </answer>")


def order(name: str, shown: Sequence[Shown], overlooked: Collection[int] = ()) -> Taught:
    """The answer of a teacher that reads that concept in the query: passages that begin with its name come first.

    The reasoning names the concept, goes through the passages with a verdict on each, and repeats those that fit so
    far at each that does. Passages whose number is `overlooked` do not fit.
    """
    fits: list[int] = []
    said = [f"The query describes {name}. {name} fits, others differ."]
    for passage in shown:
        if passage.first == name and passage.number not in overlooked:
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
