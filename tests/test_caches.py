from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from reasonrank_pyserini.files.caches import cache_root, cached_folder, fingerprint


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_built_once_by_whoever_comes_first() -> None:
    builds: list[Path] = []

    def build(folder: Path) -> None:
        builds.append(folder)
        (folder / "file").write_text("x")

    def work() -> None:
        found.append(cached_folder("kind", {"a": 1}, build))

    found: list[Path] = []
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert len(set(found)) == 1
    assert (found[0] / "file").read_text() == "x"


def test_other_content_is_another_folder_and_key_order_is_not_content() -> None:
    def build(folder: Path) -> None:
        return None

    one = cached_folder("kind", {"a": 1, "b": 2}, build)
    assert cached_folder("kind", {"b": 2, "a": 1}, build) == one
    assert cached_folder("kind", {"a": 1, "b": 3}, build) != one
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})


def test_a_failing_build_leaves_nothing_and_the_next_one_works(cache: Path) -> None:
    def broken(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        cached_folder("kind", {}, broken)
    assert [p.suffix for p in (cache / "kind").iterdir()] == [".lock"]
    assert cached_folder("kind", {}, lambda folder: None).is_dir()


def test_a_killed_build_leaves_no_finished_folder_and_is_cleared(cache: Path) -> None:
    code = (
        "import os; from reasonrank_pyserini.files.caches import cached_folder; "
        "cached_folder('kind', {}, lambda folder: os._exit(9))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    (left,) = (p for p in (cache / "kind").iterdir() if p.is_dir())
    final = cached_folder("kind", {}, lambda folder: None)
    assert final.is_dir()
    assert not left.exists()


@pytest.mark.parametrize("base", ["relative", "", None])
def test_a_cache_folder_that_is_not_absolute_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, base: str | None
) -> None:
    monkeypatch.delenv("REASONRANK_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if base is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", base)
    assert cache_root() == tmp_path / ".cache" / "reasonrank-pyserini"


def test_two_builders_without_locks_share_what_the_first_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)

    def build(folder: Path) -> None:
        if builds.append(folder) or len(builds) == 1:
            cached_folder("kind", {}, build)  # another process, meanwhile
        (folder / "file").write_text("x")

    builds: list[Path] = []
    found = cached_folder("kind", {}, build)
    assert (found / "file").read_text() == "x"
    assert len(builds) == 2
    assert [path.name for path in found.parent.iterdir() if path.is_dir()] == [found.name]
