from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer, run_python

from reasonrank_pyserini import load_dataset
from reasonrank_pyserini.datasets import Fetchable
from reasonrank_pyserini.errors import UnknownNameError

REVISION = "78b585990279cc01a493f876c1b0cf09557fba57"


def lines(*records: dict[str, Any]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def own_files(**replaced: bytes) -> dict[str, bytes]:
    """A small MedQA-Diag as the hub lays it out."""
    query = {"id": "q", "text": "Why?", "doc_id": ["b c"], "answer": "42"}
    files = {
        "corpus.jsonl": lines({"id": "a", "text": "one"}, {"id": "b c", "text": "two\u2028three"}),
        "query.jsonl": lines(query),
        "qrels.jsonl": lines(
            *(
                {"q_id": "q", "p_id": id, "score": score}
                for id, score in [("b c", 1), ("b c", 2), ("b c", 0), ("a", 0)]
            )
        ),
        **{
            f"{method}/r1-llama-70b/query_with_hydoc.jsonl": lines({**query, "hy_doc": f"by {method}"})
            for method in ("hyde", "query2doc", "lamer")
        },
        **replaced,
    }
    return {f"datasets/R2MED/MedQA-Diag/{name}": content for name, content in files.items()}


WHOLE = """
import json
from reasonrank_pyserini import load_dataset
from reasonrank_pyserini.errors import ReasonRankError

def texts(queries): return [[q.id, q.text] for q in queries]
dataset = load_dataset("R2MED/MedQA_Diag")
queries = texts(dataset.queries())
variants = {m: texts(dataset.queries(f"{m}/r1-llama-70b")) for m in ("hyde", "query2doc", "lamer")}
try:
    missing = dataset.queries("hyde/o3-mini")
except ReasonRankError as error:
    missing = str(error)
print(json.dumps({
    "id": dataset.id, "queries": queries, **variants, "missing": missing,
    "qrels": dataset.qrels(), "excluded": sorted(dataset.excluded("q")),
    "documents": [[d.id, d.text] for d in dataset.documents.get_many(["b c", "b_c", "a"]).values()],
    "all": [d.id for d in dataset.documents], "hub ids": dataset.hub_ids(["b_c", "a", "z"]),
}))
"""


def test_a_small_r2med_from_the_hub(tmp_path: Path) -> None:
    files = own_files()
    with HubServer(files) as server:
        done = run_python("-c", WHOLE, folder=tmp_path, server=server)
        assert done.returncode == 0, done.stderr
        asked = [path for verb, path in server.requests if verb == "GET" and "/resolve/" in path]
    found = json.loads(done.stdout)
    missing = (
        f"there is no file hyde/o3-mini/query_with_hydoc.jsonl of 'R2MED/MedQA-Diag' at revision '{REVISION}'"
    )
    assert found.pop("missing").startswith(missing)
    assert found == {
        "id": "r2med/medqa-diag",
        "queries": [["q", "Why?"]],
        "hyde": [["q", "by hyde"]],
        "query2doc": [["q", "Why?" * 2 + " by query2doc"]],
        "lamer": [["q", "Why? by lamer"]],
        "qrels": {"q": {"b c": max(1, 2, 0), "a": 0}},
        "excluded": [],
        "documents": [["b c", "two\u2028three"], ["a", "one"]],
        "all": ["a", "b c"],
        "hub ids": {"b_c": "b c"},
    }
    assert asked[0] == f"/datasets/R2MED/MedQA-Diag/resolve/{REVISION}/query.jsonl"
    assert len(asked) == len(set(asked)) == len(files)
    (store,) = (tmp_path / "cache").glob(f"docstore-r2med-medqa-diag-{REVISION[:12]}/*/store")
    assert json.loads((store.parent / "content.json").read_text())["revision"] == REVISION


BAD = """
import json
from reasonrank_pyserini import load_dataset
from reasonrank_pyserini.errors import InputError
def refused(call):
    try: call()
    except InputError as error: return str(error)
dataset = load_dataset("r2med/medqa-diag")
print(json.dumps([refused(call) for call in (
    dataset.queries, lambda: dataset.queries("hyde/r1-llama-70b"), dataset.qrels,
    lambda: dataset.documents.get_many(["a"]), lambda: load_dataset("r2med/biology").qrels(),
)]))
"""


def test_bad_lines_and_an_empty_corpus_are_named(tmp_path: Path) -> None:
    files = own_files(**{
        "query.jsonl": b'{"id": "q", "text": "Why?"}\n{"id": "r", \n',
        "hyde/r1-llama-70b/query_with_hydoc.jsonl": b'{"id": "q", "text": "Why?"}\n',
        "qrels.jsonl": lines({"q_id": "q", "p_id": "a", "score": "many"}),
        "corpus.jsonl": b"",
    })  # fmt: skip
    files["datasets/R2MED/Biology/qrels.jsonl"] = b"[1]\n"
    with HubServer(files) as server:
        done = run_python("-c", BAD, folder=tmp_path, server=server)
    assert done.returncode == 0, done.stderr
    query, hyde, qrels, corpus, other = json.loads(done.stdout)
    assert "query.jsonl:2: " in query
    assert hyde.endswith("query_with_hydoc.jsonl:1: has no field 'hy_doc'")
    assert qrels.endswith("qrels.jsonl: the score 'many' is not a whole number")
    assert corpus.endswith("corpus.jsonl has no documents: delete it and try again")
    assert "qrels.jsonl:1: " in other
    assert list((tmp_path / "cache").glob("docstore-*/*/store")) == []


def test_names_and_files_without_a_network() -> None:
    ids = [load_dataset(f"r2med/{name}").id for name in ("PMC-Clinical", "iiyi_clinical", "MedXpertQA-Exam")]
    assert ids == ["r2med/pmc-clinical", "r2med/iiyi-clinical", "r2med/medxpertqa-exam"]
    dataset = load_dataset("r2med/medqa-diag")
    assert isinstance(dataset, Fetchable)
    assert dataset.passage_tokens == 512
    assert len(dataset.variants()) == 3 * 11
    names = ["query.jsonl", "lamer/gpt4/query_with_hydoc.jsonl", "qrels.jsonl", "corpus.jsonl"]
    assert [file.name for file in dataset.files(variants=["lamer/GPT4"])] == [
        f"R2MED/MedQA-Diag/{n}" for n in names
    ]
    assert [file.name for file in dataset.files(qrels_kinds=(), documents=False)] == [
        "R2MED/MedQA-Diag/query.jsonl"
    ]
    with pytest.raises(UnknownNameError, match="did you mean 'r2med/biology'"):
        load_dataset("r2med/biologie")
    with pytest.raises(UnknownNameError, match="did you mean 'hyde/qwen-7b'"):
        dataset.queries("hyde/qwen-8b")
    with pytest.raises(UnknownNameError, match="unknown qrels kind of r2med/medqa-diag 'fixed'"):
        dataset.files(qrels_kinds=["fixed"])


DEMO = """
import json
from reasonrank_pyserini import load_dataset
dataset = load_dataset("r2med/biology")
plain, hyde = dataset.queries(), dataset.queries("hyde/qwen-7b")
print(json.dumps([[q.id for q in plain], [q.text for q in hyde], dataset.qrels(), [d.id for d in dataset.documents]]))
"""


def test_the_published_sample_is_read(tmp_path: Path, shared: Path) -> None:
    sample = shared / "collections" / "r2med-biology-demo"
    paths = sorted(sample.rglob("*.jsonl"))
    files = {f"datasets/R2MED/Biology/{path.relative_to(sample)}": path.read_bytes() for path in paths}
    with HubServer(files) as server:
        done = run_python("-c", DEMO, folder=tmp_path, server=server)
    assert done.returncode == 0, done.stderr
    ids, hyde, qrels, documents = json.loads(done.stdout)
    rewrites = (sample / "hyde" / "qwen-7b" / "query_with_hydoc.jsonl").read_text("utf-8").split("\n")
    assert (len(ids), len(documents)) == (2, 2)
    assert hyde == [json.loads(line)["hy_doc"] for line in rewrites if line]
    assert {id: len(grades) for id, grades in qrels.items()} == {"0": 2}
