"""Exercises for an untrained network before lists of search results: copying, and ranking short lists."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

from ...datasets.nano.world import COPIES, Topic, World
from ...prompts import PromptBuilder
from ...types import Document
from .rule_teacher import Shown, order

COPYING = 640
"""Exercises in copying, the first ones."""
READING = ((3, 3_840), (5, 1_920), (10, 1_920))
"""Then lists to rank: (passages of a list, number of lists)."""
ASKED = 320
"""The last lists, of all these sizes, in the wording of the models' prompt."""
LARGEST = READING[-1][0]
GROUPS, GROUP_WORDS = 6, 3


def exercises(world: World, *, share: float = 1.0, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows for supervised fine-tuning: copying, then lists of train topics to rank, of growing length.

    Lists except the last ones leave out the wording of the models' prompt, which makes them a third as long.
    Short lists are numbered with gaps (`[2]`, `[5]`, `[9]`), so that every number is learnt early. The answers are
    the teacher's, without noise. `share` is the part of each kind that comes.
    """
    draw = random.Random(f"{seed}\0nano exercises")
    texts = {document.id: document.text for document in world.documents}
    words = sorted({word for text in texts.values() for word in re.findall(r"\w+", text)})
    for number in range(1, round(share * COPYING) + 1):
        text = _numbered_words(words, draw)
        yield {"id": f"copying-{number:04}", "instruction": text, "output": text}
    topics = cycle(world.topics("train"))
    for size, count in READING:
        for number, topic in zip(range(1, round(share * count) + 1), topics, strict=False):
            numbers = sorted(draw.sample(range(1, LARGEST + 1), size))
            shown = _shown(numbers, _list(world, topic, size, draw), texts)
            yield {
                "id": f"reading-{size}-{number:04}",
                **_plain(topic, shown),
                "output": _answer(topic, shown),
            }
    builder = PromptBuilder("reasonrank", None)
    for number, topic in zip(range(1, round(share * ASKED) + 1), topics, strict=False):
        size = draw.choice(READING)[0]
        shown = _shown(range(1, size + 1), _list(world, topic, size, draw), texts)
        yield {"id": f"asked-{number:04}", **_asked(builder, topic, shown), "output": _answer(topic, shown)}


def _numbered_words(words: list[str], draw: random.Random) -> str:
    groups = (" ".join(draw.sample(words, GROUP_WORDS)) for _ in range(GROUPS))
    return " ".join(f"[{draw.randint(1, 9)}] {group}" for group in groups)


def _list(world: World, topic: Topic, size: int, draw: random.Random) -> list[str]:
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
    return chosen


def _shown(numbers: Sequence[int], ids: list[str], texts: Mapping[str, str]) -> list[Shown]:
    return [Shown(number, texts[id]) for number, id in zip(numbers, ids, strict=True)]


def _answer(topic: Topic, shown: list[Shown]) -> str:
    taught = order(topic.concept, shown)
    return f"<think> {taught.reasoning} </think>\n{taught.text}"


def _plain(topic: Topic, shown: list[Shown]) -> dict[str, str]:
    passages = "".join(f"[{passage.number}] {passage.text}\n" for passage in shown)
    return {"instruction": f"{passages}Search Query: {topic.text}."}


def _asked(builder: PromptBuilder, topic: Topic, shown: list[Shown]) -> dict[str, str]:
    documents = [Document(str(passage.number), passage.text) for passage in shown]
    system, user = builder.build(topic.text, documents, answer_tokens=0).prompt.messages
    return {"system": system["content"], "instruction": user["content"]}
