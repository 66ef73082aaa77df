"""The nano world as files for other tools, and as sources of a synthesis."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...datasets.nano.world import NEW_SETTINGS, TOPICS, World
from ...files.atomic import atomic_open
from ...types import Document
from .exercises import exercises


def write_world(world: World, folder: Path) -> list[Path]:
    """Write the files in an existing folder, each whole or not at all; their paths.

    `corpus.jsonl`, and `test-settings.corpus.jsonl` for that split; `exercises.jsonl`, which training from scratch
    begins with; by split `SPLIT.topics.tsv`, `SPLIT.qrels` and, by domain, `SPLIT.sources-DOMAIN.jsonl`.
    """
    rows = (json.dumps(row) for row in exercises(world))
    lines = {
        "corpus.jsonl": _corpus(world.documents),
        f"{NEW_SETTINGS}.corpus.jsonl": _corpus(world.corpus(NEW_SETTINGS)),
        "exercises.jsonl": rows,
    }
    for split in TOPICS:
        lines[f"{split}.topics.tsv"] = (f"{topic.id}\t{topic.text}" for topic in world.topics(split))
        lines[f"{split}.qrels"] = _qrels(world, split)
        for domain in world.domains:
            lines[f"{split}.sources-{domain.name}.jsonl"] = _sources(world, split, domain.name)
    return [_written(folder / name, rows) for name, rows in lines.items()]


def _written(path: Path, lines: Iterable[str]) -> Path:
    with atomic_open(path) as stream:
        stream.writelines(f"{line}\n" for line in lines)
    return path


def _corpus(documents: Iterable[Document]) -> Iterator[str]:
    return (json.dumps({"id": document.id, "contents": document.text}) for document in documents)


def _qrels(world: World, split: str) -> Iterator[str]:
    for topic, judged in world.qrels(split).items():
        yield from (f"{topic} 0 {docid} {grade}" for docid, grade in judged.items())


def _sources(world: World, split: str, domain: str) -> Iterator[str]:
    """Sources whose gold answer is the concept, in the fields of the domain; web has no gold field."""
    from ..synthesis import DOMAINS

    kind = DOMAINS[domain]
    for topic in world.topics(split):
        if topic.domain == domain:
            record = {"id": topic.id, "dataset": f"nano/{split}", "domain": domain, kind.texts[0]: topic.text}
            yield json.dumps(record | dict.fromkeys(kind.gold[:1], topic.concept))
