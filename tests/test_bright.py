"""The BRIGHT data sets: their queries, judgements, documents and exclusions, and the names by which they are asked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from bright_kit import DOCUMENTS, TAIL, own_files, parquet, table_of
from hub_server import HubServer, run_python

from reasonrank_pyserini import load_dataset
from reasonrank_pyserini.datasets import Fetchable
from reasonrank_pyserini.errors import InputError, UnknownNameError

WHOLE = """
import json, sys
from reasonrank_pyserini import load_dataset
from reasonrank_pyserini.files.caches import documents_sha256
from reasonrank_pyserini.errors import ReasonRankError

ASKED = ["c", "nowhere", "a b.txt", "c" * 99, "\\ud800", ""]
def texts(queries): return [[q.id, q.text] for q in queries]
def refused(call):
    try: call()
    except ReasonRankError as error: return str(error)

short, long = load_dataset("bright/earth_science"), load_dataset("bright/earth-science-long")
first = texts(short.queries())
assert "pyserini" not in sys.modules and "ir_datasets" not in sys.modules
store = short.documents
print(json.dumps({
    "ids": [short.id, long.id, load_dataset("bright/earth_science/gpt4_reason").id],
    "queries": first, "long queries": texts(long.queries()),
    "note": texts(short.queries("reasoning")),
    "gpt4": texts(short.queries("gpt4-reason")),
    "by id": texts(load_dataset("bright/earth-science/gpt4-reason").queries()),
    "claude": texts(short.queries("claude_3_opus_reason")),
    "qrels": short.qrels(), "long qrels": long.qrels(), "fixed": short.qrels("fixed"),
    "excluded": [sorted(short.excluded(id)) for id in ("0", "1", "2")],
    "documents": [[d.id, d.text] for d in store.get_many(ASKED).values()],
    "all": [[d.id, d.text] for d in store],
    "same sum": store.sha256 == documents_sha256(list(store)),
    "long documents": [[d.id, d.text] for d in long.documents.get_many(["long.txt", "c"]).values()],
    "hub ids": short.hub_ids(["a_b.txt", "a b.txt", "p_q", "p q", "r_s_t", "nowhere", "c"]),
    "no fixed": refused(lambda: long.qrels("fixed")), "missing": refused(lambda: short.queries("grit_reason")),
}))
"""


def test_a_small_bright_from_the_hub(tmp_path: Path) -> None:
    files = own_files()
    with HubServer(files) as server:
        done = run_python("-c", WHOLE, folder=tmp_path, server=server, environment=table_of(tmp_path, files))
        assert done.returncode == 0, done.stderr
        assert {server.asked("/" + "/".join(name.split("/")[-2:])) for name in files} == {1}
    found = json.loads(done.stdout)
    assert found.pop("no fixed").startswith(
        "bright/earth-science-long has no fixed qrels: castorini corrected"
    )
    assert "grit_reason/earth_science-00000-of-00001.parquet of 'xlangai/BRIGHT'" in found.pop("missing")
    assert found == {
        "ids": ["bright/earth-science", "bright/earth-science-long", "bright/earth-science/gpt4-reason"],
        "queries": [["0", "original"], ["1", "original"]],
        "long queries": [["0", "original"], ["1", "original"]],
        "note": [["0", "human note"], ["1", "human note"]],
        "gpt4": [["0", "rewritten by GPT-4"]],
        "by id": [["0", "rewritten by GPT-4"]],
        "claude": [["0", "rewritten by Claude"]],
        "qrels": {"0": {"a b.txt": 1, "c": 1}, "1": {"c": 1}},
        "long qrels": {"0": {"long.txt": 1}, "1": {}},
        "fixed": {"0": {"a b.txt": 1, "d.txt": 1}},
        "excluded": [["x y"], [], []],
        "documents": [["c", "two"], ["a b.txt", "one"]],
        "all": [list(document) for document in DOCUMENTS],
        "same sum": True,
        "long documents": [["long.txt", "one and two"]],
        "hub ids": {"a_b.txt": "a b.txt", "r_s_t": "r s t"},
    }
    stores = [path.parent for path in (tmp_path / "cache").glob("docstore-*/*/store")]
    assert {path.parent.name.rpartition("-")[2] for path in stores} == {("3066" * 10)[:12]}
    assert len(stores) == 2


def test_names_and_files_without_a_network() -> None:
    assert load_dataset("bright/Earth_Science-long").id == "bright/earth-science-long"
    dataset = load_dataset("bright/pony")
    assert isinstance(dataset, Fetchable)
    assert dataset.passage_tokens == 512
    names = [
        file.name
        for file in dataset.files(variants=["gpt4-reason", "reasoning"], qrels_kinds=["plain", "fixed"])
    ]
    hub, raw = "xlangai/BRIGHT", "castorini/anserini-tools/5b819c1a45c8a0a3ec9426f476694f44a29dfaf3/qrels"
    assert names == [
        f"{hub}/examples/pony{TAIL}",
        f"{hub}/gpt4_reason/pony{TAIL}",
        f"{raw}/qrels.bright-pony.fixed.txt",
        f"{hub}/documents/pony{TAIL}",
    ]
    assert [file.size for file in dataset.files(documents=False)] == [27_722]
    for name, problem in {
        "bright/biologie": "did you mean 'bright/biology'",
        "bright/leetcode-long": "unknown dataset 'bright/leetcode-long'",
        "bright/pony/gpt5-reason": "did you mean 'bright/pony/gpt4-reason'",
    }.items():
        with pytest.raises(UnknownNameError, match=problem):
            load_dataset(name)
    with pytest.raises(
        UnknownNameError, match="unknown query variant of bright/pony 'gpt5_reason': did you mean"
    ):
        dataset.queries("gpt5_reason")
    with pytest.raises(UnknownNameError, match="known: fixed, plain"):
        dataset.qrels("mended")
    with pytest.raises(InputError, match="bright/pony-long has no fixed qrels"):
        load_dataset("bright/pony-long").qrels("fixed")


def test_every_task_has_known_files() -> None:
    from reasonrank_pyserini.datasets.bright import ids

    sizes = [
        file.size for id in ids() for file in load_dataset(id).files(variants=load_dataset(id).variants())
    ]  # type: ignore[attr-defined]
    assert len(ids()) == 12 + 8
    assert len(sizes) == 20 * (1 + 5 + 1)
    assert None not in sizes
    fixed = [load_dataset(id).files(qrels_kinds=["fixed"])[1] for id in ids()[:12]]  # type: ignore[attr-defined]
    assert {len(file.sha256) for file in fixed} == {64}


REAL = """
import json, sys
from pathlib import Path
from reasonrank_pyserini import load_dataset
from reasonrank_pyserini.files.excluded import read_excluded
from reasonrank_pyserini.files.topics import read_topics
from reasonrank_pyserini.runfile import read_qrels

