"""The house's three rules, read off the source: who may import whom, and what loads late."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from http_server import Server

from reasonrank_pyserini.cli.option_names import OPTIONS

PACKAGE = Path(__file__).parents[1] / "reasonrank_pyserini"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {
    "torch", "vllm", "transformers", "trl", "pyserini", "jnius", "faiss", "ir_datasets", "ir_measures", "pandas",
    "scipy", "pyarrow", "openai", "httpx", "huggingface_hub", "fastapi", "numpy", "sentence_transformers",
    "peft", "accelerate", "datasets", "matplotlib", "lxml", "inscriptis", "ray", "starlette", "uvicorn",
    "prometheus_client", "pyterrier", "mteb", "mcp",
}  # fmt: skip
PURE = {
    "types", "errors", "lazy", "identifiers", "permutation", "strategies", "prompts", "runfile", "training.rewards",
    "files.atomic", "files.beir", "files.corpora", "files.corpus_index", "files.decreasing", "files.document_records",
    "files.excluded", "files.given_records", "files.kinds", "files.lines", "files.locks", "files.qrels",
    "files.rankllm_results", "files.requests", "files.runs", "files.score_json", "files.toml_tables", "files.topics",
    "files.topics_xml", "files.trec", "files.caches", "files.no_proxy", "files.web_environment",
    "datasets.docids", "evaluation.statistics", "reproduce.conditions",
}  # fmt: skip
"""What computes, reads and writes: none of it may import an engine, a data set, a search or a network client."""
ADAPTERS = {
    "engines.vllm", "engines.transformers", "engines.openai", "first_stages.lucene", "first_stages.faiss",
    "first_stages.lucene_docstore", "first_stages.pyserini_topics", "first_stages.prebuilt", "first_stages.encoders",
    "datasets.bright", "datasets.r2med", "datasets.irds", "datasets.catalogue", "ir_datasets_plugin",
    "first_stages.pyserini_rest", "adapters", "server",
}  # fmt: skip
"""Reached by name alone, through a table of "module:attribute" strings."""
ADAPTER_FAMILIES = (
    "engines.vllm",
    "engines.transformers",
    "engines.openai",
    "first_stages",
    "datasets",
    "server",
    "adapters",
)
"""An adapter may import the adapters of its own folder."""
ORDER = (
    ("types", "errors", "lazy"),
    ("identifiers", "permutation", "strategies"),
    ("files",),
    ("runfile", "scoring"),
    ("datasets",),
    ("first_stages",),
    ("prompts",),
    ("models",),
    ("engines",),
    ("ranking",),
    ("reranker", "searcher", "testing"),
    ("jobs",),
    ("evaluation",),
    ("reproduce",),
    ("training",),
    ("server",),
    ("ir_datasets_plugin",),
    ("adapters",),
    ("cli",),
    ("__main__",),
)
"""A room imports the rooms on its own line and on those above, nothing below."""
RANKS = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Absolute names of what a module imports, relative ones resolved; type-checking blocks left out."""
    package = [*path.relative_to(PACKAGE.parent).with_suffix("").parts][:-1]
    tree = ast.parse(path.read_text())
    pending: list[ast.AST] = list(ast.iter_child_nodes(tree))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *((node.module or "").split(".") if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


BY_NAME = {name_of(path): path for path in MODULES}


def ours(path: Path) -> set[str]:
    """The modules of this package that a module imports, also inside functions."""
    prefix = "reasonrank_pyserini."
    names = {name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)}
    return {name if name in BY_NAME else name.rpartition(".")[0] for name in names} - {"", name_of(path)}


