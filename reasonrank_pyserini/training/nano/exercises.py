"""Exercises for an untrained network before lists of search results: copying, writing answers, ranking short lists."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from ...datasets.nano.world import COPIES, Topic, World
from ...prompts import PromptBuilder
from ...types import Document
from .rule_teacher import Shown, order

COPYING = 640
"""Exercises in copying, the first ones."""
NAMED = 2_560
"""Then lists of names in a setting whose query names what it is about: only reasoning and answer are to be written."""
READING = ((3, 1_920), (5, 1_920), (10, 1_920))
"""Then lists to rank: (passages of a list, number of lists)."""
ASKED = 1_600
"""The last lists, in the wording of the models' prompt: of names and of passages alternately."""
LARGEST = READING[-1][0]
GROUPS, GROUP_WORDS = 6, 3


def exercises(world: World, *, share: float = 1.0, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows for supervised fine-tuning: copying, lists of names, then lists of train topics to rank, of growing length.

    The lists of names stand for what a pretrained model brings along: it can write the form, and it knows the words
    of texts that it was not trained on, here the names of the new settings. Lists except the last ones leave out the
    wording of the models' prompt, which makes them a third as long. Short lists are numbered with gaps (`[2]`, `[5]`,
    `[9]`), so that every number is learnt early. The answers are the teacher's, without errors.
    `share` is the part of each kind that comes.
    """
    draw = random.Random(f"{seed}\0nano exercises")
    texts = {document.id: document.text for document in world.documents}
    words = sorted({word for text in texts.values() for word in re.findall(r"\w+", text)})
    for number in range(1, round(share * COPYING) + 1):
        text = _numbered_words(words, draw)
        yield {"id": f"copying-{number:04}", "instruction": text, "output": text}
    for number in range(1, round(share * NAMED) + 1):
        yield {"id": f"named-{number:04}", **_plain(_named(world, _size(draw), draw, gaps=True))}
    topics = cycle(world.topics("train"))
    for size, count in READING:
        for number, topic in zip(range(1, round(share * count) + 1), topics, strict=False):
            task = _read(world, topic, size, draw, texts, gaps=True)
            yield {"id": f"reading-{size}-{number:04}", **_plain(task)}
    builder = PromptBuilder("reasonrank", None)
    for number, topic in zip(range(1, round(share * ASKED) + 1), topics, strict=False):
        size = _size(draw)
        of_names = number % 2 == 1
        task = _named(world, size, draw) if of_names else _read(world, topic, size, draw, texts)
        yield {"id": f"asked-{number:04}", **_asked(builder, task)}


@dataclass(frozen=True, slots=True)
class _Task:
    """A list to rank for the concept that the query is about."""

    query: str
    concept: str
    shown: list[Shown]

    @property
    def answer(self) -> str:
        taught = order(self.concept, self.shown)
        return f"<think> {taught.reasoning} </think>\n{taught.text}"


def _size(draw: random.Random) -> int:
    """Half of the lists are of the largest size."""
    return draw.choice([*(size for size, _ in READING), LARGEST])


def _numbered_words(words: list[str], draw: random.Random) -> str:
    groups = (" ".join(draw.sample(words, GROUP_WORDS)) for _ in range(GROUPS))
    return " ".join(f"[{draw.randint(1, 9)}] {group}" for group in groups)


def _named(world: World, size: int, draw: random.Random, *, gaps: bool = False) -> _Task:
    """Names of one domain in one setting, old or new, up to COPIES of them the one in the query."""
    domain = draw.choice(world.domains)
    names = [concept.name for concept in domain.concepts]
    setting = draw.choice([*domain.settings, *domain.new_settings])
    wanted = draw.choice(names)
    fitting = draw.randint(0, min(COPIES, size - 1))
    others = [name for name in names if name != wanted]
    chosen = [wanted] * fitting + draw.choices(others, k=size - fitting)
    draw.shuffle(chosen)
    texts = [f"{name} in the {setting}." for name in chosen]
    return _Task(f"In the {setting}: {wanted}", wanted, _shown(texts, draw, gaps=gaps))


def _read(
    world: World,
    topic: Topic,
    size: int,
    draw: random.Random,
    texts: Mapping[str, str],
    *,
    gaps: bool = False,
) -> _Task:
    """Documents of the topic's setting, none to three of which name its concept."""
    fitting = world.named[topic.concept, topic.setting]
    others = [
        id
        for (name, setting), ids in world.named.items()
        for id in ids
        if setting == topic.setting and name != topic.concept
    ]
    count = draw.randint(0, min(COPIES, size - 1))
    chosen = [*draw.sample(fitting, count), *draw.sample(others, size - count)]
    draw.shuffle(chosen)
    return _Task(topic.text, topic.concept, _shown([texts[id] for id in chosen], draw, gaps=gaps))


def _shown(texts: Sequence[str], draw: random.Random, *, gaps: bool) -> list[Shown]:
    numbers = range(1, len(texts) + 1)
    chosen = sorted(draw.sample(range(1, LARGEST + 1), len(texts))) if gaps else numbers
    return [Shown(number, text) for number, text in zip(chosen, texts, strict=True)]


def _plain(task: _Task) -> dict[str, str]:
    passages = "".join(f"[{passage.number}] {passage.text}\n" for passage in task.shown)
    return {"instruction": f"{passages}Search Query: {task.query}.", "output": task.answer}


def _asked(builder: PromptBuilder, task: _Task) -> dict[str, str]:
    documents = [Document(str(passage.number), passage.text) for passage in task.shown]
    system, user = builder.build(task.query, documents, answer_tokens=0).prompt.messages
    return {"system": system["content"], "instruction": user["content"], "output": task.answer}
