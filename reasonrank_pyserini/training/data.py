"""Training data as token ids: tokenised as at inference, overlong examples left out and counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileFormatError, InputError
from ..files.lines import json_type, read_objects
from ..prompts.codec import Codec
from ..prompts.template import turn_frame
from ..prompts.texts import Span, joined

if TYPE_CHECKING:
    from .rendering import Example

IGNORED = -100
"""The label of a token outside the loss."""


def read_examples(path: str | Path) -> list[Example]:
    """The examples of an `sft.jsonl` or `rl.jsonl` of a synthesis, or of a file of the authors.

    FileFormatError names the first line that is not an example; InputError for a file without any.
    """
    from . import rendering

    path = Path(path)
    if path.suffix == ".parquet":
        found = list(rendering.read_examples(path))
    else:
        first = next(read_objects(path), (0, {}))[1]
        ours = "label" in first or not {"extra_info", "instruction"} & first.keys()
        found = list(_ours(path) if ours else rendering.read_examples(path))
    if not found:
        raise InputError(f"{path} holds no example: write it with `reasonrank synthesize`")
    return found


def _ours(path: Path) -> Iterator[Example]:
    from .rendering import Example

    for line, row in read_objects(path):
        messages = row.get("prompt")
        texts = [row.get("label"), row.get("answer", "")]
        lists = [row.get("initial_list"), row.get("relevant")]
        if not _are_messages(messages):
            raise FileFormatError(path, line, f"'prompt' is {json_type(messages)}: expected chat messages")
        if not all(isinstance(text, str) for text in texts) or not texts[0]:
            raise FileFormatError(path, line, "'label' must be a text such as \"[2] > [1]\", 'answer' a text")
        if not all(isinstance(item, list) for item in lists):
            raise FileFormatError(path, line, "'initial_list' and 'relevant' must be lists of docids")
        yield Example(
            tuple({"role": str(m["role"]), "content": str(m["content"])} for m in row["prompt"]),
            row.get("answer", ""), row["label"], tuple(map(str, row["initial_list"])),
            tuple(map(str, row["relevant"])), str(row.get("id", line)),
        )  # fmt: skip


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in value)
    )


class Encoder:
    """Prompts and answers to token ids with a model's tokenizer and chat template.

    Strings of control tokens inside messages and answers become plain text, except an answer's own `<think>` and
    `</think>`. `opened`: the template ends the prompt with `<think>`, so an answer's opening tag is left out.
    """

    def __init__(self, tokenizer: Any) -> None:
        """InputError when the tokenizer has no chat template or no end token."""
        if not getattr(tokenizer, "chat_template", None):
            raise InputError(
                "the model's tokenizer has no chat template: start from an instruction-tuned model"
            )
        self._tokenizer, self._codec = tokenizer, Codec(tokenizer)
        self.opened = self._template([{"role": "user", "content": "x"}]).rstrip().endswith("<think>")
        self.end = self._end_token()

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The ids that generation starts from."""
        return [*self._codec.surrounded(self._codec.encode(self._spans(messages)).ids)]

    def answer(self, text: str) -> list[int]:
        """The ids that follow the prompt, up to and with the end token."""
        return [*self._codec.encode(self._answer_spans(text.strip())).ids, self.end]

    def _answer_spans(self, text: str) -> list[Span]:
        """The answer; of its tags the reasoning's first and last are trusted, which some models have as tokens."""
        opening = "<think>" if text.startswith("<think>") else ""
        reasoning, closing, rest = text[len(opening) :].rpartition("</think>")
        if self.opened:
            opening, reasoning = "", reasoning.lstrip() if closing else reasoning
            rest = rest if closing else rest.lstrip()
        return [
            Span(opening, trusted=True), Span(reasoning, trusted=False), Span(closing, trusted=True),
            Span(rest, trusted=False),
        ]  # fmt: skip

    def _template(self, messages: Sequence[Mapping[str, str]], *, generation: bool = True) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    [dict(message) for message in messages],
                    tokenize=False,
                    add_generation_prompt=generation,
                )
            )
        except Exception as error:  # a template may raise anything
            problem = " ".join(str(error).split())[:200]
            raise InputError(f"the model's chat template cannot be rendered: {problem}") from error

    def _spans(self, messages: Sequence[Mapping[str, str]]) -> list[Span]:
        """The rendered prompt; only the template's own text is trusted."""
        text = self._template(messages)
        roles = [message["role"] for message in messages]
        frame = turn_frame(self._template, roles, "use a model with a simpler one")
        for contents in ([m["content"] for m in messages], [m["content"].strip() for m in messages]):
            spans = [Span(frame[0], trusted=True)]
            for content, after in zip(contents, frame[1:], strict=True):
                spans += [Span(content, trusted=False), Span(after, trusted=True)]
            if joined(spans) == text:
                return spans
        raise InputError("the model's chat template rewrites messages: use a model with a simpler one")

    def _end_token(self) -> int:
        """The special token that the template puts after an answer, else the tokenizer's end token."""
        marker = "Qx7jv"
        turn = [{"role": "user", "content": "x"}, {"role": "assistant", "content": marker}]
        after = self._template(turn, generation=False).rpartition(marker)[2]
        special = set(self._tokenizer.all_special_ids)
        ids = self._codec.encode([Span(after, trusted=True)]).ids
        found = next((id for id in ids if id in special), self._tokenizer.eos_token_id)
        if found is None:
            raise InputError("the model's tokenizer has no end token, so answers would not end")
        return int(found)