def within(name: str, rooms: Iterable[str]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every circle of a graph once: what is left when nodes that import nothing left are taken away, in turn."""
    left = dict(graph)
    while free := [name for name, found in left.items() if not found & left.keys()]:
        for name in free:
            del left[name]
    return [sorted(left)] if left else []


def room(name: str) -> str:
    return name.partition(".")[0]


def test_no_circle_between_files_or_between_rooms() -> None:
    files = {name: ours(path) for name, path in BY_NAME.items() if name}
    assert circles(files) == []
    rooms: dict[str, set[str]] = {}
    for name, found in files.items():
        rooms.setdefault(room(name), set()).update({room(other) for other in found} - {room(name)})
    assert circles(rooms) == []


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path)], ids=name_of)
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    own = room(name_of(path))
    below = {name for name in ours(path) if room(name) != own and RANKS[room(name)] > RANKS[own]}
    assert not below, f"{name_of(path)} imports {sorted(below)}"


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["a", "b", "c"]]


def literals(path: Path) -> Iterator[str]:
    """The strings of a module that are not docstrings."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    notes = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in notes:
            yield node.value


@pytest.mark.parametrize("path", [path for path in MODULES if room(name_of(path)) != "cli"], ids=name_of)
def test_the_library_names_settings_not_options(path: Path) -> None:
    """The command line's table turns `settings` into options; files.downloads spells a command of the hub's."""
    options = {option.split()[0] for option in OPTIONS.values()} - {"-o"}
    named = {
        word for text in literals(path) for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)
    } & options
    assert named <= ({"--revision"} if name_of(path) == "files.downloads" else set())


def test_names_of_files_say_what_they_hold_without_their_folder() -> None:
    names = [path.stem for name, path in BY_NAME.items() if room(name) != "cli" and path.stem != "__init__"]
    assert {name for name in names if names.count(name) > 1} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    """But for what a vLLM server loads, which the package never imports."""
    if path.parent.name == "on_server":
        assert not any(within(name, [name_of(path)]) for other in MODULES for name in ours(other))
        return
    found = {name.partition(".")[0] for name in imports(path, top_level_only=True)} & HEAVY
    assert not found, f"{name_of(path)} imports {found} at its top"


@pytest.mark.parametrize("path", [p for p in MODULES if within(name_of(p), PURE)], ids=name_of)
def test_pure_rooms_import_no_machinery(path: Path) -> None:
    assert {name for name in ours(path) if not within(name, PURE)} == set()


def test_the_reward_imports_nothing_of_ours() -> None:
    assert not ours(PACKAGE / "training" / "rewards.py")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nobody_imports_an_adapter(path: Path) -> None:
    family = next((family for family in ADAPTER_FAMILIES if within(name_of(path), [family])), None)
    other = {
        name for name in ours(path) if within(name, ADAPTERS) and not (family and within(name, [family]))
    }
    assert not other, f"{name_of(path)} imports {sorted(other)}"


@pytest.mark.parametrize("line", ["import reasonrank_pyserini", "from reasonrank_pyserini.cli import group"])
def test_the_front_loads_nothing_heavy(line: str) -> None:
    code = f"import sys; {line}; print(sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        *(
            [name, "--help"]
            for name in (
                "demo",
                "rerank",
                "serve",
                "retrieve",
                "evaluate",
                "fuse",
                "reproduce",
                "fetch",
                "report",
                "journal",
                "mcp",
                "synthesize",
                "train",
            )
        ),
    ],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, atexit; from reasonrank_pyserini.cli import main; "
        f"atexit.register(lambda: print('HEAVY', sorted(set(sys.modules) & {HEAVY!r}))); main({arguments!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    assert "Example" in done.stdout


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_server_over_given_texts_needs_no_torch_no_pyserini_and_no_jvm(
    tiny_tokenizer: Path, tmp_path: Path, api: str
) -> None:
    candidates = [{"docid": f"d{i}", "score": 1, "doc": {"text": f"passage {i}"}} for i in range(20)]
    request = {"query": {"text": "question", "qid": "q"}, "candidates": candidates}
    (tmp_path / "requests.jsonl").write_text(json.dumps(request) + "\n")
    with Server(models=["tiny"]) as server:
        arguments = [
            "rerank", "--requests", str(tmp_path / "requests.jsonl"), "--model", "tiny", "--base-url", server.url,
            "--api", api, "--reasoning-tokens", "100", "-o", str(tmp_path / "out"),
        ]  # fmt: skip
        arguments += ["--tokenizer", str(tiny_tokenizer)] if api == "completions" else []
        code = (
            "import sys, atexit; from reasonrank_pyserini.cli import main; "
            "atexit.register(lambda: print('LOADED', sorted(set(sys.modules) & "
            f"{{'torch', 'pyserini', 'jnius', 'vllm', 'faiss'}}))); main({arguments!r})"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "LOADED []" in done.stdout
    assert (tmp_path / "out" / "run.trec").is_file()
