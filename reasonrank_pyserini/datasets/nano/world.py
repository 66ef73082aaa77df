"""The nano world: texts whose relevance follows from knowledge, not from shared words."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
NEW_SETTINGS = "test-settings"
"""The split whose topics are in new settings, with documents about them, over the pairs of clues of train."""
TOPICS = {"train": 2400, "validation": 48, "test": 96, NEW_SETTINGS: 96}
"""Topics of a split, the same number for every concept."""
DATASETS = tuple(f"nano/{split}" for split in TOPICS)
"""The splits as test collections."""
PAIRS = {"train": 10, "validation": 2, "test": 3}
"""How many of a concept's 15 pairs of clues the queries of a split use; no pair is in two of these splits."""


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

    `documents` are those of every split; test-settings has `new_documents` too: see `corpus`. `named` has the
    ids of the documents that name a concept in a setting, by (name, setting).
    """

    seed: int
    domains: tuple[Domain, ...]
    documents: tuple[Document, ...]
    new_documents: tuple[Document, ...]
    named: Mapping[tuple[str, str], tuple[str, ...]]
    splits: Mapping[str, tuple[Topic, ...]]

    @classmethod
    def load(cls, seed: int = 0) -> World:
        """The world of that seed, made once; the data sets use seed 0."""
        return _made(seed)

    def topics(self, split: str) -> tuple[Topic, ...]:
        """The topics of a split, in random order; UnknownNameError for a split that is not one of TOPICS."""
        if split not in self.splits:
            raise UnknownNameError("split of the nano world", split, TOPICS)
        return self.splits[split]

    def corpus(self, split: str) -> tuple[Document, ...]:
        """The documents that the topics of a split are searched in."""
        return self.documents + (self.new_documents if split == NEW_SETTINGS else ())

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
    draw, draw_new = random.Random(f"{seed}\0nano world"), random.Random(f"{seed}\0nano world, new settings")
    library = _Library(texts)
    documents = library.add({domain: domain.settings for domain in domains}, draw)
    splits = _splits(domains, texts, draw)
    new = library.add({domain: domain.new_settings for domain in domains}, draw_new)
    splits |= {NEW_SETTINGS: _in_new_settings(domains, splits["train"], texts, draw_new)}
    named = {place: tuple(ids) for place, ids in library.named.items()}
    return World(seed, domains, documents, new, named, splits)


class _Library:
    """Makes documents. What a concept's traps are stays the same, or they would be rare words in new documents."""

    def __init__(self, texts: Texts) -> None:
        self.named: dict[tuple[str, str], list[str]] = {}
        self._texts = texts
        self._traps: dict[str, list[str]] = {}

    def add(self, settings: Mapping[Domain, Sequence[str]], draw: random.Random) -> tuple[Document, ...]:
        """Documents for the settings of each domain."""
        found: list[Document] = []
        for domain, places in settings.items():
            for concept in domain.concepts:
                if concept.name not in self._traps:
                    self._traps[concept.name] = _traps(concept, draw)
            found += self._of(domain, places, draw)
        return tuple(found)

    def _of(self, domain: Domain, settings: Sequence[str], draw: random.Random) -> Iterator[Document]:
        """Numbers are random, so that an id does not give away the concept."""
        used: Counter[str] = Counter()
        for setting in settings:
            names = [concept.name for concept in domain.concepts for _ in range(COPIES)]
            draw.shuffle(names)
            for number, name in enumerate(names, 1):
                others = [o.name for o in domain.concepts if o.name != name]
                decoys = _least_used([word for other in others for word in self._traps[other]], used, draw)
                text = self._texts.document.format(name=name, setting=setting, words=", ".join(decoys))
                document = Document(f"{domain.name}-{setting}-{number:03}", text)
                self.named.setdefault((name, setting), []).append(document.id)
                yield document


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


def _splits(domains: tuple[Domain, ...], texts: Texts, draw: random.Random) -> dict[str, tuple[Topic, ...]]:
    """Every split but test-settings."""
    concepts = [(domain, concept) for domain in domains for concept in domain.concepts]
    found: dict[str, list[Topic]] = {split: [] for split in PAIRS}
    for domain, concept in concepts:
        pairs = list(combinations(concept.clues, 2))
        draw.shuffle(pairs)
        for split, count in PAIRS.items():
            own, pairs = pairs[:count], pairs[count:]
            places = [(pair, setting) for pair in own for setting in domain.settings]
            chosen = draw.sample(places, TOPICS[split] // len(concepts))
            found[split] += [_topic(concept, setting, pair, texts, draw) for pair, setting in chosen]
    return {split: _numbered(split, topics, draw) for split, topics in found.items()}


def _in_new_settings(
    domains: Sequence[Domain], train: Sequence[Topic], texts: Texts, draw: random.Random
) -> tuple[Topic, ...]:
    """Topics over the pairs of train, each concept's pairs and settings drawn without repetition."""
    found: list[Topic] = []
    for domain in domains:
        for concept in domain.concepts:
            pairs = sorted({tuple(sorted(topic.clues)) for topic in train if topic.concept == concept.name})
            count = TOPICS[NEW_SETTINGS] // sum(len(one.concepts) for one in domains)
            chosen = zip(draw.sample(pairs, count), draw.sample(domain.new_settings, count), strict=True)
            found += [
                _topic(concept, setting, (clue, other), texts, draw) for (clue, other), setting in chosen
            ]
    return _numbered(NEW_SETTINGS, found, draw)


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
