"""The options of `reasonrank synthesize`, in the groups that its parts read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)


def input_options(command: F) -> F:
    """Adds the sources, their candidates, and what they must not share words with."""
    return _added(
        command,
        click.option(
            "--sources",
            multiple=True,
            type=_FILE,
            metavar="FILE",
            help="JSONL, one query a line (eval/synthesis).",
        ),
        click.option("--domain", metavar="qa|coding|math|web", help="Where lines have no field domain."),
        click.option("--dataset", metavar="ID", help="Candidates from a test collection's documents."),
        click.option("--index", metavar="NAME|DIR", help="Candidates from a Pyserini index."),
        click.option("--corpus", metavar="FILE", help="Candidates from JSONL with id and contents."),
        click.option(
            "--method", metavar="M", help="First stage over them: bm25, bm25q, dense.  [default: bm25]"
        ),
        click.option("--encoder", metavar="NAME|DIR", help="For --method dense."),
        click.option(
            "--run", type=_FILE, metavar="FILE", help="Candidates from a TREC run, instead of a search."
        ),
        click.option("--excluded", metavar="FILE", help="Lines 'query docid': documents to leave out."),
        click.option(
            "--against",
            multiple=True,
            metavar="ID|FILE",
            help="Evaluations: what shares words with them is dropped.",
        ),
        click.option(
            "--ngram",
            type=click.IntRange(min=1),
            default=13,
            show_default=True,
            metavar="N",
            help="Words in a row that count as shared.",
        ),
    )


def teacher_options(command: F) -> F:
    """Adds who is asked, how, and at what price."""
    return _added(
        command,
        click.option("--model", metavar="M", help="The teacher, as its server calls it."),
        click.option("--base-url", multiple=True, metavar="URL", help="OpenAI-compatible chat server."),
        click.option(
            "--engine", default="openai", show_default=True, metavar="E", help="openai or module:attribute."
        ),
        click.option(
            "--engine-arg",
            multiple=True,
            metavar="KEY=VALUE",
            help="Any argument of the engine, such as concurrency=8.",
        ),
        click.option(
            "--prompts", type=_FILE, metavar="FILE", help="The teacher's prompts, TOML.  [default: built in]"
        ),
        click.option("--temperature", type=click.FloatRange(min=0), default=0.6, show_default=True),
        click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True),
        click.option(
            "--max-tokens",
            type=click.IntRange(min=1),
            default=8192,
            show_default=True,
            metavar="N",
            help="Of an answer, reasoning included.",
        ),
        click.option(
            "--price-in", type=click.FloatRange(min=0), metavar="P", help="Money per million tokens read."
        ),
        click.option(
            "--price-out", type=click.FloatRange(min=0), metavar="P", help="Money per million tokens written."
        ),
    )


def list_options(command: F) -> F:
    """Adds how lists are made of what the teacher picked, and which are kept."""
    return _added(
        command,
        click.option(
            "--pool",
            type=click.IntRange(min=2),
            default=40,
            show_default=True,
            metavar="N",
            help="Candidates that the first call sees.",
        ),
        click.option(
            "--list-size",
            type=click.IntRange(min=2),
            default=20,
            show_default=True,
            metavar="N",
            help="Passages of a list, at most.",
        ),
        click.option(
            "--page-words",
            type=click.IntRange(min=20),
            default=200,
            show_default=True,
            metavar="N",
            help="Words of a page's passage.",
        ),
        click.option(
            "--min-ndcg",
            type=click.FloatRange(0, 1),
            default=0.4,
            show_default=True,
            help="nDCG@10 of the order by the picks that a list needs.",
        ),
        click.option("--seed", type=int, default=0, show_default=True, help="For lists and sampling."),
    )


def student_options(command: F) -> F:
    """Adds the model whose prompts sft.jsonl and rl.jsonl are made for."""
    return _added(
        command,
        click.option(
            "--style",
            default="reasonrank",
            show_default=True,
            metavar="S",
            help="reasonrank, reasonrank-qwen3 or rankgpt.",
        ),
        click.option(
            "--tokenizer", metavar="T", help="The student's tokenizer, to cut passages.  [default: by words]"
        ),
        click.option(
            "--passage-tokens",
            type=click.IntRange(min=1),
            default=512,
            show_default=True,
            metavar="N",
            help="Shown of a passage, to teacher and student.",
        ),
    )


def _added(command: F, *options: Callable[[Any], Any]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
