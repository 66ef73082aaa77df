"""`reasonrank nano`: a small generated collection with a teacher and a toy model, to try everything in minutes."""

from __future__ import annotations

from pathlib import Path

import click

from ..files.outputs import check_folder, make_folder
from . import NamedGroup


@click.group(cls=NamedGroup, what="nano command")
def command() -> None:
    """A small synthetic collection for trying training, with a rule-based teacher and a toy model.

    A query describes a concept by two clues; passages name the concept.

    The test collections are nano/train, nano/validation, nano/test (pairs of clues that no other split has) and
    nano/test-settings (pairs of train in new settings and new documents): see `reasonrank datasets nano`.

    \b
    Examples:
      reasonrank nano world -o world/
      reasonrank nano teacher
      reasonrank synthesize --sources world/train.sources-qa.jsonl --domain qa --dataset nano/train \\
          --model nano-teacher --base-url http://127.0.0.1:8001/v1 -o lists/
    """


@command.command("teacher")
@click.option("--noise", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="P",
              help="Share of the fitting passages in a list's second half that an order overlooks.")  # fmt: skip
@click.option("--pick-noise", type=click.FloatRange(0, 1), default=0.05, show_default=True, metavar="P",
              help="Share of its picks that are for a wrong concept, by chance.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Which passages and picks those are.")
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, metavar="N",
              help="Port on 127.0.0.1; 0 takes a free one.")  # fmt: skip
def teacher(noise: float, pick_noise: float, seed: int, port: int) -> None:
    """Run the teacher as a server with the OpenAI chat API.

    Prints the URL for --base-url once it listens, and runs until Ctrl-C. The model is called nano-teacher.

    \b
    Example:
      reasonrank nano teacher --noise 0.3 --port 8001
    """
    from ..datasets.nano.world import World
    from ..training.nano.rule_teacher import Teacher
    from ..training.nano.teacher_server import TeacherServer

    with TeacherServer(Teacher(World.load(), noise, pick_noise, seed), port) as server:
        click.echo(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("reasonrank: the nano teacher has stopped", err=True)


@command.command("model")
def model() -> None:
    """Print the folder of the toy model nano.

    For other tools; reasonrank itself takes --model nano.

    \b
    Examples:
      reasonrank rerank --run bm25.trec --dataset nano/test --model nano --engine transformers -o out/
      vllm serve $(reasonrank nano model) --served-model-name nano
    """
    from ..files.hub import SHIPPED

    click.echo(SHIPPED["nano"])


@command.command("world")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Folder to write.")  # fmt: skip
def world(output: Path) -> None:
    """Write the collection's files.

    These are corpus.jsonl, exercises.jsonl and, per split, topics, qrels and sources for `synthesize`.

    \b
    Example:
      reasonrank nano world -o world/
    """
    from ..datasets.nano.world import World
    from ..training.nano.world_files import write_world

    check_folder(output)
    make_folder(output)
    paths = write_world(World.load(), output)
    click.echo(f"reasonrank: {len(paths)} files in {output}", err=True)
