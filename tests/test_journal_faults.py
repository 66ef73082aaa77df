"""The journal on bad disks: torn, zeroed, damaged records, full and read-only file systems, no locks, many writers."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.engines.journal import Journal, store
from reasonrank_pyserini.engines.journal.encoding import encode
from reasonrank_pyserini.engines.journal.upkeep import inspect
from reasonrank_pyserini.errors import InputError, JournalError
from reasonrank_pyserini.jobs.run_folder import RunFolder
from reasonrank_pyserini.types import Completion

KEYS = [f"{number:02x}" * 32 for number in range(1, 5)]
SAID = {
    KEYS[0]: Completion("[2] > [1]", 5, 7),
    KEYS[1]: Completion(
        "a text that quotes a record: " + encode(KEYS[0], Completion("forged")).decode(), 1, 2
    ),
    KEYS[2]: Completion("", finish_reason="length"),
    KEYS[3]: Completion("\N{GREEK SMALL LETTER ALPHA}\n" * 9, forced=True),
}
RECORDS = {key: encode(key, said) for key, said in SAID.items()}
WHOLE = b"".join(RECORDS.values())

flip = st.tuples(st.just("flip"), st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
cut = st.tuples(st.just("cut"), st.integers(0, len(WHOLE)), st.just(0))
zeros = st.tuples(st.just("zeros"), st.integers(0, len(WHOLE)), st.integers(1, 40))
insert = st.tuples(
    st.just("insert"), st.integers(0, len(WHOLE)), st.sampled_from([b"\n", b"x", b"\0" * 9, RECORDS[KEYS[1]]])
)


def damaged_by(content: bytes, fault: tuple[str, int, int | bytes]) -> bytes:
    kind, place, what = fault
    if kind == "insert":
        assert isinstance(what, bytes)
        return content[:place] + what + content[place:]
    assert isinstance(what, int)
    if kind == "cut":
        return content[:place]
    if kind == "zeros":
        return content[:place] + b"\0" * len(content[place : place + what]) + content[place + what :]
    return content[:place] + bytes(byte ^ what for byte in content[place : place + 1]) + content[place + 1 :]


@given(faults=st.lists(st.one_of(flip, cut, zeros, insert), max_size=4))
def test_whatever_happens_to_a_file_no_answer_is_wrong(
    tmp_path_factory: pytest.TempPathFactory, faults: list[tuple[str, int, int | bytes]]
) -> None:
    """A line that is not a record counts; a whole record at the end of a line is found; nothing else is."""
    content = WHOLE
    for fault in faults:
        content = damaged_by(content, fault)
    folder = tmp_path_factory.mktemp("journal")
    (folder / "a.journal").write_bytes(content)
    lines = io.BytesIO(content).readlines()
    journal = Journal(folder)
    assert journal.damaged == sum(line not in RECORDS.values() for line in lines)
    for key, record in RECORDS.items():
        found = journal.get(key)
        assert (found is not None) == any(line.endswith(record) for line in lines)
        assert found is None or (found.text, found.forced) == (SAID[key].text, SAID[key].forced)
    report = inspect(folder)
    assert (report.damaged, report.keys, report.size) == (journal.damaged, len(journal), len(content))


def test_two_records_in_one_torn_line_and_a_tail_of_zeros(tmp_path: Path) -> None:
    torn = RECORDS[KEYS[0]][:90]
    (tmp_path / "a.journal").write_bytes(torn + RECORDS[KEYS[1]] + RECORDS[KEYS[2]] + b"\0" * 4096)
    (tmp_path / "b.journal").write_bytes(RECORDS[KEYS[2]] + RECORDS[KEYS[3]])
    journal = Journal(tmp_path)
    assert (sorted(journal.keys()), journal.damaged) == (KEYS[1:], 2)
    (first, _) = inspect(tmp_path).files
    assert [(one.position, one.length) for one in first.damage] == [
        (0, 90),
        (90 + len(RECORDS[KEYS[1]]) + len(RECORDS[KEYS[2]]), 4096),
    ]
    assert "checksum" in first.damage[0].reason or "incomplete" in first.damage[0].reason
    assert "zeros" in first.damage[1].reason


def test_a_record_that_is_spoilt_later_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "a.journal").write_bytes(WHOLE)
    journal = Journal(tmp_path)
    (tmp_path / "a.journal").write_bytes(WHOLE.replace(b"[2] > [1]", b"[1] > [2]"))
    assert [journal.get(KEYS[0]), journal.get(KEYS[0])] == [None, None]
    assert (journal.damaged, len(journal)) == (1, 3)


def test_fields_of_a_later_version_are_left_out(tmp_path: Path) -> None:
    body = f'{KEYS[0]} {{"text": "said", "mood": "good"}}'.encode()
    (tmp_path / "a.journal").write_bytes(b"%08x %s\n" % (zlib.crc32(body), body))
    assert Journal(tmp_path).get(KEYS[0]) == Completion("said", cached=True)


FULL = """
import resource, sys
from reasonrank_pyserini.errors import JournalError
from reasonrank_pyserini.engines.journal import Journal
from reasonrank_pyserini.types import Completion
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
journal = Journal(sys.argv[1])
for number in range(99):
    try:
        journal.put(f"{number:02x}" * 32, Completion("x" * 500))
    except JournalError as error:
        print(number, error)
        break
