"""`reasonrank journal`: what a folder keeps, whether it is whole, and one file out of many."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.engines.journal import Journal
from reasonrank_pyserini.engines.journal.encoding import encode
from reasonrank_pyserini.engines.journal.upkeep import held_alone, inspect, prune
from reasonrank_pyserini.jobs.run_folder import RunFolder
from reasonrank_pyserini.types import Completion

KEYS = [f"{number:02x}" * 32 for number in range(4)]
RECORDS = [encode(key, Completion(f"said {key[:2]}", 10, 3)) for key in KEYS]
SIZE = len(RECORDS[0])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A reranking's folder: two journal files, one key in both, one torn record, a manifest."""
    folder = tmp_path / "out"
    (folder / "journal").mkdir(parents=True)
    (folder / "journal" / "1.journal").write_bytes(b"".join(RECORDS[:3]) + RECORDS[3][:50])
    (folder / "journal" / "2.journal").write_bytes(RECORDS[0] + RECORDS[3])
    (folder / "manifest.json").write_text(json.dumps({"windows": 5, "cached": 3, "errors": 1}))
    return folder


def journal(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(["journal", *map(str, arguments)])
    said = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, said.out, said.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    return json.loads(journal(capsys, *arguments, "--json")[1])


def test_what_a_folder_keeps(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (out, out / "journal"):
        found = as_json(capsys, folder)
        assert found["files"] == [
            {"name": "1.journal", "records": 3, "damaged": 1, "bytes": 3 * SIZE + 50},
            {"name": "2.journal", "records": 2, "damaged": 0, "bytes": 2 * SIZE},
        ]
        counts = [found[name] for name in ("records", "keys", "duplicates", "damaged", "bytes")]
        assert counts == [5, 4, 1, 1, 5 * SIZE + 50]
        assert (found["prompt_tokens"], found["completion_tokens"]) == (50, 15)
        assert found["result"] == {"windows": 5, "cached": 3, "asked": 1, "errors": 1}
    status, text, err = journal(capsys, out)
    assert (status, err) == (0, "")
    assert "answers  4 (1 records are duplicates)" in text
    assert "5 windows: 3 from the journal" in text


def test_every_damaged_place_has_a_line(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text, err = journal(capsys, "verify", out)
    assert (status, err) == (1, "")
    where = out / "journal" / "1.journal"
    assert text.splitlines() == [
        f"{where}: byte {3 * SIZE}, 50 bytes: an incomplete record: cut short, or still being written",
        "1 damaged: 5 records in 2 files",
    ]
    os.truncate(where, 3 * SIZE)
    assert journal(capsys, "verify", out) == (0, "whole: 5 records in 2 files\n", "")


def test_pruned_to_one_file_with_every_answer_once(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in (out / "journal").iterdir()}
    reader = Journal(out / "journal")
    dry = as_json(capsys, "prune", out, "--dry-run")
    assert {path.name: path.read_bytes() for path in (out / "journal").iterdir()} == before
    done = as_json(capsys, "prune", out)
    counts = {"files": 2, "records": 4, "duplicates": 1, "damaged": 1}
    assert dry == {"pruned": False, **counts, "bytes": 5 * SIZE + 50, "bytes_after": 4 * SIZE}
    assert done == {**dry, "pruned": True}
    (path,) = (out / "journal").glob("*.journal")
    assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(RECORDS)
    assert [reader.get(key) for key in KEYS] == [
        Completion(f"said {k[:2]}", 10, 3, cached=True) for k in KEYS
    ]
    assert journal(capsys, "prune", out)[:2] == (0, "nothing to prune: 1 files, 4 records, each once\n")


def test_a_folder_in_use_is_not_pruned(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = Journal(out / "journal")
    writer.put("ff" * 32, Completion("new"))
    status, _, err = journal(capsys, "prune", out)
    assert (status, err.count("\n")) == (2, 1)
    assert "is being written by another process: wait until it has ended" in err
    assert len(list((out / "journal").glob("*.journal"))) == 3
    writer.close()
    with RunFolder(out / "task", {}):  # one of several that share the journal
        assert journal(capsys, "prune", out)[0] == 2
    assert as_json(capsys, "prune", out)["records"] == 5


@pytest.mark.parametrize("step", [(os, "fsync"), (os, "replace"), (Path, "unlink")])
def test_a_pruning_that_fails_anywhere_loses_nothing(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, step: tuple[Any, str]
) -> None:
    real = getattr(*step)

    def fails(where: Any, *more: Any, **options: Any) -> Any:
        if str(where).endswith(".part") and step[0] is Path:
            return real(where, *more, **options)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(*step, fails)
        status, _, err = journal(capsys, "prune", out)
    assert (status, "No space left on device; no answer is lost" in err) == (1, True)
    assert sorted(Journal(out / "journal").keys()) == KEYS
    assert not list((out / "journal").glob(".*"))
    assert as_json(capsys, "prune", out)["records"] == 4


def test_what_is_recorded_while_a_folder_is_pruned_stays(out: Path) -> None:
    late = Journal(out / "journal")
    with held_alone(out / "journal") as files:
        late.put("ee" * 32, Completion("paid meanwhile"))
        prune(inspect(out / "journal", files))
    late.close()
    assert sorted(Journal(out / "journal").keys()) == sorted([*KEYS, "ee" * 32])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["no-such"], "unknown journal command or folder 'no-such'"),
        (["verfy", "x"], "did you mean 'verify'?"),
        (["verify", "no-such"], "there is no folder no-such: give the output folder of a rerank, "),
        (["a" * 300], "unknown journal command or folder 'aaa"),
        (["show", "a" * 300], "there is no folder aaa"),
        (["show", "."], "holds no journal: give a folder that contains journal/"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, text, err = journal(capsys, *arguments)
    assert (status, text, err.count("\n")) == (2, "", 1)
    assert line in err
