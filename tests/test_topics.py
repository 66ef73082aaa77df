from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.errors import FileFormatError, InputError
from reasonrank_pyserini.files.excluded import read_excluded
from reasonrank_pyserini.files.topics import read_topics, topic_fields
from reasonrank_pyserini.types import Query


def file(folder: Path, content: str | bytes, name: str = "topics") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_tsv(tmp_path: Path) -> None:
    content = "\ufeff1\tone\r\n\r\nq 2\ta\ttab \r\n 3 \t\r\n4\t{not json}"
    expected = [Query("1", "one"), Query("q 2", "a\ttab "), Query("3", ""), Query("4", "{not json}")]
    assert read_topics(file(tmp_path, content)) == expected
    assert read_topics(file(tmp_path, gzip.compress(content.encode()), "t.gz")) == expected


@pytest.mark.parametrize(
    ("record", "query"),
    [
        ({"_id": "1", "text": "beir", "metadata": {}}, Query("1", "beir")),
        ({"query": "bright", "reasoning": "r", "id": "2"}, Query("2", "bright")),
        ({"id": "3", "text": "r2med", "doc_id": ["x"]}, Query("3", "r2med")),
        ({"qid": 4, "title": "title"}, Query("4", "title")),
        ({"query_id": "5", "contents": "c"}, Query("5", "c")),
        ({"id": "6", "text": None, "query": "q"}, Query("6", "q")),
        ({"id": "7", "text": ""}, Query("7", "")),
    ],
)
def test_jsonl_under_its_usual_names(tmp_path: Path, record: dict[str, object], query: Query) -> None:
    assert read_topics(file(tmp_path, json.dumps(record))) == [query]
    assert read_topics(file(tmp_path, json.dumps([record], indent=2))) == [query]


def test_another_field(tmp_path: Path) -> None:
    path = file(tmp_path, '{"id": "1", "query": "q", "reasoning": "note", "ids": []}\n')
    assert read_topics(path, "reasoning") == [Query("1", "note")]
    assert topic_fields(path) == ("query", "reasoning")
    with pytest.raises(FileFormatError, match=r"topics:1: no text: expected one of gpt4"):
        read_topics(path, "gpt4")
    with pytest.raises(FileFormatError, match="no field 'reasoning'"):
        read_topics(file(tmp_path, "1\tq\n", "t.tsv"), "reasoning")


def test_trec_topics(tmp_path: Path) -> None:
    content = """
<top>

<num> Number: 051
<title> Airbus
Subsidies

<desc> Description:
How much?
<narr> Narrative:
Any < 5 <i>x</i>.
</top>
<top><num>Number: MB1</num><title>Topic: closed tags</title></top>
"""
    path = file(tmp_path, content)
    assert read_topics(path) == [Query("51", "Airbus Subsidies"), Query("MB1", "closed tags")]
    with pytest.raises(FileFormatError, match=r"topics:13: topic 'MB1' has no <desc>; it has num, title"):
        read_topics(path, "desc")


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (b"1\ta\nno tab\n", 2, "expected id<TAB>text"),
        (b"1\ta\n\tb\n", 2, "query id before the tab is empty"),
        (b"1\ta\n\n2\tb\n1\tc\n", 4, "repeated query id '1' (first on line 1)"),
        (b'{"id": "1", "text": "a"}\n{"id": 1, "text": "b"}\n', 2, "repeated query id '1' (first on line 1)"),
        (b'{"id": "1", "text": "a"}\nplain\n', 2, "not JSON"),
        (b'{"text": "a"}\n', 1, "no id: expected one of id, qid, query_id, _id; has text"),
        (b'{"id": "1"}\n', 1, "no text"),
        (b'{"query": {"text": "a", "qid": 1}, "candidates": []}\n', 1, "`requests`"),
        (b'{"qid": 1, "q_text": "a", "bm25_results": []}\n', 1, "`requests`"),
        (b'[{"id": 1, "text": ""},\n {"id": 2}]', 2, "no text"),
        (b'[{"id": 1, "text": ""}\n {"id": 2, "text": ""}]', 2, "expected ',' or ']'"),
        (b'[{"id": 1, "text": ""},\n]', 2, "not JSON"),
        (b'[{"id": 1, "text": ""}] x', None, "text after the array's end"),
        (b"[]", None, "has no topics"),
        (b"1\t\xff\n", 1, "not UTF-8"),
        (b"", None, "has no topics"),
        (b"<top>\n<title> x\n</top>\n", 1, "topic without <num>"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: bytes, line: int | None, problem: str) -> None:
    path = file(tmp_path, content)
    with pytest.raises(FileFormatError) as caught:
        read_topics(path)
    assert (caught.value.path, caught.value.line) == (str(path), line)
    assert problem in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no topics file"):
        read_topics(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a folder"):
        read_topics(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a pipe or device"):
        read_topics(tmp_path / "pipe")


TSV_TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))
TSV_ID = st.text(st.characters(categories=["L", "N", "P"], exclude_characters="{[<\ufeff"), min_size=1)


