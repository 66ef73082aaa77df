from __future__ import annotations

import gzip
import hashlib
import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.errors import FileFormatError, InputError
from reasonrank_pyserini.files.corpora import Corpus
from reasonrank_pyserini.types import Document


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path_factory.mktemp("cache")))


def write(path: Path, *lines: str) -> Path:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"))
    return path


TWO = ('{"id": "a b", "contents": "one"}', '{"_id": 7, "title": "T", "text": "two"}')


def test_documents_by_id_and_in_order(tmp_path: Path) -> None:
    corpus = Corpus(write(tmp_path / "c.jsonl", *TWO))
    first, second = Document("a b", "one"), Document("7", "two", "T")
    assert list(corpus) == [first, second]
    assert len(corpus) == 2
    assert corpus.get_many(["7", "nowhere", "a b", "7"]) == {"7": second, "a b": first}
    assert list(corpus.get_many(["7", "a b"])) == ["7", "a b"]
    assert corpus.get_many([]) == {}


@pytest.mark.parametrize(
    ("record", "document"),
    [
        ({"docid": "x", "segment": "s", "title": "t"}, Document("x", "s", "t")),
        ({"pid": "p1", "passage": "s", "docid": "page"}, Document("p1", "s")),
        ({"id": "x", "text": None, "contents": "c"}, Document("x", "c")),
        ({"id": "x", "text": ""}, Document("x", "")),
        ({"id": "x", "content": "bright"}, Document("x", "bright")),
        ({"id": 1.5, "body": 3}, Document("1.5", "3")),
        ({"id": "x", "text": "lone \ud800 surrogate"}, Document("x", "lone \ud800 surrogate")),
        ({"id": " padded ", "text": "t"}, Document(" padded ", "t")),
    ],
)
def test_fields_under_their_usual_names(
    tmp_path: Path, record: dict[str, object], document: Document
) -> None:
    corpus = Corpus(write(tmp_path / "c.jsonl", json.dumps(record)))
    assert corpus.get_many([document.id]) == {document.id: document}


def test_windows_line_ends_bom_blank_lines_and_no_last_newline(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f"{TWO[0]}\r\n\r\n  \r\n{TWO[1]}".encode())
    assert list(Corpus(path).get_many(["7", "a b"]).values()) == [
        Document("7", "two", "T"),
        Document("a b", "one"),
    ]


def test_line_separators_inside_texts_end_no_line(tmp_path: Path) -> None:
    texts = ["a\u2028b", "c\u0085d", "e\x0bf\x0cg", "\\r"]
    path = write(tmp_path / "c.jsonl", *(json.dumps({"id": t, "text": t}, ensure_ascii=False) for t in texts))
    assert [document.text for document in Corpus(path).get_many(texts).values()] == texts


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (b'{"id": "1", "text": "a"}\n{"id": "2", "text": "b"\n', 2, "not JSON"),
        (b'\n\n["x"]\n', 3, "not JSONL; this looks like JSON"),
        (b'{"text": "a"}\n', 1, "no id: expected one of id, _id"),
        (b'{"id": null, "text": "a"}\n', 1, "no id"),
        (b'{"id": true, "text": "a"}\n', 1, "field 'id' holds a boolean, not an id"),
        (b'{"id": " ", "text": "a"}\n', 1, "empty id"),
        (b'{"id": "1", "url": "u"}\n', 1, "no text: expected one of text, segment, contents"),
        (b'{"id": "1", "text": ["a"]}\n', 1, "field 'text' holds a list, not a text"),
        (b'{"id": "1", "text": "a", "title": {}}\n', 1, "field 'title' holds an object"),
        (b'{"id": "1", "text": "a"}\n{"id": "2", "text": "\xe9"}\n', 2, "not UTF-8 (byte 0xe9"),
        (
            b'{"id": "1", "text": "a"}\n{"id": 1, "text": "b"}\n',
            2,
            "repeated document id '1' (first on line 1)",
        ),
        (b'{"id": ' + b"[" * 100_000, 1, "not usable JSON"),
        (b'{"id": 1' + b"0" * 5000 + b', "text": ""}', 1, "not usable JSON"),
        (b"", None, "has no documents"),
        (b"\n \n", None, "has no documents"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: bytes, line: int | None, problem: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        len(Corpus(path))
    assert (caught.value.path, caught.value.line) == (str(path), line)
    assert problem in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_missing_files_are_named_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", *TWO)
    with pytest.raises(InputError, match=r"no corpus .*corpsu.jsonl: did you mean .*/corpus.jsonl\?"):
        Corpus(tmp_path / "corpsu.jsonl")
    with pytest.raises(InputError, match=r"the folder .*nowhere does not exist"):
        Corpus(tmp_path / "nowhere" / "corpus.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no .jsonl"):
        Corpus(tmp_path / "empty")


def test_gzip_is_unpacked_once_and_told_by_content(tmp_path: Path) -> None:
    plain = write(tmp_path / "c.jsonl", *TWO)
    packed = tmp_path / "named-anything"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    corpus = Corpus(packed)
    assert list(corpus) == list(Corpus(plain))
    assert corpus.get_many(["7"]) == {"7": Document("7", "two", "T")}
    assert corpus.sha256 == Corpus(plain).sha256 == hashlib.sha256(plain.read_bytes()).hexdigest()


def test_damaged_gzip(tmp_path: Path) -> None:
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(write(tmp_path / "c.jsonl", *TWO).read_bytes())[:-12])
    with pytest.raises(FileFormatError, match=r"c.jsonl.gz:\d+: the gzip data is damaged"):
        len(Corpus(packed))


