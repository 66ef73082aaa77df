"""What `reasonrank report` refuses: one line each, and a page that was there stays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from page_kit import Documents, files

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.evaluation.report import Sources, read_result, write_report
from reasonrank_pyserini.types import Document

__all__ = ["files"]  # fixture


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["empty"], "empty holds no trace.jsonl, nor does a folder in it"),
        (["blank"], "blank holds an empty trace"),
        (["foreign"], "foreign/trace.jsonl:1: no 'query_id': this is not a line of a rerank trace"),
        (["twisted"], "twisted/trace.jsonl:1: 'order' is not a permutation of 'window'"),
        (["endless"], "endless/trace.jsonl:1: 'seconds' is not a finite number"),
        (["broken"], "broken/trace.jsonl:1: not JSON"),
        (["out", "-o", "missing/page.html"], "there is no folder"),
        (["out", "-o", "empty"], "-o empty is a folder"),
        (["out", "--qrels", "qrels", "--dataset", "beir/scifact"], "both give judgements"),
        (["out", "--qrels", "qrels", "--qrels-kind", "fixed"], "use it with --dataset"),
        (["out", "--qrels", "other"], "--qrels other: none of the 2 reranked queries is there, e.g. 'q1'"),
        (["out", "--run", "qrels"], "this looks like qrels"),
        (["out", "--corpus", "nothing.jsonl"], "nothing.jsonl"),
        (["out", "--passage-chars", "-1"], "--passage-chars"),
        (["board"], "board/leaderboard.json: this is not a leaderboard"),
        (["manifest"], "manifest/manifest.json: this is not the manifest of a rerank folder"),
        ([], "Missing argument 'DIR...'"),
    ],
)
def test_bad_input_is_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    Path("empty").mkdir()
    Path("other").write_text("q77 0 a 1\n")
    good = (files / "out" / "trace.jsonl").read_text()
    for name, text in (
        ("blank", ""), ("foreign", '{"id": 1}\n'), ("broken", "{\n"), ("board/task", good), ("manifest", good),
        ("endless", '{"query_id": "q", "window": [], "order": [], "status": "CLEAN", "seconds": NaN}\n'),
        ("twisted", '{"query_id": "q", "window": ["a", "b"], "order": ["a", "a"], "status": "CLEAN"}\n'),
    ):  # fmt: skip
        Path(name).mkdir(parents=True)
        (Path(name) / "trace.jsonl").write_text(text)
    Path("board/leaderboard.json").write_text('{"rows": 3}')
    Path("manifest/manifest.json").write_text("[]")
    with pytest.raises(SystemExit) as end:
        main(["report", *arguments, *([] if "-o" in arguments else ["-o", "page.html"])])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert line in err
    assert len(err.splitlines()) == 1
    assert not Path("page.html").exists()


def test_after_a_failure_the_old_page_is_still_there(files: Path) -> None:
    class Broken(Documents):
        def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
            raise InputError("the corpus changed")

    Path("page.html").write_text("old")
    with pytest.raises(InputError, match="the corpus changed"):
        write_report("page.html", [(read_result("out", Path("out")), Sources(documents=Broken({})))])
    assert Path("page.html").read_text() == "old"
    assert [path.name for path in files.iterdir() if "part" in path.name] == []
