"""README and docs/: commands and Python that need no GPU and no network run; the rest is checked against the package.

A block is run as it stands, or with the toy model in the 7B's place (`<!-- run with nano in place of the 7B -->`),
or against a small BRIGHT (`<!-- run against a small BRIGHT -->`), or, by test_adapter_snippets, where a package is
installed (`<!-- run with haystack installed -->`), or it says why not (`<!-- not run: needs a GPU -->`).
A block after `<!-- output -->` shows what the block before it printed, numbers aside; a block after
`<!-- file: NAME -->` is written to that file. Pages below eval/ are checked and not run.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from benchmark_world import small_world
from docs_kit import (
    PAGES,
    ROOT,
    Block,
    anchors,
    blocks,
    commands,
    lines_of,
    links,
    masked,
    parse,
    run_apart,
    run_shell,
    spans,
)  # fmt: skip
from hub_server import HubServer

from reasonrank_pyserini.cli import COMMANDS, group, main
from reasonrank_pyserini.errors import UnknownNameError

NANO, BRIGHT = "run with nano in place of the 7B", "run against a small BRIGHT"
CLIENT = "not run: needs the client"
"""A snippet for a program of others, which test_clients runs."""
CODE = [block for page in PAGES for block in blocks(page) if block.language in ("bash", "python")]
RUN_PAGES = [
    page for page in PAGES if page.parent.name == "docs" or (page.name == "README.md" and page.parent == ROOT)
]


def ids(value: Block | Path) -> str:
    return value.place if isinstance(value, Block) else str(value.relative_to(ROOT))


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The small collection that the pages speak of, and its BM25 run; the cache is shared by all pages."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("corpus.jsonl", "topics.tsv", "qrels.txt"):
        shutil.copy(ROOT / "eval" / "quickstart" / name, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REASONRANK_CACHE", str(tmp_path_factory.mktemp("cache")))
        data = ["--corpus", str(folder / "corpus.jsonl"), "--topics", str(folder / "topics.tsv")]
        with pytest.raises(SystemExit) as end:
            main(["retrieve", *data, "--method", "bm25", "-o", str(folder / "bm25.trec")])
        assert not end.value.code
        yield folder


@pytest.fixture(scope="session")
def small_bright(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a process that sees a BRIGHT of two small tasks."""
    world = small_world(tmp_path_factory.mktemp("world"))
    with HubServer(world.files) as hub:
        yield {**world.environment(hub), "RUNS": str(world.runs)}


