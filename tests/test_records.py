"""Records and rendered examples: the published layouts read, written, and shown as inference shows them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from reasonrank_pyserini import Document
from reasonrank_pyserini.errors import FileFormatError, InputError
from reasonrank_pyserini.models.identity import load_tokenizer
from reasonrank_pyserini.prompts import render as render_prompt
from reasonrank_pyserini.training.list_records import Record, read_records, write_records
from reasonrank_pyserini.training.rendering import answer_text, read_examples, render, rl_row, sft_row

RECORD = Record("math-qa", "m1", ("a b", "c", "d"), ("d", "a b", "c"), "I compare [3] with [1].", ("d",))
PUBLISHED = {
    "dataset": "math-qa", "qid": "m1", "initial_list": ["a b", "c", "d"], "final_list": ["d", "a b", "c"],
    "reasoning": "I compare [3] with [1].", "relevant_docids": ["d"],
}  # fmt: skip
QUERIES = {"m1": "What is [7]?"}


class Texts(dict[str, Document]):
    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        return {id: self[id] for id in ids if id in self}


DOCUMENTS = Texts({id: Document(id, f"text of {id} [3]") for id in ("a b", "c", "d")})


def written(path: Path, *rows: Any, array: bool = False) -> Path:
    path.write_text(json.dumps(rows) if array else "".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("array", [False, True])
def test_the_published_layout(tmp_path: Path, array: bool) -> None:
    assert list(read_records(written(tmp_path / "r.json", PUBLISHED, array=array))) == [RECORD]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    other = Record("web", "q2", ("é",), ("é",), "", ())
    assert write_records(tmp_path / "r.jsonl", [RECORD, other]) == 2
    assert json.loads((tmp_path / "r.jsonl").read_text().splitlines()[0]) == PUBLISHED
    assert list(read_records(tmp_path / "r.jsonl")) == [RECORD, other]


def test_reinforcement_learning_rows_as_jsonl_and_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (example,) = render([RECORD], QUERIES, DOCUMENTS, style="reasonrank", tokenizer=None)
    row = rl_row(example, "math-qa")
    assert row["reward_model"]["ground_truth"] == "[3] > [1] > [2]"
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train.parquet")
    expected = Record("math-qa", "m1", RECORD.initial_list, RECORD.final_list, "", ("d",))
    for path in (tmp_path / "train.parquet", written(tmp_path / "rl.jsonl", row)):
        assert list(read_records(path)) == [expected]
        (read,) = read_examples(path)
        assert (read.prompt_messages, read.label, read.relevant) == (
            example.prompt_messages, example.label, ("d",),
        )  # fmt: skip


def test_fine_tuning_rows_are_examples_not_records(tmp_path: Path) -> None:
    (example,) = render([RECORD], QUERIES, DOCUMENTS, style="reasonrank", tokenizer=None)
    path = written(tmp_path / "sft.json", sft_row(example), array=True)
    (read,) = read_examples(path)
    assert (read.prompt_messages, read.answer, read.label) == (
        example.prompt_messages, example.answer, "[3] > [1] > [2]",
    )  # fmt: skip
    assert (read.initial_list, read.relevant) == (("1", "2", "3"), ())
    with pytest.raises(FileFormatError, match="read_examples"):
        list(read_records(path))


def test_an_example_is_the_prompt_of_inference_and_the_answer_it_asks_for(tiny_tokenizer: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_tokenizer))
    settings: dict[str, Any] = {"tokenizer": tokenizer, "passage_tokens": 6}
    (example,) = render([RECORD], QUERIES, DOCUMENTS, style="reasonrank", **settings)
    shown = [DOCUMENTS[id] for id in RECORD.initial_list]
    text = tokenizer.apply_chat_template(
        [dict(message) for message in example.prompt_messages], tokenize=False, add_generation_prompt=True
    )
    assert text == render_prompt("reasonrank", tokenizer, QUERIES["m1"], shown, passage_tokens=6)
    assert example.answer == "<think> I compare [3] with [1]. </think>\n<answer> [3] > [1] > [2] </answer>"
    assert (example.initial_list, example.relevant, example.id) == (("a b", "c", "d"), ("d",), "m1")


def test_answers_by_style_and_without_reasoning() -> None:
    silent = Record("web", "m1", ("a b", "c"), ("c", "a b"), " ", ())
    (bare,) = render([silent], QUERIES, DOCUMENTS, style="rankgpt", tokenizer=None)
    (none,) = render([silent], QUERIES, DOCUMENTS, style="reasonrank", tokenizer=None)
    assert (bare.answer, none.answer) == ("[2] > [1]", "")
    assert answer_text("a </think> <answer>[2]</ANSWER>", "[1]").count(">") == 4
    assert answer_text(" why \n", "[1]") == "<think> why </think>\n<answer> [1] </answer>"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"initial_list": None}, "field 'initial_list' holds null, not a list"),
        ({"qid": ["m1"]}, "field 'qid' holds a list"),
        ({"relevant_docids": [1.5]}, "holds a number, not an id"),
    ],
)
def test_bad_records_name_the_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = written(tmp_path / "r.jsonl", PUBLISHED, {**PUBLISHED, **change})
    with pytest.raises(FileFormatError, match=r"r.jsonl:2: ") as caught:
        list(read_records(path))
    assert said in str(caught.value)


def test_other_rows_are_not_examples(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"r.jsonl:1: not a rendered example"):
        list(read_examples(written(tmp_path / "r.jsonl", PUBLISHED)))
    row = {"instruction": "rank", "output": "no order"}
    with pytest.raises(FileFormatError, match="no ranking"):
        list(read_examples(written(tmp_path / "s.jsonl", row)))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(FileFormatError, match="not usable Parquet"):
        list(read_records(tmp_path / "broken.parquet"))


def test_a_label_names_each_passage_once() -> None:
    assert Record("x", "q", ("a", "b", "a"), ("b", "a", "b"), "", ()).label == "[2] > [1]"


def test_records_that_do_not_fit_their_texts() -> None:
    settings: dict[str, Any] = {"style": "reasonrank", "tokenizer": None}
    strange = Record("x", "m1", ("a b",), ("z",), "why", ())
    with pytest.raises(InputError, match="'z', which is not in its initial_list"):
        list(render([strange], QUERIES, DOCUMENTS, **settings))
    with pytest.raises(InputError, match="it has no query"):
        list(render([RECORD], {}, DOCUMENTS, **settings))
    with pytest.raises(InputError, match=r"1 of 3 documents have no text, e.g. 'd'"):
        list(render([RECORD], QUERIES, Texts({k: v for k, v in DOCUMENTS.items() if k != "d"}), **settings))
