"""In how many of 48 lists of each length a nano model puts the one relevant passage first.

    python eval/nano/lengths.py build/nano-model/seed-1/grpo-every-size

The other passages are of the topic's setting, on other concepts; they and the order are drawn, the same for each
model. Topics: the first ones of nano/test. Prints the length, those lists, and the complete answers.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.datasets.nano.world import World
from reasonrank_pyserini.errors import InputError, ReasonRankError

LISTS = 48
LENGTHS = range(2, 11)


def drawn(length: int) -> list[tuple[Query, list[Document], str]]:
    """Lists of that length, each with its query and the id of its relevant passage."""
    world, chance = World.load(), random.Random(length)
    texts = {document.id: document for document in world.documents}
    found = []
    for topic in world.topics("test")[:LISTS]:
        others = [
            ids
            for (name, place), ids in world.named.items()
            if place == topic.setting and name != topic.concept
        ]
        ids = [chance.choice(each) for each in chance.sample(others, length - 1)]
        relevant = chance.choice(world.named[topic.concept, topic.setting])
        ids.insert(chance.randrange(length), relevant)
        found.append((Query(topic.id, topic.text), [texts[id] for id in ids], relevant))
    return found


def measured(reranker: Reranker, lists: Sequence[tuple[Query, list[Document], str]]) -> tuple[int, int]:
    """In how many lists the relevant passage comes first, and how many were answered in full."""
    relevant = {query.id: id for query, _, id in lists}
    first = complete = 0
    for ranking in reranker.rerank_many((query, documents) for query, documents, _ in lists):
        first += ranking.ids[0] == relevant[ranking.query.id]
        complete += all(step.verdict.status == "CLEAN" for step in ranking.steps)
    return first, complete


def main() -> int:
    """The exit status: 0, 2 for a model that is not there, 1 when it fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="nano", help="Its folder; without one, the shipped nano.")
    model = parser.parse_args().model
    try:
        with Reranker.from_pretrained(model, profile="nano", engine="transformers") as reranker:
            print(f"{LISTS} lists of each length\nlength  relevant first  complete answers")
            for length in LENGTHS:
                first, complete = measured(reranker, drawn(length))
                print(f"{length:>6}  {first:>14}  {complete:>16}", flush=True)
    except ReasonRankError as error:
        print(f"lengths: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
