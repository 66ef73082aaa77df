"""The shipped model nano: far better than its first stage, the same on every engine, and what its folder holds."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
import statistics
from collections.abc import Iterator
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path

import pytest
from vllm_server import VLLMServer, coming_server

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.cli import main
from reasonrank_pyserini.datasets.nano.world import Topic, World
from reasonrank_pyserini.files.hub import SHIPPED
from reasonrank_pyserini.jobs.trace import read_manifest, read_trace
from reasonrank_pyserini.models.identity import model_identity

MODEL = SHIPPED["nano"]
WORLD = World.load()
TOPICS, FEW = 24, 12
"""Topics that are reranked with transformers, and with vLLM."""
DEPTH, SIZE, STEP = 40, 10, 5
WINDOWS = 1 + (DEPTH - SIZE) // STEP
"""Of a topic."""
FILES = {
    "README.md", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
    "tokenizer.json", "tokenizer_config.json",
}  # fmt: skip


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert end.value.code == 0


def rerank(work: Path, output: str, topics: int, *options: object) -> Path:
    """The folder of a reranking in which no window is missing."""
    run(
        "rerank", "--run", work / "bm25.trec", "--dataset", "nano/test", "--depth", DEPTH, "--model", "nano",
        "--limit", topics, "-o", work / output, *options,
    )  # fmt: skip
    manifest = read_manifest(work / output)
    assert (manifest["queries"], manifest["windows"], manifest["errors"]) == (topics, topics * WINDOWS, 0)
    return work / output


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with BM25's run of nano/test, and its first topics reranked with transformers in `reranked`."""
    folder = tmp_path_factory.mktemp("nano")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REASONRANK_CACHE", str(folder / "cache"))
        run(
            "retrieve", "--dataset", "nano/test", "--method", "bm25", "--k", DEPTH, "-o", folder / "bm25.trec"
        )
        rerank(folder, "reranked", TOPICS, "--engine", "transformers", "--engine-arg", "batch_size=32")
        yield folder