shared, checked = Path(sys.argv[1]), {}
for path in sorted((shared / "topics").glob("*.original.jsonl")):
    task = path.name.partition(".")[0]
    dataset = load_dataset(f"bright/{task}")
    assert dataset.queries() == read_topics(path), task
    assert dataset.qrels() == read_qrels(shared / "qrels" / f"{task}.txt"), task
    assert dataset.qrels("fixed") == read_qrels(shared / "qrels" / f"{task}.fixed.txt"), task
    excluded = {query.id: dataset.excluded(query.id) for query in dataset.queries()}
    given = shared / "excluded" / f"{task}.txt"
    assert {id: ids for id, ids in excluded.items() if ids} == (read_excluded(given) if given.is_file() else {}), task
    checked[task] = len(excluded)
print(json.dumps(checked))
"""


def test_six_tasks_equal_their_flat_files(tmp_path: Path, shared: Path) -> None:
    folder, files = shared.resolve() / "bright", {}
    for path in sorted((folder / "topics").glob("*.original.jsonl")):
        task = path.name.partition(".")[0]
        rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
        files[f"datasets/xlangai/BRIGHT/examples/{task}{TAIL}"] = parquet(rows)
        fixed = f"castorini/anserini-tools/qrels/qrels.bright-{task.replace('_', '-')}.fixed.txt"
        files[fixed] = (folder / "qrels" / f"{task}.fixed.txt").read_bytes()
    known = load_dataset("bright/biology").files(qrels_kinds=["fixed"])[1]  # type: ignore[attr-defined]
    assert hashlib.sha256((folder / "qrels" / "biology.fixed.txt").read_bytes()).hexdigest() == known.sha256
    with HubServer(files) as server:
        done = run_python(
            "-c", REAL, str(folder), folder=tmp_path, server=server, environment=table_of(tmp_path, files)
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "biology": 103,
        "earth_science": 116,
        "economics": 103,
        "leetcode": 142,
        "stackoverflow": 117,
        "theoremqa_theorems": 76,
    }
