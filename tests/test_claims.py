"""What the folders of rerankings and of trainings have in common: one holder, one configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from reasonrank_pyserini.errors import InputError, UnknownNameError
from reasonrank_pyserini.jobs.run_folder import RunFolder
from reasonrank_pyserini.training.checkpoints import StageFolder

KINDS = pytest.mark.parametrize("kind", [RunFolder, StageFolder])
Kind = type[RunFolder] | type[StageFolder]


@KINDS
def test_a_folder_whose_manifest_is_somebody_elses_is_refused(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "manifest.json").write_text('{"configuration": 5}')
    with pytest.raises(InputError, match=r"manifest\.json is not a manifest"), kind(tmp_path, {"a": 1}):
        pass
    assert (tmp_path / "manifest.json").read_text() == '{"configuration": 5}'


@KINDS
def test_a_folder_has_one_holder_and_the_next_may_come(tmp_path: Path, kind: Kind) -> None:
    with (
        kind(tmp_path / "out", {"a": 1}),
        pytest.raises(InputError, match="is being written by another process"),
    ):
        kind(tmp_path / "out", {"a": 1}).__enter__()
    with kind(tmp_path / "out", {"a": 1}):
        pass


@KINDS
def test_what_differs_is_said(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "manifest.json").write_text('{"configuration": {"settings": {"window": 10, "seed": 0}}}')
    mine = {"settings": {"window": 20, "seed": 0}, "model": "m"}
    with pytest.raises(InputError, match=r'model: null there, "m" now; settings\.window: 10 there, 20 now'):
        kind(tmp_path, mine).__enter__()


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="cannot be used as output folder"):
        RunFolder(tmp_path / "out", {}).__enter__()


def test_a_name_that_is_known_twice_is_listed_once() -> None:
    assert str(UnknownNameError("thing", "x", ["b", "a", "b"])).endswith("known: a, b")
