"""The whole main job on CACM: Lucene, a small random-weight model on each real engine, run, score.

Random weights say nothing about ranking quality: these tests show that the machinery keeps every document,
repeats itself, counts what happened, and that all engines are given the same prompts.
"""

from __future__ import annotations

import json
import urllib.request
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from commands import reasonrank
from vllm_server import VLLMServer

from reasonrank_pyserini import Document, read_run
from reasonrank_pyserini.models.identity import load_tokenizer
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.types import Prompt

pytestmark = pytest.mark.slow

QUERIES, DEPTH = 4, 40
WINDOWS = QUERIES * 3  # 40 candidates in windows of 20, step 10
PROFILE = 'extends = "generic"\nstyle = "rankgpt"\nreasoning_tokens = 0\nanswer_tokens = 32\n'


def command(folder: Path, *arguments: str) -> str:
    """What a command prints that must succeed."""
    done = reasonrank(*arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def work(shared: Path, cacm_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first stage's run of four judged topics."""
    folder = tmp_path_factory.mktemp("cacm")
    judged = {line.split()[0] for line in (shared / "collections/cacm/qrels.txt").read_text().splitlines()}
    topics = (shared / "collections/cacm/topics.tsv").read_text().splitlines()
    chosen = [line for line in topics if line.split("\t")[0] in judged][:QUERIES]
    (folder / "topics.tsv").write_text("\n".join(chosen) + "\n")
    (folder / "profile.toml").write_text(PROFILE)
    (folder / "short.toml").write_text(PROFILE.replace("answer_tokens = 32", "answer_tokens = 3"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REASONRANK_CACHE", str(cacm_cache))
        command(
            folder, "retrieve", "--corpus", str(shared / "collections/cacm/corpus.jsonl"), "--topics", "topics.tsv",
            "--method", "bm25", "--k", str(DEPTH), "-o", "bm25.trec",
        )  # fmt: skip
    return folder


def rerank(
    work: Path, shared: Path, model: Path, output: str, *engine: str, profile: str = "profile.toml"
) -> dict[str, list[str]]:
    """The new order of every query, after checking what every engine must keep."""
    command(
        work, "rerank", "--run", "bm25.trec", "--corpus", str(shared / "collections/cacm/corpus.jsonl"),
        "--topics", "topics.tsv", "--model", str(model), "--profile", profile, "--passage-tokens", "48",
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
    completed = manifest(work / output)
    assert (completed["windows"], sum(completed["statuses"].values()), completed["errors"]) == (
        WINDOWS,
        WINDOWS,
        0,
    )
    assert completed["prompt_tokens"] > WINDOWS * 500
    return found


def manifest(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "manifest.json").read_text())
    return found


def test_transformers(
    work: Path, shared: Path, tiny_model: Path, chain_server: Future[VLLMServer] | None
) -> None:
    once = rerank(work, shared, tiny_model, "transformers", "--engine", "transformers")
    again = rerank(work, shared, tiny_model, "transformers-again", "--engine", "transformers")
    assert once == again
    scores = command(
        work, "evaluate", "--run", "transformers/run.trec", "--baseline", "bm25.trec",
        "--qrels", str(shared / "collections/cacm/qrels.txt"), "--json", "-m", "nDCG@10",
    )  # fmt: skip
    assert 0 <= json.loads(scores)["measures"]["nDCG@10"] < 1
    shown = command(work, "show", "transformers", "--query", next(iter(once)))
    assert "window 3: REPAIRED" in shown


@pytest.mark.vllm
@pytest.mark.filterwarnings("default")
def test_a_vllm_server_that_it_starts(work: Path, shared: Path, tiny_model: Path) -> None:
    pytest.importorskip("vllm")
    rerank(work, shared, tiny_model, "vllm", "--engine", "vllm")
    assert manifest(work / "vllm")["statuses"] == {"CLEAN": WINDOWS}, "each answer is held to a permutation"


PASSAGES = [Document("a", "a stone in a river"), Document("b", "a lamp on a boat")]


def built(model: Path) -> tuple[int, ...]:
    """The token ids of a window's prompt as we render it."""
    return tuple(window(model).token_ids or ())


def window(model: Path) -> Prompt:
    builder = PromptBuilder("rankgpt", load_tokenizer(str(model)))
    return builder.build("which?", PASSAGES, answer_tokens=32).prompt


def rendered_by(server: VLLMServer, model: Path) -> tuple[int, ...]:
    """Those that the server makes of the same window's messages."""
    body = json.dumps({"model": server.model, "messages": list(window(model).messages)}).encode()
    request = urllib.request.Request(
        server.url.removesuffix("/v1") + "/tokenize", body, {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=600) as answer:
        return tuple(json.loads(answer.read())["tokens"])


@pytest.mark.vllm
def test_openai_against_a_vllm_server(
    work: Path, shared: Path, chain: Path, chain_server: Future[VLLMServer] | None
) -> None:
    """Its model says the same after every prompt, and gets no further than its reasoning in three tokens."""
    if chain_server is None:
        pytest.skip("vLLM is not installed")
    server = chain_server.result()
    exact = ("--base-url", server.url, "--tokenizer", str(chain), "--engine-arg", "max_model_len=4096")
    once = rerank(work, shared, Path(server.model), "server", *exact, "--no-force-answer")
    chat = rerank(work, shared, Path(server.model), "server-chat", *exact, "--api", "chat")
    assert chat == once, "the server's chat template renders what we render"
    assert rendered_by(server, chain) == built(chain)
    completed, chatted = manifest(work / "server"), manifest(work / "server-chat")
    assert chatted["prompt_tokens"] == completed["prompt_tokens"]
    rerank(work, shared, Path(server.model), "server-forced", *exact, profile="short.toml")
    forced = manifest(work / "server-forced")
    assert forced["counts"]["forced"] > 0
    assert forced["completion_tokens"] > completed["completion_tokens"]
