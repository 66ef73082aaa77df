from __future__ import annotations

import click
import pytest

from reasonrank_pyserini.cli import COMMANDS, VariadicCommand, main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    out, err = capsys.readouterr()
    code = caught.value.code
    assert isinstance(code, int)
    return code, out, err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, err = run(capsys, name, "--help")
    assert (code, err) == (0, "")
    assert "Example" in out


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["rernak"], "unknown command 'rernak': did you mean 'rerank'?"),
        (["rerank", "--run", "x", "--mdoel", "y"], "No such option '--mdoel'."),
        (["rerank", "--model", "m", "-o", "x"], "give one of --run (a TREC run), --requests"),
        (
            ["rerank", "--model", "m", "--run", "x", "--requests", "y", "-o", "o"],
            "give one of --run (a TREC run), --requests",
        ),
        (["rerank", "--model", "m", "--requests", "y"], "give -o, the folder"),
        (
            ["rerank", "--model", "m", "--run", "x", "-o", "o"],
            "give one of --dataset ID, --index NAME or --corpus",
        ),
        (["show", "no-such-folder", "--query", "1"], "there is no folder no-such-folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert line in err
    assert len(err.splitlines()) == 1


def test_repeatable_options_take_several_values_at_once() -> None:
    @click.command(cls=VariadicCommand)
    @click.option("-m", "--measure", multiple=True)
    @click.option("--run")
    @click.argument("rest", nargs=-1)
    def command(measure: tuple[str, ...], run: str, rest: tuple[str, ...]) -> object:
        return measure, run, rest

    def parse(line: str) -> object:
        return command.main(line.split(), standalone_mode=False)

    assert parse("-m a b --run r -m c") == (("a", "b", "c"), "r", ())
    assert parse("--measure=a -m b --run r x") == (("a", "b"), "r", ("x",))