try:
    journal.put("ff" * 32, Completion("x"))
except JournalError as error:
    print("again", error)
journal.close()
"""


def test_a_full_disk_keeps_what_fitted_and_leaves_nothing_torn(tmp_path: Path) -> None:
    """The limit on a file's size stands in for the disk: a write is cut short, the next one fails."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    fitted = 4096 // len(encode(KEYS[0], Completion("x" * 500)))
    assert first.startswith(f"{fitted} journal {tmp_path}")
    assert "cannot be written: File too large; the answers recorded so far are kept" in first
    assert "could not be written before" in second
    journal = Journal(tmp_path)
    assert (len(journal), journal.damaged) == (fitted, 0)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder with a journal that cannot be written: for root, whom modes do not stop, a read-only mount."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid():
        (folder / "a.journal").write_bytes(WHOLE)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        (folder / "a.journal").write_bytes(WHOLE)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_read_only_folder_is_read_and_says_that_it_cannot_be_written(read_only: Path) -> None:
    journal = Journal(read_only)
    assert journal.get(KEYS[0]) is not None
    with pytest.raises(JournalError, match=r"cannot be written: (Read-only file system|Permission denied)"):
        journal.put("ff" * 32, Completion("x"))
    journal.close()
    assert inspect(read_only).keys == len(KEYS)


WRITERS = """
import os, sys
from reasonrank_pyserini.engines.journal import Journal
from reasonrank_pyserini.types import Completion
journal = Journal(sys.argv[1])
journal.put("00" * 32, Completion("before the fork"))
child = os.fork()
me = int(sys.argv[2]) + (child == 0)
sys.stdin.readline() if child else None
for number in range(1, 100):
    journal.put(f"{number:02x}{me:02x}" * 16, Completion(f"{number} of {me}", number, me))
    journal.put(f"{number:02x}ff" * 16, Completion(f"{number} of all", number))
journal.close()
if child:
    os.waitpid(child, 0)
"""


def test_processes_write_side_by_side(tmp_path: Path) -> None:
    """Two processes, and a fork of each that goes on with its parent's journal."""
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITERS, str(tmp_path), str(me)], stdin=subprocess.PIPE)
        for me in (2, 4)
    ]
    for process in processes:
        process.communicate(b"go\n", timeout=600)
        assert process.returncode == 0
    journal = Journal(tmp_path)
    assert (journal.damaged, len(journal)) == (0, 1 + 99 * (4 + 1))
    for me in (2, 3, 4, 5):
        assert journal.get(f"63{me:02x}" * 16) == Completion(f"99 of {me}", 99, me, cached=True)
    report = inspect(tmp_path)
    assert (report.records, len(report.files)) == (2 + 4 * 2 * 99, 4)


def test_the_disk_is_written_through_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through = threading.Event()
    monkeypatch.setattr(store, "SYNC_SECONDS", 0.0)
    monkeypatch.setattr(os, "fsync", lambda handle: through.set())
    journal = Journal(tmp_path)
    journal.put(KEYS[0], SAID[KEYS[0]])
    assert through.wait(600)
    journal.close()


@pytest.mark.parametrize(("code", "reported"), [(errno.EIO, True), (errno.EINVAL, False)])
def test_a_disk_that_loses_what_it_took_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, reported: bool
) -> None:
    def fsync(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    journal = Journal(tmp_path)
    journal.put(KEYS[0], SAID[KEYS[0]])
    monkeypatch.setattr(os, "fsync", fsync)
    if reported:
        with pytest.raises(JournalError, match="Input/output error"):
            journal.close()
    journal.close()


def test_a_file_system_without_locks_is_said_in_one_line_and_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with RunFolder(tmp_path, {"a": 1}) as folder:
        journal = Journal(folder.journal)
        journal.put(KEYS[0], SAID[KEYS[0]])
        journal.close()
        folder.finish({}, "tag", {})
    assert [record.getMessage() for record in caplog.records] == [
        f"reasonrank: {tmp_path} cannot be locked on this file system: make sure that no other process writes there"
    ]
    assert Journal(tmp_path / "journal").get(KEYS[0]) is not None


def test_a_folder_where_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "journal").write_text("")
    with pytest.raises(InputError, match="cannot be used as output folder"):
        RunFolder(tmp_path / "out", {}).__enter__()
