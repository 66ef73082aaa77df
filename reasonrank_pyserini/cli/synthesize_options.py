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
                 help="JSONL, one query a line (eval/synthesis)."),
    click.option("--domain", metavar="qa|coding|math|web", help="Where lines have no field domain."),
    click.option("--against", multiple=True, metavar="ID|FILE",
                 help="Evaluations: what shares words with them is dropped."),
    click.option("--ngram", type=click.IntRange(min=1), default=13, show_default=True, metavar="N",
                 help="Words in a row that count as shared."),
)  # fmt: skip
"""The sources, and the evaluations that they must not share words with."""

CANDIDATE_OPTIONS = (
    click.option("--dataset", metavar="ID", help="Candidates from a test collection's documents."),
    click.option("--index", metavar="NAME|DIR", help="Candidates from a Pyserini index."),
    click.option("--corpus", metavar="FILE", help="Candidates from JSONL with id and contents."),
    click.option("--method", metavar="M", help="First stage over them: bm25, bm25q, dense.  [default: bm25]"),
    click.option("--encoder", metavar="NAME|DIR", help="For --method dense."),
    click.option("--run", type=_FILE, metavar="FILE", help="Candidates from a TREC run, instead of a search."),
    click.option("--excluded", metavar="FILE", help="Lines 'query docid': documents to leave out."),
    click.option("--pool", type=click.IntRange(min=2), default=40, show_default=True, metavar="N",
                 help="Candidates that the first call sees."),
    click.option("--page-words", type=click.IntRange(min=20), default=200, show_default=True, metavar="N",
                 help="Words of a page's passage."),
)  # fmt: skip
"""Where the candidates come from."""

TEACHER_OPTIONS = (
    click.option("--model", metavar="M", help="The teacher, by its server's name for it."),
    click.option("--base-url", multiple=True, metavar="URL", help="OpenAI-compatible chat server."),
    click.option("--engine", default="openai", show_default=True, metavar="E", help="openai or module:attribute."),
    click.option("--engine-arg", multiple=True, metavar="KEY=VALUE",
                 help="Any argument of the engine, such as concurrency=8."),
    click.option("--prompts", type=_FILE, metavar="FILE", help="The teacher's prompts, TOML.  [default: built in]"),
    click.option("--temperature", type=click.FloatRange(min=0), default=0.6, show_default=True),
    click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True),
    click.option("--max-tokens", type=click.IntRange(min=1), default=8192, show_default=True, metavar="N",
                 help="Of an answer, reasoning included."),
    click.option("--price-in", type=click.FloatRange(min=0), metavar="P", help="Money per million tokens read."),
    click.option("--price-out", type=click.FloatRange(min=0), metavar="P", help="Money per million tokens written."),
)  # fmt: skip
"""The teacher, its sampling and its price."""

LIST_OPTIONS = (
    click.option("--list-size", type=click.IntRange(min=2), default=20, show_default=True, metavar="N",
                 help="Most passages of a list."),
    click.option("--min-ndcg", type=click.FloatRange(0, 1), default=0.4, show_default=True,
                 help="nDCG@10 of the order by the picks that a list needs."),
    click.option("--seed", type=int, default=0, show_default=True, help="For lists and sampling."),
    click.option("--on-error", type=click.Choice(["raise", "drop"]), default="raise", show_default=True,
                 help="A call that fails for good ends the run, or drops its query, counted (exit 3)."),
)  # fmt: skip
"""How lists are made from the teacher's picks, and which are kept."""

STUDENT_OPTIONS = (
    click.option("--style", default="reasonrank", show_default=True, metavar="S",
                 help="reasonrank, reasonrank-qwen3 or rankgpt."),
    click.option("--tokenizer", metavar="T", help="The student's tokenizer, to cut passages.  [default: by words]"),
    click.option("--passage-tokens", type=click.IntRange(min=1), default=512, show_default=True, metavar="N",
                 help="Shown of a passage, to teacher and student."),
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