def test_folder_of_files_in_name_order(tmp_path: Path) -> None:
    write(tmp_path / "part-2.jsonl", '{"id": "2", "text": "b"}')
    (tmp_path / "sub").mkdir()
    (tmp_path / "part-1.json.gz").write_bytes(gzip.compress(b'\n{"id": "1", "text": "a"}'))
    write(tmp_path / "sub" / "part-0.jsonl", '{"id": "3", "text": "c"}')
    write(tmp_path / "notes.txt", "no corpus")
    corpus = Corpus(tmp_path)
    assert [document.id for document in corpus] == ["1", "2", "3"]
    assert [document.text for document in corpus.get_many(["3", "1", "2"]).values()] == ["c", "a", "b"]


def test_repeated_ids_in_two_files_name_both(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", '{"id": "1", "text": "a"}', '{"id": "x y", "text": "b"}')
    write(tmp_path / "b.jsonl", '{"id": "2", "text": "a"}', "", '{"id": "x y", "text": "b"}')
    with pytest.raises(
        FileFormatError, match=r"b.jsonl:3: repeated document id 'x y' \(first on .*a.jsonl:2\)"
    ):
        Corpus(tmp_path).get_many(["1"])


def test_a_beir_folder_is_its_corpus_only(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", *TWO)
    write(tmp_path / "queries.jsonl", '{"_id": "q", "text": "query"}')
    assert [document.id for document in Corpus(tmp_path)] == ["a b", "7"]


def test_index_is_kept_and_a_changed_file_indexed_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", *TWO)
    for _ in range(2):
        corpus = Corpus(path, keep_index_above=0)
        assert corpus.get_many(["7"])["7"].text == "two"
    write(path, '{"id": "8", "text": "eight"}', *TWO)
    with pytest.raises(InputError, match="changed while it was in use"):
        corpus.get_many(["7"])
    changed = Corpus(path, keep_index_above=0)
    assert (len(changed), changed.get_many(["8", "7"])["8"].text) == (3, "eight")
    assert changed.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_unusable_cache_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONRANK_CACHE", str(write(tmp_path / "a-file", "x")))
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(TWO[0].encode()))
    with pytest.raises(InputError, match="REASONRANK_CACHE"):
        len(Corpus(packed))


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    count = 500
    lines = [json.dumps({"id": f"doc {n}", "contents": f"text {n} " * (n % 50)}) for n in range(count)]
    corpus = Corpus(write(tmp_path / "c.jsonl", *lines))
    wrong: list[str] = []

    def work(step: int) -> None:
        for start in range(0, count, 50):
            ids = [f"doc {(start + n * step) % count}" for n in range(50)]
            found = corpus.get_many(ids)
            wrong.extend(
                id for id in ids if not (found[id].text + f"text {id[4:]} ").startswith(f"text {id[4:]} ")
            )

    threads = [threading.Thread(target=work, args=(step,)) for step in (1, 3, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@given(
    st.dictionaries(
        st.text(min_size=1).filter(str.strip), st.tuples(st.text(), st.text()), min_size=1, max_size=8
    )
)
def test_any_ids_and_texts_come_back(
    tmp_path_factory: pytest.TempPathFactory, texts: dict[str, tuple[str, str]]
) -> None:
    documents = {id: Document(id, text, title) for id, (text, title) in texts.items()}
    records = ({"id": d.id, "title": d.title, "contents": d.text} for d in documents.values())
    path = tmp_path_factory.mktemp("any") / "c.jsonl"
    path.write_text(
        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8", newline=""
    )
    assert Corpus(path).get_many(documents) == documents
    assert list(Corpus(path)) == list(documents.values())


def test_cacm(shared: Path) -> None:
    corpus = Corpus(shared / "collections" / "cacm" / "corpus.jsonl")
    everything = {document.id: document for document in corpus}
    assert len(corpus) == len(everything) == 3204
    assert corpus.get_many(reversed(everything)) == everything
