"""The whole main job on CACM: Lucene, a small random-weight model on each real engine, run, score.

Random weights say nothing about ranking quality: these tests show that the machinery keeps every document,
repeats itself, counts what happened, and that all engines are given the same prompts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from vllm_server import VLLMServer, coming_server

from reasonrank_pyserini import read_run

pytestmark = pytest.mark.slow

REASONRANK = [sys.executable, "-c", "from reasonrank_pyserini.cli import main; main()"]
QUERIES, DEPTH = 4, 40
WINDOWS = QUERIES * 3  # 40 candidates in windows of 20, step 10
PROFILE = 'extends = "generic"\nstyle = "rankgpt"\nreasoning_tokens = 0\nanswer_tokens = 32\n'


@pytest.fixture(scope="module")
def coming(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[VLLMServer] | None]:
    """A vLLM server that starts while other engines are tested; None without vLLM."""
    if find_spec("vllm") is None:
        yield None
        return
    with coming_server(tiny_model, log=tmp_path_factory.mktemp("server") / "log") as server:
        yield server


def reasonrank(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that must succeed; its caches live beside `folder`."""
    environment = {**os.environ, "REASONRANK_CACHE": str(folder.parent / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*REASONRANK, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def work(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first stage's run of four judged topics."""
    folder = tmp_path_factory.mktemp("cacm") / "work"
    folder.mkdir()
    judged = {line.split()[0] for line in (shared / "collections/cacm/qrels.txt").read_text().splitlines()}
    topics = (shared / "collections/cacm/topics.tsv").read_text().splitlines()
    chosen = [line for line in topics if line.split("\t")[0] in judged][:QUERIES]
    (folder / "topics.tsv").write_text("\n".join(chosen) + "\n")
    (folder / "profile.toml").write_text(PROFILE)
    reasonrank(
        folder, "retrieve", "--corpus", str(shared / "collections/cacm/corpus.jsonl"), "--topics", "topics.tsv",
        "--method", "bm25", "--k", str(DEPTH), "-o", "bm25.trec",
    )  # fmt: skip
    return folder


def rerank(work: Path, shared: Path, model: Path, output: str, *engine: str) -> dict[str, list[str]]:
    """The new order of every query, after checking what every engine must keep."""
    reasonrank(
        work, "rerank", "--run", "bm25.trec", "--corpus", str(shared / "collections/cacm/corpus.jsonl"),
        "--topics", "topics.tsv", "--model", str(model), "--profile", "profile.toml", "--passage-tokens", "48",
        "--max-failed", "1", "-o", output, *engine,
    )  # fmt: skip
    first, found = (
        {query: [line.id for line in lines] for query, lines in read_run(path).items()}
        for path in (work / "bm25.trec", work / output / "run.trec")
    )
    assert {query: sorted(ids) for query, ids in found.items()} == {
        query: sorted(ids) for query, ids in first.items()
    }
    assert found != first, "no answer could be read: nothing was reordered"
    told = manifest(work / output)
    assert (told["windows"], sum(told["statuses"].values()), told["errors"]) == (WINDOWS, WINDOWS, 0)
    assert told["prompt_tokens"] > WINDOWS * 500
    return found


def manifest(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "manifest.json").read_text())
    return found


def test_transformers(work: Path, shared: Path, tiny_model: Path, coming: Future[VLLMServer] | None) -> None:
    once = rerank(work, shared, tiny_model, "transformers", "--engine", "transformers")
    again = rerank(work, shared, tiny_model, "transformers-again", "--engine", "transformers")
    assert once == again
    done = reasonrank(
        work, "evaluate", "--run", "transformers/run.trec", "--baseline", "bm25.trec",
        "--qrels", str(shared / "collections/cacm/qrels.txt"), "--json", "-m", "nDCG@10",
    )  # fmt: skip
    assert 0 <= json.loads(done.stdout)["measures"]["nDCG@10"] < 1
    shown = reasonrank(work, "show", "transformers", "--query", next(iter(once)))
    assert "window 3: REPAIRED" in shown.stdout


@pytest.mark.vllm
def test_vllm_in_process(work: Path, shared: Path, tiny_model: Path) -> None:
    pytest.importorskip("vllm")
    rerank(work, shared, tiny_model, "vllm", "--engine", "vllm")
    assert manifest(work / "vllm")["statuses"] == {"CLEAN": WINDOWS}, "each answer is held to a permutation"


@pytest.mark.vllm
def test_openai_against_a_vllm_server(
    work: Path, shared: Path, tiny_model: Path, coming: Future[VLLMServer] | None
) -> None:
    if coming is None:
        pytest.skip("vLLM is not installed")
    server = coming.result()
    exact = ("--base-url", server.url, "--tokenizer", str(tiny_model), "--engine-arg", "max_model_len=4096")
    once = rerank(work, shared, Path(server.model), "server", *exact, "--no-force-answer")
    chat = rerank(work, shared, Path(server.model), "server-chat", *exact, "--api", "chat")
    assert chat == once, "the server's chat template renders what we render"
    told, chatted = manifest(work / "server"), manifest(work / "server-chat")
    assert chatted["prompt_tokens"] == told["prompt_tokens"]
    rerank(work, shared, Path(server.model), "server-forced", *exact)
    forced = manifest(work / "server-forced")
    assert forced["counts"]["forced"] > 0
    assert forced["completion_tokens"] > told["completion_tokens"]
