"""`reasonrank demo`: the whole path with a text and a toy model from this package, without a GPU or a network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..datasets.nano.world import TOPICS, World
from ..errors import InputError, UnknownNameError
from ..files.hub import SHIPPED
from ..files.outputs import check_folder, clean_stdout, make_folder
from . import VariadicCommand
from .demo_stages import CANDIDATES, MODEL, DemoFolder, make


@click.command(cls=VariadicCommand)
@click.option("-o", "--output", type=click.Path(path_type=Path), default="reasonrank-demo", show_default=True,
              metavar="DIR", help="Folder to write.")  # fmt: skip
@click.option("--topics", type=click.IntRange(1, TOPICS["test"]), default=32, show_default=True, metavar="N",
              help=f"Queries to rerank, {TOPICS['test']} at most.")  # fmt: skip
@click.option(
    "--query", "query_id", metavar="ID", help="The query to show.  [default: one with a large gain]"
)
@click.option("--overwrite", is_flag=True, help="Start over, replacing an earlier demo in -o.")
def command(output: Path, topics: int, query_id: str | None, overwrite: bool) -> None:
    """Index, search, rerank, score and report in about a minute, with a toy model on a small collection.

    Model and collection are part of the package; no GPU or network is needed. Writes DIR/bm25.trec, qrels.txt,
    reranked/ and report.html. The same command again continues where it stopped.

    \b
    Examples:
      reasonrank demo
      reasonrank demo --query test-0003
    """
    from ..files.caches import documents_sha256
    from .demo_next import next_steps
    from .demo_text import file_lines, query_lines, read_result, score_lines

    world = World.load()
    chosen = world.topics("test")[:topics]
    known = [topic.id for topic in chosen]
    if query_id is not None and query_id not in known:
        raise UnknownNameError("query", query_id, known, f"--topics {TOPICS['test']} takes all")
    check_folder(output)
    count = parameters(SHIPPED[MODEL])
    folder = DemoFolder(output)
    text = documents_sha256(world.documents)
    _claim(folder, {"text": text, "topics": topics, "candidates": CANDIDATES}, overwrite)
    click.echo(
        f"a toy model of {count:,} parameters on our own text: it shows that the machine works, "
        "not how good ReasonRank is"
    )
    with clean_stdout():
        make(folder, chosen, overwrite=overwrite)
        result = read_result(folder, chosen)
    parts = (query_lines(result, query_id), score_lines(result), file_lines(folder), next_steps())
    for lines in parts:
        click.echo("\n" + "\n".join(lines))


def parameters(model: Path) -> int:
    """How many numbers the weights of a model folder hold; InputError when there are none."""
    from safetensors import safe_open

    files = sorted(model.glob("*.safetensors"))
    if not files:
        raise InputError(f"the toy model is not where it was installed ({model}): install the package again")
    count = 0
    for file in files:
        with safe_open(file, framework="numpy") as weights:
            names = weights.keys()
            count += sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    return count


def _claim(folder: DemoFolder, configuration: Mapping[str, Any], overwrite: bool) -> None:
    """Take a folder that is new, empty, or holds this very demo; InputError for any other."""
    from ..files.atomic import atomic_open
    from ..files.locks import differences, read_json

    path = folder.path
    held = read_json(folder.note)
    if held is None and path.is_dir() and (others := sorted(path.iterdir())):
        raise InputError(f"{path} holds something else ({others[0].name}): choose another -o")
    if held is not None and held != configuration and not overwrite:
        changed = differences(held, configuration)
        raise InputError(f"{path} holds another demo ({changed}): choose another -o, or --overwrite")
    make_folder(path)
    if overwrite:
        for result in folder.results:
            result.unlink(missing_ok=True)
    with atomic_open(folder.note) as stream:
        stream.write(json.dumps(configuration) + "\n")
