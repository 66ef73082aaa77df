"""First stages that `reproduce` makes by Pyserini itself, over a real Lucene index with castorini's docids."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmark_world import World
from hub_server import HubServer

from reasonrank_pyserini import read_run
from reasonrank_pyserini.docids import to_castorini

pytestmark = pytest.mark.slow
REASONRANK = [sys.executable, "-c", "from reasonrank_pyserini.cli import main; main()"]
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
            command = [*REASONRANK, *map(str, arguments)]
            done = subprocess.run(command, env=env, cwd=tmp_path, check=False, capture_output=True, text=True)
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
