"""The options of `reasonrank synthesize`, in the groups of its request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from .engine_options import engine_arguments
from .option_groups import add_options, option_group

if TYPE_CHECKING:
    from ..training.synthesis import CandidateOptions, ListOptions, StudentOptions, TeacherOptions

_FILE = click.Path(path_type=Path)

SOURCE_OPTIONS = (
    click.option("--sources", multiple=True, type=_FILE, metavar="FILE",
                 help="Queries with gold answers, JSONL; fields: eval/synthesis/README.md."),
    click.option("--domain", metavar="qa|coding|math|web", help="Domain of lines without a field `domain`."),
    click.option("--against", multiple=True, metavar="ID|FILE",
                 help="Evaluation data; queries and passages that share text with it are dropped."),
    click.option("--ngram", type=click.IntRange(min=1), default=13, show_default=True, metavar="N",
                 help="With --against: consecutive words that count as shared text."),
)  # fmt: skip
"""The sources, and the evaluations that they must not share words with."""

CANDIDATE_OPTIONS = (
    click.option("--dataset", metavar="ID", help="Candidates from a test collection's documents."),
    click.option("--index", metavar="NAME|DIR", help="Candidates from a Pyserini index."),
    click.option("--corpus", metavar="FILE", help="Candidates from JSONL with id and contents."),
    click.option("--method", metavar="M",
                 help="First stage that finds candidates: bm25, bm25q, dense.  [default: bm25]"),
    click.option("--encoder", metavar="NAME|DIR", help="dense: a sentence-transformers or Pyserini model."),
    click.option("--run", type=_FILE, metavar="FILE", help="Candidates from a TREC run, in place of a search."),
    click.option("--excluded", metavar="FILE", help="Documents to leave out: lines of 'query docid'."),
    click.option("--pool", type=click.IntRange(min=2), default=40, show_default=True, metavar="N",
                 help="Candidates shown in the first call."),
    click.option("--page-words", type=click.IntRange(min=20), default=200, show_default=True, metavar="N",
                 help="Words per passage when a page is split."),
)  # fmt: skip
"""Where the candidates come from."""

TEACHER_OPTIONS = (
    click.option("--model", metavar="M", help="The teacher's name at its server."),
    click.option("--base-url", multiple=True, metavar="URL", help="OpenAI-compatible chat server."),
    click.option("--engine", default="openai", show_default=True, metavar="E", help="openai or module:attribute."),
    click.option("--engine-arg", multiple=True, metavar="KEY=VALUE",
                 help="Any argument of the engine, such as concurrency=8."),
    click.option("--prompts", type=_FILE, metavar="FILE", help="The teacher's prompts, TOML.  [default: built in]"),
    click.option("--temperature", type=click.FloatRange(min=0), default=0.6, show_default=True),
    click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True),
    click.option("--max-tokens", type=click.IntRange(min=1), default=8192, show_default=True, metavar="N",
                 help="Longest answer, in tokens, including reasoning."),
    click.option("--price-in", type=click.FloatRange(min=0), metavar="P", help="Price per million input tokens."),
    click.option("--price-out", type=click.FloatRange(min=0), metavar="P", help="Price per million output tokens."),
)  # fmt: skip
"""The teacher, its sampling and its price."""

LIST_OPTIONS = (
    click.option("--list-size", type=click.IntRange(min=2), default=20, show_default=True, metavar="N",
                 help="Most passages in a list."),
    click.option("--min-ndcg", type=click.FloatRange(0, 1), default=0.4, show_default=True,
                 help="Least nDCG@10 of the order, judged by the picks, of a list that is kept."),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed for drawing lists and for sampling."),
    click.option("--on-error", type=click.Choice(["raise", "drop"]), default="raise", show_default=True,
                 help="raise: a failed call ends the run. drop: its query is dropped and counted (exit 3)."),
)  # fmt: skip
"""How lists are made from the teacher's picks, and which are kept."""

STUDENT_OPTIONS = (
    click.option("--style", default="reasonrank", show_default=True, metavar="S",
                 help="Prompt of the student: reasonrank, reasonrank-qwen3 or rankgpt."),
    click.option("--tokenizer", metavar="T",
                 help="The student's tokenizer, for cutting passages.  [default: cut by words]"),
    click.option("--passage-tokens", type=click.IntRange(min=1), default=512, show_default=True, metavar="N",
                 help="Longest passage shown to teacher and student, in tokens."),
)  # fmt: skip
"""The model whose prompts sft.jsonl and rl.jsonl are made for."""


def _candidates(*, encoder: str | None, **given: Any) -> CandidateOptions:
    from ..jobs.collection import CollectionRequest
    from ..training.synthesis import CandidateOptions
    from .search_options import search_options

    named = {name: given.pop(name) for name in ("dataset", "index", "corpus", "excluded")}
    return CandidateOptions(
        collection=CollectionRequest(**named), search=search_options(encoder=encoder), **given
    )


def _teacher(*, base_url: tuple[str, ...], engine_arg: tuple[str, ...], **given: Any) -> TeacherOptions:
    from ..training.synthesis import TeacherOptions

    return TeacherOptions(base_urls=base_url, engine_args=engine_arguments(engine_arg), **given)


def _lists(*, list_size: int, min_ndcg: float, seed: int, on_error: Literal["raise", "drop"]) -> ListOptions:
    from ..training.synthesis import ListOptions

    return ListOptions(list_size, min_ndcg, seed, on_error)


def _student(**given: Any) -> StudentOptions:
    from ..training.synthesis import StudentOptions

    return StudentOptions(**given)


source_options = add_options(SOURCE_OPTIONS)
"""Adds the source options as arguments of their own."""
candidate_options = option_group("candidates", CANDIDATE_OPTIONS, _candidates)
"""Adds the candidate options and gives the command CandidateOptions as `candidates`."""
teacher_options = option_group("teacher", TEACHER_OPTIONS, _teacher)
"""Adds the teacher options and gives the command TeacherOptions as `teacher`."""
list_options = option_group("lists", LIST_OPTIONS, _lists)
"""Adds the list options and gives the command ListOptions as `lists`."""
student_options = option_group("student", STUDENT_OPTIONS, _student)
"""Adds the student options and gives the command StudentOptions as `student`."""
