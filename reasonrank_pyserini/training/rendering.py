"""Renders records as training examples, with the prompts of inference."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets import Docstore
from ..errors import FileFormatError, InputError
from ..prompts import PromptBuilder, PromptStyle
from ..types import AnswerForm
from .list_records import Record, read_rows, record_of_row

Messages = tuple[Mapping[str, str], ...]
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_TAG = re.compile(r"<(/?(?:think|answer))>", re.IGNORECASE)
_NUMBER = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Example:
    """One list ready for training.

    `prompt_messages` (system, user) go through the model's chat template. `answer` is the target of supervised
    training, empty where no reasoning is known. `label`, `initial_list` and `relevant` are arguments of
    `rewards.multi_view_reward`.
    """

    prompt_messages: Messages
    answer: str
    label: str
    initial_list: tuple[str, ...]
    relevant: tuple[str, ...]
    id: str


def answer_text(reasoning: str, label: str) -> str:
    """`<think> reasoning </think>`, a newline, `<answer> label </answer>`: the form that the prompt asks for.

    Tags that the reasoning quotes lose their brackets, so that there is only one answer.
    """
    quoted = _TAG.sub(r"\1", reasoning).strip()
    return f"<think> {quoted} </think>\n<answer> {label} </answer>"


def render(
    records: Iterable[Record],
    queries: Mapping[str, str],
    documents: Docstore,
    *,
    style: PromptStyle | str,
    tokenizer: Any,
    passage_tokens: int | None = None,
) -> Iterator[Example]:
    """The examples of records, in order, with the same prompts as at inference.

    `queries` gives the text of a qid; `tokenizer` cuts passages as inference does (None: by words). The
    answer is bare (`[2] > [1]`) for styles without reasoning. Control strings of a passage stay in the
    messages: the tokeniser decides. InputError for a query or document that is missing.
    """
    builder = PromptBuilder(style, tokenizer, passage_tokens=passage_tokens)
    for record in records:
        if record.qid not in queries:
            raise InputError(f"record {record.qid!r}: it has no query")
        found = documents.get_many(record.initial_list)
        missing = [docid for docid in record.initial_list if docid not in found]
        if missing:
            raise InputError(
                f"record {record.qid!r}: {len(missing)} of {len(record.initial_list)} documents have no text, "
                f"e.g. {missing[0]!r}"
            )
        shown = [found[docid] for docid in record.initial_list]
        prompt = builder.build(queries[record.qid], shown, answer_tokens=0).prompt
        yield Example(
            tuple(prompt.messages), _answer(builder.style.answer, record), record.label,
            record.initial_list, record.relevant_docids, record.qid,
        )  # fmt: skip


def _answer(form: AnswerForm, record: Record) -> str:
    if form == "bare":
        return record.label
    return answer_text(record.reasoning, record.label) if record.reasoning.strip() else ""


def sft_row(example: Example) -> dict[str, Any]:
    """The example for supervised fine-tuning, in the columns of the authors' `dataset_info.json`."""
    system, user = _system_and_user(example.prompt_messages)
    return {"id": example.id, "system": system, "instruction": user, "output": example.answer}


def rl_row(example: Example, dataset: str = "") -> dict[str, Any]:
    """The example for reinforcement learning, in the columns that verl and the authors' reward read."""
    order = [int(number) - 1 for number in _NUMBER.findall(example.label)]
    return {
        "data_source": dataset,
        "prompt": [dict(message) for message in example.prompt_messages],
        "ability": "ranking",
        "reward_model": {"style": "rule", "ground_truth": example.label},
        "extra_info": {
            "qid": example.id,
            "initial_list": list(example.initial_list),
            "final_list": [example.initial_list[index] for index in order],
            "relevant_docids": list(example.relevant),
        },
    }


def read_examples(path: str | Path) -> Iterator[Example]:
    """The examples of a file of rendered rows: of `sft_row` or `rl_row`, as JSONL, JSON array or Parquet.

    A fine-tuning row has no docids: its passages get the ids `1`, `2`, ..., and none is relevant.
    """
    for line, row in read_rows(path):
        if "extra_info" in row and "prompt" in row:
            yield _rl_example(path, line, row)
        elif "instruction" in row and "output" in row:
            yield _sft_example(path, line, row)
        else:
            wanted = "instruction and output, or prompt and extra_info"
            raise FileFormatError(path, line, f"not a rendered example: expected {wanted}")


def _sft_example(path: str | Path, line: int, row: Mapping[str, Any]) -> Example:
    output = str(row["output"])
    answers = _ANSWER.findall(output)
    numbers = [int(number) for number in _NUMBER.findall(answers[-1] if answers else output)]
    if not numbers:
        raise FileFormatError(path, line, "the output holds no ranking such as [2] > [1]")
    system = [{"role": "system", "content": str(row["system"])}] if row.get("system") else []
    user = "\n".join(str(row[name]) for name in ("instruction", "input") if row.get(name))
    names = tuple(map(str, range(1, max(numbers) + 1)))
    label = " > ".join(f"[{number}]" for number in numbers)
    id = str(row.get("id") or row.get("qid") or line)
    return Example((*system, {"role": "user", "content": user}), output, label, names, (), id)


def _rl_example(path: str | Path, line: int, row: Mapping[str, Any]) -> Example:
    record = record_of_row(path, line, row)
    prompt = row["prompt"]
    if not isinstance(prompt, list) or not all(isinstance(message, Mapping) for message in prompt):
        raise FileFormatError(path, line, "field 'prompt' is not a list of messages")
    messages = tuple({"role": str(m.get("role")), "content": str(m.get("content"))} for m in prompt)
    truth = row.get("reward_model")
    label = truth.get("ground_truth") if isinstance(truth, Mapping) else None
    return Example(
        messages, "", str(label or record.label), record.initial_list, record.relevant_docids, record.qid
    )


def _system_and_user(messages: Messages) -> tuple[str, str]:
    texts = {message["role"]: message["content"] for message in messages}
    return texts.get("system", ""), texts.get("user", "")
