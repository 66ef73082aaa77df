"""A teacher that follows a rule, on a real HTTP server: the chat API with `reasoning_content`, and noise on demand.

Texts are made by `world`: a query `... topic K ...`, passages `... topic K grade G ...`. The teacher picks passages
of the query's topic with grade 1 or 2, and orders by grade plus a normal error with standard deviation `noise`,
drawn from the prompt. The gold answer, where a prompt shows one, is kept in `golds`.

    with teaching(noise=0.5) as server:
        ...                          # a synthesis with --base-url server.url
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from http_server import Behaviour, Request, Server, answer

_PASSAGE = re.compile(r"^\[(\d+)\] .*?topic (\d+) grade (\d)", re.MULTILINE)
_TOPIC = re.compile(r"Why does topic (\d+) ")


class Teaching(Server):
    """A `Server` whose completions are a teacher's; `prompts` are the user messages, in order of arrival."""

    def __init__(self, noise: float = 0.0, delay: float = 0.0) -> None:
        super().__init__(models=["teacher"], delay=delay)
        self.noise = noise
        self.choose = self._teach

    @property
    def prompts(self) -> list[str]:
        return [user_message(request) for request in self.requests]

    def _teach(self, request: Request) -> Behaviour:
        text = user_message(request)
        topic = int(_TOPIC.search(text)[1])  # type: ignore[index]
        shown = [(int(n), int(grade) if int(t) == topic else 0) for n, t, grade in _PASSAGE.findall(text)]
        if "none </answer>" in text:
            picked = [f"[{number}]" for number, grade in shown if grade]
            said = ", ".join(picked) or "none"
        else:
            draw = random.Random(text)
            values = {number: grade + draw.gauss(0, self.noise) for number, grade in shown}
            said = " > ".join(f"[{n}]" for n in sorted(values, key=lambda n: -values[n]))
        words = f"The request is about topic {topic}. I compare {len(shown)} passages."
        return answer(
            f"<answer> {said} </answer>", reasoning=words, prompt_tokens=1000, completion_tokens=100
        )


def user_message(request: Request) -> str:
    """What the teacher is asked."""
    return str(request.body["messages"][-1]["content"])


@contextmanager
def teaching(noise: float = 0.0, delay: float = 0.0) -> Iterator[Teaching]:
    """A running teacher."""
    with Teaching(noise, delay) as server:
        yield server


GRADES = (2, 2, 1, *[0] * 17)
"""Of a query's twenty candidates."""


def world(folder: Path, queries: int, *, relevant: int | None = None) -> list[str]:
    """Sources, corpus and run of `queries` queries in `folder`, of which `relevant` have relevant passages; the
    arguments of `reasonrank synthesize` that name them."""
    have = queries if relevant is None else relevant
    sources = [
        {"id": f"q{q}", "query": f"Why does topic {q} behave so?", "answer": f"secret {q}"}
        for q in range(queries)
    ]
    corpus = [
        {"id": f"d {q} {i}", "contents": f"About topic {q} grade {grade if q < have else 0}, passage {i}."}
        for q in range(queries)
        for i, grade in enumerate(GRADES)
    ]
    run = [f"q{q} Q0 {d} {r} {100 - r} x" for q in range(queries) for r, d in enumerate(_docids(q), 1)]
    (folder / "sources.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sources))
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (folder / "run.trec").write_text("".join(line + "\n" for line in run))
    return [
        "synthesize", "--sources", str(folder / "sources.jsonl"), "--domain", "qa", "--corpus",
        str(folder / "corpus.jsonl"), "--run", str(folder / "run.trec"), "--model", "teacher",
    ]  # fmt: skip


def _docids(query: int) -> list[str]:
    return [f"d {query} {i}" for i in range(len(GRADES))]