def test_it_ranks_far_better_than_bm25(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Topic by topic, and the mean difference is more than four of its standard errors."""
    capsys.readouterr()
    run(
        "evaluate", "--run", work / "reranked/run.trec", "--baseline", work / "bm25.trec",
        "--dataset", "nano/test", "-m", "nDCG@10", "--per-query", "--json",
    )  # fmt: skip
    report = json.loads(capsys.readouterr().out)
    after, before = report["per_query"], report["baseline"]["per_query"]
    topics = {window.query_id for window in read_trace(work / "reranked")}
    assert len(topics) == TOPICS
    gains = [after[id]["nDCG@10"] - before[id]["nDCG@10"] for id in topics]
    assert statistics.mean(gains) - 4 * statistics.stdev(gains) / math.sqrt(TOPICS) > 0


def test_its_answers_can_be_read(work: Path) -> None:
    manifest = read_manifest(work / "reranked")
    assert manifest["statuses"]["CLEAN"] > 0.5 * manifest["windows"]
    assert manifest["settings"]["window"] == SIZE
    assert manifest["settings"]["step"] == STEP


def test_its_judgements_can_be_trusted(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The data set that it reranked gives the judgements; it is right wherever a relevant passage is shown."""
    capsys.readouterr()
    run("diagnose", work / "reranked", "--json")
    (found,) = json.loads(capsys.readouterr().out)["tasks"]
    assert (found["judged_queries"], found["windows"], found["qrels"]) == (
        TOPICS, TOPICS * WINDOWS, "nano/test (plain)",
    )  # fmt: skip
    assert found["used"] == found["statuses"]["CLEAN"]
    assert found["agreement"]["same"]["low"] > 0.5
    for name in ("right", "shown_above", "shown_below"):
        assert found["calibration"][name]["mean"] > 0.5


def short_list(topic: Topic, length: int) -> tuple[Query, list[Document]]:
    """A topic with passages of its setting on other concepts, then a relevant one."""
    texts = {document.id: document for document in WORLD.documents}
    near = [
        ids[0]
        for (name, place), ids in WORLD.named.items()
        if place == topic.setting and name != topic.concept
    ]
    relevant, others = WORLD.named[topic.concept, topic.setting][0], near[: length - 1]
    return Query(topic.id, topic.text), [texts[id] for id in (*others, relevant)]


@pytest.mark.parametrize("length", [2, 3, 6])
def test_short_lists_from_python(length: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relevant passage, shown last, comes first, and the reasoning says why: for most topics."""
    monkeypatch.chdir(tmp_path)
    topics = {topic.id: topic for topic in WORLD.topics("test")[:TOPICS]}
    right = 0
    with Reranker.from_pretrained("nano", engine="transformers") as reranker:
        for ranking in reranker.rerank_many(short_list(topic, length) for topic in topics.values()):
            (step,) = ranking.steps
            concept = topics[ranking.query.id].concept
            assert sorted(ranking.ids) == sorted(step.window)
            assert step.verdict.completion is not None
            named = f"The query describes {concept}." in step.verdict.completion.text
            right += named and ranking.ids[0] == step.window[-1]
    assert right > TOPICS / 2


def test_a_folder_of_the_users_wins_over_the_shipped_model(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_identity("nano") == model_identity(str(MODEL))
    shutil.copytree(tiny_model, tmp_path / "nano")
    with Reranker.from_pretrained("nano", engine="transformers") as reranker:
        assert reranker.engine is not None
        assert reranker.engine.identity["weights"] == model_identity(str(tiny_model))["weights"]
    assert model_identity(str(tiny_model)) != model_identity(str(MODEL))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[VLLMServer]]:
    log = tmp_path_factory.mktemp("server") / "log"
    with coming_server(MODEL, "--max-num-seqs", "32", log=log, name="nano") as coming:
        yield coming


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
class TestVLLM:
    """Greedy in float32, so that vLLM puts every window in the order that transformers puts it in.

    The engine in this process is that of test_end_to_end.
    """

    def test_on_a_server(self, work: Path, server: Future[VLLMServer]) -> None:
        folder = rerank(work, "server", FEW, "--base-url", server.result().url)
        assert read_manifest(folder)["engine"]["name"] == "openai"
        assert orders(folder) == orders(work / "reranked", FEW)


def orders(folder: Path, topics: int = TOPICS) -> dict[tuple[str, tuple[str, ...]], tuple[str, ...]]:
    """The order of every window, of the run's first topics."""
    first = [topic.id for topic in WORLD.topics("test")[:topics]]
    windows = [window for window in read_trace(folder) if window.query_id in first]
    found = {(window.query_id, window.window): window.order for window in windows}
    assert len(found) == len(windows) > 0
    return found


def test_the_folder_holds_what_a_model_needs_and_nothing_that_runs() -> None:
    paths = [path for path in MODEL.rglob("*") if path.is_file()]
    assert {str(path.relative_to(MODEL)) for path in paths} == FILES
    assert sum(path.stat().st_size for path in paths) <= 8 * 2**20
    config = json.loads((MODEL / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert "auto_map" not in config


def test_the_weights_are_what_the_model_card_says() -> None:
    from safetensors import safe_open

    with safe_open(MODEL / "model.safetensors", framework="numpy") as weights:
        slices = [weights.get_slice(name) for name in weights.keys()]  # noqa: SIM118
    count = sum(math.prod(one.get_shape()) for one in slices)
    assert {one.get_dtype() for one in slices} == {"F32"}
    assert json.loads((MODEL / "config.json").read_text())["dtype"] == "float32"
    card = (MODEL / "README.md").read_text()
    assert "float32" in card
    said = re.search(r"(\d[\d,]+) parameters", card)
    assert said is not None
    assert int(said[1].replace(",", "")) == count
    digest = re.search(r"sha256 `([0-9a-f]{16})", card)
    assert digest is not None
    assert hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest().startswith(digest[1])


def test_a_misspelt_name_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.trec").write_text(f"test-0001 Q0 {WORLD.documents[0].id} 1 1.0 bm25\n")
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["rerank", "--run", "run.trec", "--dataset", "nano/test", "--model", "nanoo",
              "--engine", "transformers", "-o", "out"])  # fmt: skip
    out, err = capsys.readouterr()
    assert (end.value.code, out, len(err.splitlines())) == (2, "", 1)
    assert "'nanoo'" in err
    assert not (tmp_path / "out").exists()