@pytest.mark.parametrize("page", RUN_PAGES, ids=ids)
def test_what_a_page_shows_works(
    page: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for block in blocks(page):
        if block.comment == "output":
            assert masked(printed) == masked(block.code), f"{block.place}: printed\n{printed}"
        if block.comment.startswith("file: "):
            Path(block.comment.removeprefix("file: ")).write_text(block.code)
        if block.language not in ("bash", "python") or block.not_run:
            continue
        code = block.code.replace("liuwenhan/reasonrank-7B", "nano") if block.comment == NANO else block.code
        if block.comment == BRIGHT:
            environment = request.getfixturevalue("small_bright")
            shutil.copytree(environment["RUNS"], tmp_path / "runs", dirs_exist_ok=True)
            printed = run_apart(block, code, environment)
        elif block.language == "bash":
            printed = run_shell(block, code, capfd)
        else:
            capfd.readouterr()
            exec(compile(code, block.place, "exec"), names)
            printed = capfd.readouterr().out


@pytest.mark.parametrize("block", CODE, ids=ids)
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    assert (
        block.package
        or block.comment in ("", NANO, BRIGHT)
        or re.match(r"(not run: \w+ \w+|file: \w)", block.comment)
    )
    if block.comment == NANO:
        assert "liuwenhan/reasonrank-7B" in block.code


@pytest.mark.parametrize("block", [block for block in CODE if block.language == "bash"], ids=ids)
def test_commands_and_options_of_blocks_exist(block: Block) -> None:
    for line in lines_of(block.code):
        for words in commands(line):
            _check_command(words, block.place)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_and_options_of_the_text_exist(page: Path) -> None:
    options = {"--help", "--rankllm-python", *_options(group)}
    for span in spans(page):
        if span.startswith("--") and page in RUN_PAGES:
            assert span.split()[0].split("=")[0] in options, f"{page.name}: {span}"
        elif not span.startswith(("--", "reasonrank_")) and " " in span:
            for words in commands(span.replace("'", "").replace('"', "")):
                _check_command(words, page.name)


def _check_command(words: list[str], place: str) -> None:
    """A `reasonrank` command is parsed; of pytest, python and bash the files and names have to be there."""
    if words[:2] == ["reasonrank", "--debug"]:
        words = ["reasonrank", *words[2:]]
    if words[0] == "reasonrank" and words[1:] and words[1] in (*COMMANDS, "--help", "--version"):
        try:
            parse(words)
        except (click.UsageError, UnknownNameError) as error:
            pytest.fail(f"{place}: {' '.join(words)}: {error}")
    elif words[0] == "reasonrank":
        assert not words[1:] or words[1] in ("...", "COMMAND"), f"{place}: no command {words[1]}"
    elif words[0] == "pytest":
        files = [word for word in words if word.endswith(".py")]
        texts = "".join((ROOT / file).read_text() for file in files)
        wanted = words[words.index("-k") + 1 :] if "-k" in words else []
        for name in " ".join(wanted).split():
            assert name in ("or", "and", "not") or name.lower() in texts.lower(), f"{place}: -k {name}"
    elif (
        words[0] in ("python", "bash", "sbatch")
        and len(words) > 1
        and words[1].startswith(("eval/", "tests/"))
    ):
        assert (ROOT / words[1]).is_file(), f"{place}: {words[1]}"


def _options(command: click.Command) -> set[str]:
    own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    if not isinstance(command, click.Group):
        return own
    context = click.Context(command)
    found = (command.get_command(context, name) for name in command.list_commands(context))
    return own.union(*(_options(one) for one in found if one is not None))


@pytest.mark.parametrize(
    "line",
    [
        "reasonrank rerank --rum bm25.trec -o out/",
        "reasonrank rerank --api chatt",
        "reasonrank train sgd --recipe 7b",
        "reasonrank renk",
        "MODEL=x reasonrank rerank --modell $MODEL | head",
        "pytest tests/test_docs.py -k no_such_" + "name",
        "python eval/bench/no_such_file.py",
    ],
)
def test_a_mistake_in_a_page_would_be_found(line: str) -> None:
    (words,) = [words for words in commands(line) if words != ["head"]]
    with pytest.raises((pytest.fail.Exception, AssertionError)):
        _check_command(words, "page")


@pytest.mark.parametrize("block", [block for block in CODE if block.language == "python"], ids=ids)
def test_python_compiles_and_its_imports_exist(block: Block) -> None:
    tree = ast.parse(block.code)
    for node in ast.walk(tree) if block.comment != CLIENT else ():
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reasonrank_pyserini"):
            module = importlib.import_module(node.module or "")
            assert not (node.module or "").startswith("reasonrank_pyserini.cli"), (
                f"{block.place}: imports cli"
            )
            missing = [a.name for a in node.names if not hasattr(module, a.name) and not _module(node, a)]
            assert not missing, f"{block.place}: {node.module} has no {missing}"
        elif isinstance(node, ast.Import):
            assert all(_is_there(alias.name) for alias in node.names), block.place
        elif isinstance(node, ast.ImportFrom):
            assert _is_there(node.module or "") or _is_in(node.module or "", block.package), block.place


def _module(node: ast.ImportFrom, alias: ast.alias) -> bool:
    return importlib.util.find_spec(f"{node.module}.{alias.name}") is not None


def _is_in(name: str, package: str) -> bool:
    """Whether it is a module of a package that need not be installed."""
    return name.partition(".")[0] == package.partition(".")[0]


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(name.partition(".")[0]) is not None


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def test_every_page_is_in_the_table_of_contents_and_the_readme_is_short() -> None:
    readme = ROOT / "README.md"
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in links(readme)}
    assert {page for page in PAGES if page.parent.name == "docs"} <= linked
    assert len(readme.read_text().split()) <= 1200
