"""The parts of the nano world: domains with their settings and concepts, and text templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ...files.toml_tables import shipped_toml


@dataclass(frozen=True, slots=True)
class Concept:
    """A thing that passages name and queries describe by clues; `words` are each clue's content words."""

    domain: str
    name: str
    clues: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]

    @property
    def vocabulary(self) -> frozenset[str]:
        """The content words of all clues."""
        return frozenset(word for clue in self.words for word in clue)


@dataclass(frozen=True, slots=True)
class Domain:
    """Concepts that share the same settings; `new_settings` are those of the split test-settings, and of exercises."""

    name: str
    settings: tuple[str, ...]
    new_settings: tuple[str, ...]
    concepts: tuple[Concept, ...]


@dataclass(frozen=True, slots=True)
class Texts:
    """Templates of a query and a document, with placeholders in braces."""

    query: str
    document: str


@cache
def shipped() -> tuple[Texts, tuple[Domain, ...]]:
    """The texts and domains of world.toml, in the file's order."""
    table = shipped_toml(__package__, "world").values
    function_words = frozenset(table["function_words"])
    domains = (_domain(name, entry, function_words) for name, entry in table["domains"].items())
    return Texts(table["query"], table["document"]), tuple(domains)


def _domain(
    name: str, entry: Mapping[str, Mapping[str, list[str]]], function_words: frozenset[str]
) -> Domain:
    concepts = (
        Concept(name, concept, tuple(clues), tuple(_content(clue, function_words) for clue in clues))
        for concept, clues in entry["concepts"].items()
    )
    return Domain(name, tuple(entry["settings"]), tuple(entry["new_settings"]), tuple(concepts))


def _content(clue: str, function_words: frozenset[str]) -> tuple[str, ...]:
    return tuple(word for word in clue.split() if word not in function_words)
