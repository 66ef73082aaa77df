"""The fenced blocks, commands, links and inline code of a Markdown page, and what runs a block of shell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from reasonrank_pyserini.cli import group, main

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "tests" / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "eval").rglob("*.md"),
    ]
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!-- ([^>]*) -->\n\Z")
PUNCTUATION = ";&|<>()"
"""What separates the commands of a line of shell."""
KEYWORDS = ("do", "then", "else")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `comment` is the HTML comment right before it."""

    page: Path
    line: int
    language: str
    code: str
    comment: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def not_run(self) -> bool:
        """Whether the page is run without it; what needs a package of its own is run by test_adapter_snippets."""
        return self.comment.startswith("not run: ") or self.package != ""

    @property
    def package(self) -> str:
        """The package that the block shows, which may not be installed."""
        found = re.fullmatch(r"run with ([\w.]+) installed", self.comment)
        return found[1] if found else ""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in order."""
    text, found = page.read_text(), []
    for match in FENCE.finditer(text):
        comment = COMMENT.search(text[: match.start()])
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, match[1], match[2], comment[1] if comment else ""))
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    """The inline code of a page."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def links(page: Path) -> list[str]:
    """The targets of links and pictures that lie in the repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in found if not target.startswith(("http://", "https://"))]


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def lines_of(code: str) -> list[str]:
    """The lines of a block of shell, continued lines joined, comments left out."""
    joined = code.replace("\\\n", " ").splitlines()
    return [line.strip() for line in joined if line.strip() and not line.strip().startswith("#")]


def commands(line: str) -> Iterator[list[str]]:
    """The words of each simple command of a line, without assignments and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=PUNCTUATION)
    lexer.wordchars += "{},$%:@+!"
    lexer.commenters = "#"
    words: list[str] = []
    redirected = False
    for word in [*lexer, ";"]:
        if set(word) <= set(PUNCTUATION):
            if not redirected and words:
                yield words
            words, redirected = [], "<" in word or ">" in word
        elif words or not (word in KEYWORDS or re.match(r"\w+=", word)):
            words.append(word)


def parse(words: list[str]) -> None:
    """Parses `reasonrank ...` without running it: unknown commands, options and choices raise click.UsageError."""
    command: click.Command = group
    rest = [word for word in words[1:] if word != "..."]
    context = click.Context(command, info_name="reasonrank")
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        if context.info_name == "journal" and rest[0] not in command.commands:  # a folder alone is shown
            rest = ["show", *rest]
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    try:
        command.parse_args(context, rest)
    except (click.MissingParameter, click.exceptions.NoArgsIsHelpError, click.exceptions.Exit):
        return
    except click.BadParameter as error:  # a missing file is not a mistake of the page
        if error.param is None or isinstance(error.param.type, click.Choice):
            raise


def run_shell(block: Block, code: str, capfd: pytest.CaptureFixture[str]) -> str:
    """Runs a block line by line, `reasonrank` alone in this process; gives what it printed."""
    printed = []
    for line in lines_of(code):
        assert not re.search(r"\b(pip|sbatch|rm)\b", line), f"{block.place}: {line} is not for a test to run"
        found = list(commands(line))
        if len(found) == 1 and found[0][0] == "reasonrank" and not set("><|$`;&{") & set(line):
            capfd.readouterr()
            with pytest.raises(SystemExit) as end:
                main(shlex.split(line, comments=True)[1:])
            out, err = capfd.readouterr()
            status = end.value.code or 0
        else:
            status, out, err = _in_bash(line, {})
        assert status == 0, f"{block.place}: {line}\nexit status {status}\n{err}"
        printed.append(out)
    return "".join(printed)


def _in_bash(line: str, environment: dict[str, str]) -> tuple[int, str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line], env={**os.environ, "PATH": path, **environment}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def run_apart(block: Block, code: str, environment: dict[str, str]) -> str:
    """Runs a block in a process of its own under another environment; exit status 4 (out of tolerance) is fine."""
    if block.language == "python":
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        status, out, err = done.returncode, done.stdout, done.stderr
    else:
        status, out, err = _in_bash("set -e\n" + code, environment)
    assert status in (0, 4), f"{block.place}: exit status {status}\n{err}"
    return out


def masked(text: str) -> str:
    """A text whose numbers and spaces are all alike."""
    return " ".join(re.sub(r"[+-]?\d[\d.,]*", "0", text).replace("-", "").split())
