"""The house's three rules, read off the source: who may import whom, and what loads late."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_server import Server

PACKAGE = Path(__file__).parents[1] / "reasonrank_pyserini"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {
    "torch", "vllm", "transformers", "trl", "pyserini", "jnius", "faiss", "ir_datasets", "ir_measures", "pandas",
    "scipy", "pyarrow", "openai", "httpx", "huggingface_hub", "fastapi", "numpy", "sentence_transformers",
    "peft", "accelerate", "datasets", "matplotlib", "lxml", "inscriptis",
}  # fmt: skip
PURE = {
    "types", "permutation", "prompts", "strategies", "runfile", "errors", "lazy", "conditions", "statistics", "exports",
    "docids",
}  # fmt: skip
PURE_MAY = PURE | {"caches"}
ADAPTERS = {
    "engines.vllm", "engines.transformers", "engines.openai", "first_stages", "datasets.bright", "datasets.r2med",
    "datasets.irds", "datasets.catalogue", "ir_datasets_plugin",
}  # fmt: skip


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
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


def ours(path: Path) -> set[str]:
    prefix = "reasonrank_pyserini."
    return {name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    found = {name.partition(".")[0] for name in imports(path, top_level_only=True)} & HEAVY
    assert not found, f"{name_of(path)} imports {found} at its top"


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p).split(".")[0] in PURE], ids=name_of)
def test_pure_rooms_import_no_machinery(path: Path) -> None:
    rooms = {name.split(".")[0] for name in ours(path)} & {name_of(p).split(".")[0] for p in MODULES}
    assert rooms <= PURE_MAY | {""}


def test_the_reward_imports_nothing_of_ours() -> None:
    assert not ours(PACKAGE / "training" / "rewards.py")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nobody_imports_an_adapter(path: Path) -> None:
    own = name_of(path)
    for name in ours(path):
        for adapter in ADAPTERS:
            inside = own == adapter or own.startswith(adapter + ".")
            assert inside or not (name == adapter or name.startswith(adapter + ".")), f"{own} imports {name}"


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
                "retrieve",
                "evaluate",
                "reproduce",
                "fetch",
                "report",
                "journal",
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