@dataclass(frozen=True, slots=True)
class Tokenised:
    """One example as ids; `answer` is empty for reinforcement learning."""

    example: Example
    prompt: tuple[int, ...]
    answer: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.answer)

    def sft_columns(self) -> dict[str, list[int]]:
        """Input ids and labels: only the answer and its end token are learnt."""
        return {
            "input_ids": [*self.prompt, *self.answer],
            "labels": [IGNORED] * len(self.prompt) + [*self.answer],
        }

    def grpo_columns(self) -> dict[str, Any]:
        """The chat messages and what the reward needs."""
        example = self.example
        return {
            "prompt": [dict(message) for message in example.prompt_messages],
            "label": example.label,
            "initial_list": list(example.initial_list),
            "relevant": list(example.relevant),
        }


@dataclass(frozen=True, slots=True)
class Counts:
    """How many examples were read, kept and left out."""

    read: int
    kept: int
    overlong: int
    without_answer: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return dataclasses.asdict(self)


def for_sft(examples: Iterable[Example], encoder: Encoder, cutoff: int) -> tuple[list[Tokenised], Counts]:
    """The examples of at most `cutoff` tokens; those without an answer are left out too. No example is cut."""
    kept, read, without = [], 0, 0
    for read, example in enumerate(examples, 1):  # noqa: B007
        if not example.answer.strip():
            without += 1
            continue
        tokenised = Tokenised(
            example, tuple(encoder.prompt(example.prompt_messages)), tuple(encoder.answer(example.answer))
        )
        if tokenised.length <= cutoff:
            kept.append(tokenised)
    return _some(kept, Counts(read, len(kept), read - without - len(kept), without), cutoff)


def for_grpo(examples: Iterable[Example], encoder: Encoder, longest: int) -> tuple[list[Tokenised], Counts]:
    """The examples whose prompt has at most `longest` tokens. No example is cut."""
    all_of_them = [Tokenised(example, tuple(encoder.prompt(example.prompt_messages))) for example in examples]
    kept = [tokenised for tokenised in all_of_them if tokenised.length <= longest]
    return _some(kept, Counts(len(all_of_them), len(kept), len(all_of_them) - len(kept)), longest)


def _some(kept: list[Tokenised], counts: Counts, limit: int) -> tuple[list[Tokenised], Counts]:
    if not kept:
        raise InputError(
            f"no example is left of {counts.read}: {counts.overlong} are longer than {limit} tokens, "
            f"{counts.without_answer} have no answer"
        )
    return kept, counts


def histogram(lengths: Sequence[int], bars: int = 8, width: int = 40) -> list[str]:
    """Lines `from..to  count  bar` over equal ranges from the shortest to the longest."""
    low, high = min(lengths), max(lengths)
    step = max(1, -(-(high - low + 1) // bars))
    starts = range(low, high + 1, step)
    counts = [sum(start <= length < start + step for length in lengths) for start in starts]
    digits = len(str(high))
    return [
        f"{start:>{digits}}..{min(start + step - 1, high):<{digits}}  {count:>7}  "
        + "#" * round(width * count / max(counts))
        for start, count in zip(starts, counts, strict=True)
    ]
