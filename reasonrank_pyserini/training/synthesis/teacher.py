"""The teacher: picks the relevant passages, seeing the gold answer; then orders a list with reasoning, without it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ...engines import Engine
from ...files.toml_tables import read_toml, shipped_toml, text_or_empty
from ...prompts.passages import WordCutter
from ...prompts.texts import estimated_tokens, fixed, unbracketed
from ...ranking.judge import window_seed
from ...types import Completion, Document, Prompt, Sampling
from .sources import Source

PICK, RANK = 0, 1
"""The numbers of the two calls, from which their seeds are derived."""
_PLACE = re.compile(r"\{([a-z]+)\}")
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_NEEDED = {"pick": ("system", "user", "gold"), "rank": ("system", "user")}
_DOMAIN_NEEDS = ("task", "gold", "criterion")


@dataclass(frozen=True, slots=True)
class TeacherPrompts:
    """The teacher's prompts as data; `tables` is the TOML. Passages are cut to about `passage_tokens`."""

    tables: Mapping[str, Any]
    passage_tokens: int = 512
    text_tokens: int = 4096
    """About how many tokens of a query and of a gold answer are shown."""

    @classmethod
    def load(cls, path: str | Path | None = None, passage_tokens: int = 512) -> TeacherPrompts:
        """The prompts of a TOML file, the built-in ones by default; InputError for a file that lacks a text."""
        return cls(_shipped() if path is None else _checked(Path(path)), passage_tokens)

    def pick(self, source: Source, documents: Sequence[Document]) -> Prompt:
        """The first call: every candidate, and the gold answer where there is one."""
        table = self.tables["pick"]
        gold = ""
        if source.gold:
            name = self.tables["domains"][source.domain]["gold"]
            gold = _filled(table["gold"], name=name, gold=self._text(source.gold))
        return self._prompt("pick", source, documents, gold)

    def rank(self, source: Source, documents: Sequence[Document]) -> Prompt:
        """The second call: the list as shown, without the gold answer."""
        return self._prompt("rank", source, documents, "")

    def _prompt(self, call: str, source: Source, documents: Sequence[Document], gold: str) -> Prompt:
        table, domain = self.tables[call], self.tables["domains"][source.domain]
        cutter = WordCutter()
        lines = [
            f"[{number}] {cutter.passage(document, self.passage_tokens)}\n"
            for number, document in enumerate(documents, 1)
        ]
        user = _filled(
            table["user"],
            task=domain["task"],
            criterion=domain["criterion"],
            query=self._text(source.text),
            gold=gold,
            num=str(len(documents)),
            passages="".join(lines),
        )
        system = {"role": "system", "content": table["system"]}
        return Prompt(messages=(system, {"role": "user", "content": user.strip()}))

    def _text(self, text: str) -> str:
        return WordCutter().query(unbracketed(fixed(text)), self.text_tokens)


@dataclass(frozen=True, slots=True)
class Teacher:
    """An engine with the prompts of both calls. Seeds are derived from `seed`, the query and the call."""

    engine: Engine
    prompts: TeacherPrompts
    sampling: Sampling
    seed: int = 0

    async def pick(self, source: Source, documents: Sequence[Document]) -> Completion:
        return await self._ask(self.prompts.pick(source, documents), source, PICK)

    async def rank(self, source: Source, documents: Sequence[Document]) -> Completion:
        return await self._ask(self.prompts.rank(source, documents), source, RANK)

    async def _ask(self, prompt: Prompt, source: Source, call: int) -> Completion:
        seed = window_seed(self.seed, f"{source.dataset}\0{source.id}", call)
        return await self.engine.complete(prompt, replace(self.sampling, seed=seed))


def read_picks(text: str, n: int) -> tuple[int, ...] | None:
    """The passages that a first answer names, 0-based, ascending; None when it cannot be read.

    The last `<answer>..</answer>` after the reasoning counts. Without a number it must say `none`; with a
    number beyond the list it cannot be read.
    """
    head, closed, tail = text.rpartition("</think>")
    if not closed and "<think>" in head + tail:
        return None
    answers = _ANSWER.findall(tail)
    if not answers:
        return None
    numbers = [int(number) for number in _NUMBER.findall(answers[-1]) if len(number) < 9]
    if not numbers:
        return () if re.search(r"\bnone\b", answers[-1], re.IGNORECASE) else None
    if not all(1 <= number <= n for number in numbers):
        return None
    return tuple(sorted({number - 1 for number in numbers}))


def prompt_tokens(prompt: Prompt) -> int:
    """About how many tokens a prompt has."""
    return sum(estimated_tokens(message["content"]) for message in prompt.messages)


def _filled(template: str, **values: str) -> str:
    """The template with its places filled; values are not scanned for places."""
    return _PLACE.sub(lambda place: values.get(place[1], place[0]), template)


@cache
def _shipped() -> Mapping[str, Any]:
    return shipped_toml(__package__, "teacher").values


def _checked(path: Path) -> Mapping[str, Any]:
    file = read_toml(path, "prompt file")
    tables = file.values
    for call, names in _NEEDED.items():
        for name in names:
            if text_or_empty(tables.get(call, {}).get(name)) is not None:
                raise file.error(name, f"[{call}] has no text {name}", call)
    for domain in _shipped()["domains"]:
        for name in _DOMAIN_NEEDS:
            if text_or_empty(tables.get("domains", {}).get(domain, {}).get(name)) is not None:
                raise file.error(name, f"[domains.{domain}] has no text {name}", domain)
    return tables
