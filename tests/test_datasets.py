from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hub_server import run_python

from reasonrank_pyserini import load_dataset
from reasonrank_pyserini.datasets import Dataset, passage_tokens
from reasonrank_pyserini.datasets.local import BeirDataset, LocalDataset
from reasonrank_pyserini.errors import FileFormatError, InputError, UnknownNameError
from reasonrank_pyserini.types import Document, Query


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A BEIR folder whose docids hold spaces."""
    folder = tmp_path / "mini"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(
        '{"_id": "a b.txt", "title": "T", "text": "one"}\n{"_id": "c", "title": "", "text": "two"}\n'
    )
    (folder / "queries.jsonl").write_text(
        '{"_id": "1", "text": "why?", "metadata": {}}\n{"_id": "2", "text": "train only", "metadata": {}}\n'
    )
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta b.txt\t2\n1\tc\t0\n")
    return folder


def test_beir_folder(beir: Path) -> None:
    dataset = load_dataset(beir)
    assert dataset.id == "folder/mini/test"
    assert dataset.queries() == [Query("1", "why?")]
    assert dataset.qrels() == {"1": {"a b.txt": 2, "c": 0}}
    assert dataset.documents.get_many(["a b.txt", "x"]) == {"a b.txt": Document("a b.txt", "one", "T")}
    assert [document.id for document in dataset.documents] == ["a b.txt", "c"]
    assert (dataset.excluded("1"), dataset.passage_tokens, dataset.variants()) == (
        frozenset(),
        100,
        ("text",),
    )


def test_beir_folder_without_judgements_or_with_bad_ones(beir: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown split of .*mini 'dev': .*known: test"):
        BeirDataset(beir, "dev").qrels()
    assert [query.id for query in BeirDataset(beir, "dev").queries()] == ["1", "2"]
    for content, problem in {
        "1\tc\t1\n1 c 1\n": ":2: not the three tab-separated columns query-id, corpus-id, score",
        "1\tc\t1\n1\tc\tmany\n": ":2: the grade 'many' is not a whole number",
        "1\tc\t1.5\n": ":1: the grade '1.5' is not a whole number",
        "qid\tdocid\tgrade\n1\tc\t1\n1\tc\t2\n": ":3: grade 2 for query 1, document c after 1 on an earlier line",
        "query-id\tcorpus-id\tscore\n": "the file holds no judgements",
    }.items():
        (beir / "qrels" / "test.tsv").write_text(content)
        with pytest.raises(FileFormatError, match=problem):
            load_dataset(beir).qrels()


def test_a_folder_by_its_path_only_where_it_could_be_an_id(
    beir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(beir.parent)
    assert load_dataset("./mini").id == load_dataset("mini").id == "folder/mini/test"
    beir.rename("vaswani")
    assert load_dataset("vaswani").id == "vaswani"
    assert load_dataset("./vaswani").id == "folder/vaswani/test"
    with pytest.raises(InputError, match="there is no such folder"):
        load_dataset("./mini")
    (beir.parent / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no corpus\.jsonl"):
        load_dataset("./empty")


def test_local_files(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"id": "a b", "contents": "one"}\n')
    (tmp_path / "t.jsonl").write_text(
        '{"id": "1", "query": "why?", "rewritten": "how come?", "ids": ["a"]}\n'
    )
    (tmp_path / "q.txt").write_text("1 0 a b 1\n")
    (tmp_path / "x.txt").write_text("1 a c\n")
    names = {"corpus": "c.jsonl", "topics": "t.jsonl", "qrels": "q.txt", "excluded": "x.txt"}
    dataset: Dataset = LocalDataset(**{part: tmp_path / name for part, name in names.items()})  # type: ignore[arg-type]
    assert dataset.queries() == [Query("1", "why?")]
    assert dataset.variants() == ("query", "rewritten")
    assert dataset.queries("rewritten") == [Query("1", "how come?")]
    assert dataset.qrels() == {"1": {"a b": 1}}
    assert dataset.documents.get_many(["a b"]) == {"a b": Document("a b", "one")}
    assert (dataset.excluded("1"), dataset.excluded("2")) == (frozenset({"a c"}), frozenset())
    assert dataset.passage_tokens is None
    with pytest.raises(UnknownNameError, match="did you mean 'rewritten'"):
        dataset.queries("rewriten")
    with pytest.raises(UnknownNameError, match="unknown qrels kind of local 'fixed'"):
        dataset.qrels("fixed")
    with pytest.raises(InputError, match="the data set has no qrels: give a file as `qrels`"):
        LocalDataset(topics=tmp_path / "t.jsonl").qrels()


def test_own_datasets_by_module_and_attribute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_collection.py").write_text(
        "from reasonrank_pyserini.datasets.local import LocalDataset\n"
        "def make(): return LocalDataset(id='mine')\n"
        "ready = make()\n"
        "number = 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_dataset("my_collection:make").id == load_dataset("my_collection:ready").id == "mine"
    with pytest.raises(InputError, match="has no 'other'"):
        load_dataset("my_collection:other")
    with pytest.raises(InputError, match="'my_collection:number' is neither a Dataset nor a function"):
        load_dataset("my_collection:number")


def test_unknown_ids_name_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown dataset 'bright/biologie': did you mean 'bright/biology'"
    ):
        load_dataset("bright/biologie")
    for name in ("", ":", "a:", "..a:b", "x" * 5000, "a\0b"):
        with pytest.raises(UnknownNameError, match="list them: reasonrank datasets"):
            load_dataset(name)
    with pytest.raises(InputError, match="no such folder"):
        load_dataset("~no-such-user/folder")


def test_passage_lengths_of_the_published_evaluations() -> None:
    lengths = {
        "bright/pony": 512,
        "r2med/Biology": 512,
        "beir/scifact/test": 100,
        "msmarco-passage/trec-dl-2019/judged": 100,
        "msmarco-passage/dev": None,
        "antique": None,
    }
    assert {name: passage_tokens(name) for name in lengths} == lengths


def register(folder: Path, docs: str, queries: str, qrels: str | None) -> str:
    """The id of a new ir_datasets collection made of these files."""
    import ir_datasets

    files = {"docs_tsv": docs, "queries_tsv": queries, "qrels_trec": qrels}
    paths: dict[str, Any] = {}
    for kind, content in files.items():
        if content is not None:
            paths[kind] = folder / kind
            paths[kind].write_text(content)
    name = f"reasonrank-test-{uuid.uuid4()}"
    ir_datasets.registry.register(name, ir_datasets.create_dataset(**paths))
    return name


def test_ir_datasets_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path / "cache"))
    name = register(tmp_path, "a b\tone\nc\ttwo\n", "1\twhy?\nq 2\thow?\n", "1 0 c 1\n1 0 c 3\n1 0 d -2\n")
    dataset = load_dataset(name)
    assert dataset.id == name
    assert dataset.queries() == dataset.queries("text") == [Query("1", "why?"), Query("q 2", "how?")]
    assert dataset.variants() == ("text",)
    assert dataset.qrels() == {"1": {"c": 3, "d": -2}}
    assert dataset.excluded("1") == frozenset()
    one, two = Document("a b", "one"), Document("c", "two")
    assert list(dataset.documents) == [one, two]
    assert dataset.documents.get_many(["c", "nowhere", "a b", "c"]) == {"c": two, "a b": one}
    assert list(dataset.documents.get_many(["c", "a b"])) == ["c", "a b"]
    assert dataset.documents.get_many([]) == {}
    with pytest.raises(UnknownNameError, match="unknown query variant of"):
        dataset.queries("title")


def test_ir_datasets_collection_without_a_part_or_with_a_broken_one(tmp_path: Path) -> None:
    dataset = load_dataset(register(tmp_path, "a\tone\n", "1\twhy?\n", None))
    with pytest.raises(InputError, match=r"dataset 'reasonrank-test-\S+' has no qrels"):
        dataset.qrels()
    with pytest.raises(InputError, match=r"'beir' has no queries: try one of beir/"):
        load_dataset("beir").queries()
    broken = load_dataset(register(tmp_path, "a\tone\n", "1\twhy?\n", "1 0 d e 1\n"))
    with pytest.raises(
        InputError, match="the qrels could not be loaded: RuntimeError: expected 4 columns, got 5"
    ):
        broken.qrels()
    (tmp_path / "queries_tsv").unlink()
    with pytest.raises(InputError, match=r"save it as .*queries_tsv"):
        broken.queries()


COMMAND = "from reasonrank_pyserini.cli import main; main()"


def test_command_lists_and_describes(tmp_path: Path) -> None:
    listed = run_python("-c", COMMAND, "datasets", "bright/*", folder=tmp_path)
    assert (listed.returncode, listed.stderr) == (0, "")
    head, *rows = listed.stdout.splitlines()
    assert head.split() == ["id", "documents", "queries", "judgements", "benchmark"]
    assert [row.split()[0] for row in rows][:3] == ["bright/aops", "bright/biology", "bright/biology-long"]
    assert len(rows) == 12 + 8
    assert {row.split()[-1] for row in rows} == {"BRIGHT"}
    medical = run_python("-c", COMMAND, "datasets", "r2med/", folder=tmp_path).stdout.splitlines()[1:]
    assert [row.split()[::4] for row in medical][:2] == [
        ["r2med/bioinformatics", "R2MED"],
        ["r2med/biology", "R2MED"],
    ]
    assert len(medical) == 8
    records = json.loads(run_python("-c", COMMAND, "datasets", "LEETCODE", "--json", folder=tmp_path).stdout)
    assert [record["id"] for record in records] == ["bright/leetcode"]
    assert [records[0][key] for key in ("queries", "judgements", "benchmark")] == [142, 262, "BRIGHT"]
    described = run_python("-c", COMMAND, "datasets", "bright/biology", folder=tmp_path)
    assert described.returncode == 0
    assert "57,359" in described.stdout
    assert "gpt4_reason" in described.stdout
    assert "BRIGHT" in described.stdout
    assert "@inproceedings" in described.stdout
    medical = run_python("-c", COMMAND, "datasets", "r2med/medqa-diag", folder=tmp_path)
    for known in ("56,250", "118", "lamer/o3-mini", "CC BY 4.0", "@article{li2025r2med"):
        assert known in medical.stdout


def test_command_on_an_unknown_name(tmp_path: Path) -> None:
    done = run_python("-c", COMMAND, "datasets", "bright/biologie", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "reasonrank: no test collection matches 'bright/biologie': did you mean 'bright/bio"
    )
    assert len(done.stderr.splitlines()) == 1