@given(st.dictionaries(TSV_ID, TSV_TEXT, min_size=1))
def test_any_tsv_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> None:
    content = "".join(f"{id}\t{text}\n" for id, text in texts.items())
    path = file(tmp_path_factory.mktemp("tsv"), content)
    assert read_topics(path) == [Query(id, text) for id, text in texts.items()]


@given(
    st.dictionaries(st.text(min_size=1).filter(str.strip), st.text(), min_size=1),
    st.booleans(),
    st.booleans(),
)
def test_any_jsonl_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str], array: bool, ascii: bool
) -> None:
    records = [{"id": id, "text": text} for id, text in texts.items()]
    lines = [json.dumps(record, ensure_ascii=ascii) for record in records]
    content = f"[{','.join(lines)}]" if array else "\n".join(lines)
    path = file(tmp_path_factory.mktemp("jsonl"), content)
    assert read_topics(path) == [Query(id, text) for id, text in texts.items()]


def test_bright_topics_in_both_forms(shared: Path) -> None:
    folder = shared / "bright" / "topics"
    counts = {"biology": 103, "leetcode": 142, "theoremqa_theorems": 76}
    for task, count in counts.items():
        flat, original = read_topics(folder / f"{task}.tsv"), read_topics(folder / f"{task}.original.jsonl")
        assert len(flat) == count
        assert [query.id for query in flat] == [query.id for query in original]
        assert [query.text.split() for query in flat] == [query.text.split() for query in original]
    assert "gold_answer" in topic_fields(folder / "biology.original.jsonl")


def test_r2med_and_cacm_topics(shared: Path) -> None:
    demo = shared / "collections" / "r2med-biology-demo"
    assert [query.id for query in read_topics(demo / "query.jsonl")] == ["0", "1"]
    rewritten = read_topics(demo / "hyde" / "qwen-7b" / "query_with_hydoc.jsonl", "hy_doc")
    assert rewritten[1].text.startswith("The phenomenon of only breathing")
    assert len(read_topics(shared / "collections" / "cacm" / "topics.tsv")) == 64


def test_excluded_documents(tmp_path: Path) -> None:
    content = "\ufeff1 a doc with spaces.txt\r\n1\ttab\n\n2  padded  \n1 tab\n"
    assert read_excluded(file(tmp_path, content)) == {
        "1": frozenset({"a doc with spaces.txt", "tab"}),
        "2": frozenset({"padded"}),
    }
    assert read_excluded(file(tmp_path, "")) == {}
    with pytest.raises(FileFormatError, match=r"topics:2: expected 'query docid', found 'alone'"):
        read_excluded(file(tmp_path, "1 a\nalone\n"))


def test_excluded_of_leetcode(shared: Path) -> None:
    path = shared / "bright" / "excluded" / "leetcode.txt"
    excluded = read_excluded(path)
    assert sum(map(len, excluded.values())) == len(set(path.read_text().splitlines()))
    assert "leetcode/leetcode_1996.txt" in excluded["0"]
