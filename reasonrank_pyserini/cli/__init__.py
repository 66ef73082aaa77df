"""The `reasonrank` command: one module per subcommand, imported when it is called."""

from __future__ import annotations

import importlib
import signal
import sys
from itertools import takewhile
from typing import Any

import click

from .. import __version__
from ..errors import InputError, ReasonRankError, ServersGoneError, UnknownNameError
from .process import ended_by_signals, prepare
from .run_again import RUN_AGAIN
from .unexpected import drop_stdout, say, unexpected

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

COMMANDS = {
    "demo": "run everything once in about a minute: toy model, no GPU, no network",
    "datasets": "list test collections",
    "env": "show versions, Java, GPUs and cache folders, for a bug report",
    "retrieve": "run a first stage and write a TREC run",
    "fuse": "fuse two or more runs into one",
    "rerank": "rerank a run with ReasonRank or another listwise model",
    "serve": "serve a reranker over HTTP to the clients of Cohere, Jina and TEI",
    "evaluate": "score a run with ir-measures",
    "reproduce": "reproduce a published row of BRIGHT, R2MED or BEIR",
    "verify": "check an installation against one published score",
    "fetch": "download what a published row needs, for machines without a network",
    "synthesize": "make training lists with a teacher model",
    "train": "train a reranker: SFT, then GRPO",
    "nano": "a small synthetic collection with a teacher, to try training in minutes",
    "show": "show one query before and after reranking",
    "journal": "show, check or merge the answers recorded in a folder",
    "mcp": "give MCP clients the tool rerank",
    "diagnose": "how a judge ranks: agreement with itself, position bias, calibration",
    "report": "make one HTML page of what reranking did, query by query",
}


class Commands(click.Group):
    """Finds `reasonrank_pyserini.cli.NAME:command` only when NAME is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            raise UnknownNameError("command", cmd_name, COMMANDS)
        command: click.Command = importlib.import_module(f".{cmd_name}", __name__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


class NamedGroup(click.Group):
    """A group of commands, with the nearest name for an unknown one; `what` says what they are."""

    def __init__(self, *arguments: Any, what: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.what = what

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            raise UnknownNameError(self.what, args[0], self.commands)
        return super().resolve_command(ctx, args)


class VariadicCommand(click.Command):
    """A command whose repeatable options also take several values at once: `-m nDCG@10 AP` is `-m nDCG@10 -m AP`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        many = {name for p in self.params if isinstance(p, click.Option) and p.multiple for name in p.opts}
        spread: list[str] = []
        current = None
        for position, word in enumerate(args):
            if word.startswith("-") and word != "-":
                current = word if word in many else None
            elif current is not None and args[position - 1] != current:
                spread.append(current)
            spread.append(word)
        return super().parse_args(ctx, spread)


@click.command(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an unexpected failure."
)
@click.version_option(__version__, prog_name="reasonrank")
@click.pass_context
def group(ctx: click.Context) -> None:
    """Rerank any TREC run with a language model that reasons over 20 passages at a time.

    \b
    Example:
      reasonrank rerank --run bm25.trec --corpus corpus.jsonl --topics topics.tsv \\
          --model liuwenhan/reasonrank-7B -o out/
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits 0 when all was done, 2 on bad input, 75 when its servers are gone, 130
    on Ctrl-C, 1 on other failures."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in takewhile(lambda word: word.startswith("-"), words)
    if arguments is None:
        prepare(debug=debug)
    with ended_by_signals():
        status = _status(words, debug)
    if arguments is None and status == INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the exit at once
    sys.exit(status)


def _status(words: list[str], debug: bool) -> int:
    """The exit status of a command line, after one line on standard error where it fails."""
    try:
        status = group.main(words, prog_name="reasonrank", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return say("interrupted", INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        return say(_needs_a_command(error.ctx), 2)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "reasonrank"
        return say(f"{' '.join(error.format_message().split())} (see {where} --help)", 2)
    except click.ClickException as error:
        return say(" ".join(error.format_message().split()), 2)
    except ServersGoneError as error:
        return say(f"{error}; answers are kept: the same command continues", RUN_AGAIN)
    except ReasonRankError as error:
        return say(str(error), 2 if isinstance(error, InputError) else 1)
    except BrokenPipeError:
        drop_stdout()
        return 1
    except SystemExit:
        raise
    except BaseException as error:  # a panic of compiled code is not an Exception
        if debug:
            raise
        return unexpected(error)
    return status if isinstance(status, int) else 0


def _needs_a_command(context: click.Context | None) -> str:
    """What to type where a group of commands was named alone."""
    assert context is not None
    assert isinstance(context.command, click.Group)
    names, path = ", ".join(sorted(context.command.commands)), context.command_path
    return f"{context.info_name} needs a command: {names} (see {path} --help)"
