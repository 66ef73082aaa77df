"""Prompts as chat turns, read from TOML: the styles of rerankers other than ReasonRank."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from ..files.toml_tables import (
    Rule,
    TomlFile,
    list_of,
    one_of,
    shipped_names,
    shipped_toml,
    table,
    text,
    text_or_empty,
    truth,
)
from ..types import AnswerForm
from .texts import Span

_PACKAGE = f"{__package__}.rerankers"
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_STEP = re.compile(
    r"(?:strip|one-line|joined|unprefixed|fixed|unbracketed|(?:tokens|words|characters)(?: \d+)?)\Z"
)
STEPS = "strip, one-line, joined, unprefixed, fixed, unbracketed, tokens, tokens N, words N or characters N"
"""What may be done to a passage or a query, in the order given; see `preparation.prepared`."""


def _step(value: Any) -> str | None:
    fits = isinstance(value, str) and _STEP.match(value) and value not in ("words", "characters")
    return None if fits else STEPS


STYLE_RULES: Mapping[str, Rule] = {
    "repository": text,
    "commit": text,
    "licence": text,
    "chat": truth,
    "fixed": truth,
    "answer": one_of("tagged", "bare"),
    "turns": list_of(table, "a list of tables"),
    "passage": text,
    "separator": text_or_empty,
    "query": text,
    "title": text,
    "prepare": list_of(_step, f"a list of {STEPS}"),
    "prepare_query": list_of(_step, f"a list of {STEPS}"),
    "template": table,
    "values": table,
    "tasks": table,
}
TURN_RULES: Mapping[str, Rule] = {"role": one_of("system", "user", "assistant"), "text": text, "each": truth}


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a chat; with `each` it is repeated, with its neighbours that are, for every passage."""

    role: str
    text: str
    each: bool = False


@dataclass(frozen=True, slots=True)
class MessageStyle:
    """A prompt of chat turns; `{name}` is replaced where `name` is known, other braces are ordinary text.

    Known are `query`, `num` (passages shown), `passages` (each as `passage`, joined by `separator`), the names in
    `values`, and for one passage `i` (from 1), `text` and `score`. `query` is the template of the query itself, `title`
    that of a passage with a title. `prepare` and `prepare_query` are steps (see `preparation`). Without `chat` the one
    turn's text is the whole prompt. `fixed`: ftfy goes over the whole prompt. `template`: arguments of the chat
    template. `tasks`: other `values` (or `query`) for a data set, by its id or the parts of it before a slash.
    """

    name: str
    turns: tuple[Turn, ...]
    passage: str = "{text}"
    separator: str = ""
    query: str = "{query}"
    title: str = "{title} {text}"
    prepare: tuple[str, ...] = ()
    prepare_query: tuple[str, ...] = ()
    chat: bool = True
    fixed: bool = False
    answer: AnswerForm = "tagged"
    passage_tokens: int = 32768
    repository: str = ""
    commit: str = ""
    licence: str = ""
    template: Mapping[str, Any] = field(default_factory=dict, hash=False)
    values: Mapping[str, str] = field(default_factory=dict, hash=False)
    tasks: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)

    def for_task(self, task: str) -> MessageStyle:
        """The style with the values of a data set, such as `bright/biology`; itself where it has none for it.

        Underscores count as hyphens.
        """
        task = task.replace("_", "-")
        found = self.tasks.get(task)
        while found is None and task:
            task = task.rpartition("/")[0]
            found = self.tasks.get(task)
        if found is None:
            return self
        values = {**self.values, **{name: value for name, value in found.items() if name != "query"}}
        return replace(self, query=found.get("query", self.query), values=values)

    @property
    def shows_scores(self) -> bool:
        """Whether the prompt shows the first stage's score of each passage."""
        return "{score}" in self.passage or any("{score}" in turn.text for turn in self.turns)

    def characters(self, passages: int) -> int:
        """About how many characters a prompt has besides its query and passages."""
        each = (
            len(self.passage) + len(self.separator) + sum(len(turn.text) for turn in self.turns if turn.each)
        )
        values = sum(map(len, self.values.values())) + max(
            (sum(map(len, task.values())) for task in self.tasks.values()), default=0
        )
        return values + sum(len(turn.text) for turn in self.turns if not turn.each) + passages * each

    @property
    def shows_one(self) -> bool:
        """Whether a prompt holds a single passage."""
        return not any(turn.each or "{passages}" in turn.text for turn in self.turns)


def filled_spans(template: str, values: Mapping[str, Sequence[Span]]) -> list[Span]:
    """The spans of a template with its known placeholders replaced, once: braces in values are left alone."""
    spans, end = [], 0
    for found in _PLACEHOLDER.finditer(template):
        if found[1] in values:
            spans += [Span(template[end : found.start()], True), *values[found[1]]]
            end = found.end()
    return [span for span in (*spans, Span(template[end:], True)) if span.text]


def message_style_names() -> tuple[str, ...]:
    """The names of the shipped styles, sorted."""
    return shipped_names(_PACKAGE)


@lru_cache(maxsize=32)
def message_style(name: str) -> MessageStyle:
    """The shipped style of that name."""
    return read_message_style(shipped_toml(_PACKAGE, name), name)


def read_message_style(file: TomlFile, name: str) -> MessageStyle:
    """The style in a TOML file; FileFormatError for one that does not fit."""
    values = file.check(file.values, STYLE_RULES, needs=("turns",))
    turns = [
        file.check(turn, TURN_RULES, within="turns", needs=TURN_RULES.keys() - {"each"})
        for turn in values.pop("turns")
    ]
    for key in ("prepare", "prepare_query"):
        values[key] = tuple(values.get(key, ()))
    style = MessageStyle(name=name, turns=tuple(Turn(**turn) for turn in turns), **values)
    for key, found in (("values", style.values), *(("tasks", task) for task in style.tasks.values())):
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise file.error(key, f"{key}: every value must be a text in quotes")
    if not style.turns or (not style.chat and len(style.turns) > 1):
        raise file.error("turns", "turns: a prompt has at least one turn, without `chat` exactly one")
    return style
