"""The nano world: texts whose relevance follows from knowledge, not from shared words."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from ...errors import UnknownNameError
from ...types import Document
from .concepts import Concept, Domain, Texts, shipped

COPIES = 3
"""Documents that name a given concept in a given setting: those relevant to a query."""
DECOYS = 3
"""How many words of other concepts' clues a document contains."""
TRAPS = 3
"""Words of a concept's clues used as decoys, at most one a clue. So few words are frequent and weigh less than a
setting: lexical search finds the setting's documents, those with decoys first."""
TOPICS = {"train": 2400, "validation": 48, "test": 96}
"""Topics of a split, the same number for every concept."""
DATASETS = tuple(f"nano/{split}" for split in TOPICS)
"""The splits as test collections."""
PAIRS = {"train": 10, "validation": 2, "test": 3}
"""How many of a concept's 15 pairs of clues the queries of a split use; no pair is in two splits."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A query and its parts; `clues` in the order of the text."""

    id: str
    text: str
    domain: str
    concept: str
    setting: str
    clues: tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Documents and topics, equal for equal seeds; made by `World.load`.

    `named` has the ids of the documents that name a concept in a setting, by (name, setting).
    """

    seed: int
    domains: tuple[Domain, ...]
    documents: tuple[Document, ...]
    named: Mapping[tuple[str, str], tuple[str, ...]]
    splits: Mapping[str, tuple[Topic, ...]]

    @classmethod
    def load(cls, seed: int = 0) -> World:
        """The world of that seed, made once; the data sets use seed 0."""
        return _made(seed)

    def topics(self, split: str) -> tuple[Topic, ...]:
        """The topics of train, validation or test, in random order; UnknownNameError for any other split."""
        if split not in self.splits:
            raise UnknownNameError("split of the nano world", split, TOPICS)
        return self.splits[split]

    def qrels(self, split: str) -> dict[str, dict[str, int]]:
        """For each topic the documents that name its concept in its setting, grade 1."""
        return {
            topic.id: dict.fromkeys(self.named[topic.concept, topic.setting], 1)
            for topic in self.topics(split)
        }

    def concept_of(self, text: str) -> Concept | None:
        """The concept with the longest clues, in total, in a text; None when the text has no clue.

        Case and punctuation are ignored. Ties go to the first concept in the world's order.
        """
        words = f" {' '.join(words_of(text))} "
        concepts = [concept for domain in self.domains for concept in domain.concepts]
        lengths = [sum(len(clue) for clue in c.clues if f" {clue} " in words) for c in concepts]
        longest = max(lengths)
        return concepts[lengths.index(longest)] if longest else None

    def domain(self, name: str) -> Domain:
        """The domain of that name; UnknownNameError for any other."""
        known = {domain.name: domain for domain in self.domains}
        if name not in known:
            raise UnknownNameError("domain of the nano world", name, known)
        return known[name]


def words_of(text: str) -> list[str]:
    """The lower-case words of a text, without its punctuation."""
    return re.findall(r"[^\W_]+", text.lower())


@cache
def _made(seed: int) -> World:
    texts, domains = shipped()
    draw = random.Random(f"{seed}\0nano world")
    documents: list[Document] = []
    named: dict[tuple[str, str], list[str]] = {}
    for domain in domains:
        for concept, setting, document in _documents(domain, texts, draw):
            documents.append(document)
            named.setdefault((concept, setting), []).append(document.id)
    ids = {place: tuple(found) for place, found in named.items()}
    return World(seed, domains, tuple(documents), ids, _splits(domains, texts, draw))


def _documents(domain: Domain, texts: Texts, draw: random.Random) -> Iterator[tuple[str, str, Document]]:
    """Concept, setting and document; numbers are random, so that an id does not give away the concept."""
    traps = {concept.name: _traps(concept, draw) for concept in domain.concepts}
    used: Counter[str] = Counter()
    for setting in domain.settings:
        names = [concept.name for concept in domain.concepts for _ in range(COPIES)]
        draw.shuffle(names)
        for number, name in enumerate(names, 1):
            others = [word for other, words in traps.items() if other != name for word in words]
            decoys = _least_used(others, used, draw)
            text = texts.document.format(name=name, setting=setting, words=", ".join(decoys))
            yield name, setting, Document(f"{domain.name}-{setting}-{number:03}", text)


def _traps(concept: Concept, draw: random.Random) -> list[str]:
    """Distinct words, each from another clue of the concept."""
    traps: list[str] = []
    for words in draw.sample(concept.words, len(concept.words)):
        if len(traps) < TRAPS and (fresh := [word for word in words if word not in traps]):
            traps.append(draw.choice(fresh))
    return traps


def _least_used(words: list[str], used: Counter[str], draw: random.Random) -> list[str]:
    """The decoys of a document: the words used least so far, so that all become equally frequent."""
    chosen = sorted(words, key=lambda word: (used[word], draw.random()))[:DECOYS]
    used.update(chosen)
    return chosen


def _splits(
    domains: tuple[Domain, ...], texts: Texts, draw: random.Random
) -> Mapping[str, tuple[Topic, ...]]:
    concepts = [(domain, concept) for domain in domains for concept in domain.concepts]
    found: dict[str, list[Topic]] = {split: [] for split in TOPICS}
    for domain, concept in concepts:
        pairs = list(combinations(concept.clues, 2))
        draw.shuffle(pairs)
        for split, count in PAIRS.items():
            own, pairs = pairs[:count], pairs[count:]
            places = [(pair, setting) for pair in own for setting in domain.settings]
            chosen = draw.sample(places, TOPICS[split] // len(concepts))
            found[split] += [_topic(concept, setting, pair, texts, draw) for pair, setting in chosen]
    return {split: _numbered(split, topics, draw) for split, topics in found.items()}


def _topic(concept: Concept, setting: str, pair: tuple[str, str], texts: Texts, draw: random.Random) -> Topic:
    clue, other = pair if draw.random() < 0.5 else pair[::-1]
    text = texts.query.format(setting=setting, clue=clue, other=other)
    return Topic("", text, concept.domain, concept.name, setting, (clue, other))


def _numbered(split: str, topics: list[Topic], draw: random.Random) -> tuple[Topic, ...]:
    """The topics in random order, with ids that only give the position."""
    draw.shuffle(topics)
    return tuple(
        Topic(f"{split}-{number:04}", t.text, t.domain, t.concept, t.setting, t.clues)
        for number, t in enumerate(topics, 1)
    )
