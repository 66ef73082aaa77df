"""Topics by Pyserini's key, with and without a network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from javarun import run
from lucene_kit import cache

from reasonrank_pyserini.errors import UnknownNameError
from reasonrank_pyserini.first_stages.pyserini_topics import pyserini_topics, topic_keys

__all__ = ["cache"]  # fixture

TOPICS = """
from reasonrank_pyserini.first_stages.pyserini_topics import pyserini_topics
from reasonrank_pyserini.errors import InputError
try:
    print([(query.id, query.text) for query in pyserini_topics("dl20")])
except InputError as error:
    print(error)
"""


def test_topics_by_pyserinis_key(tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "pyserini" / "topics-and-qrels"
    folder.mkdir(parents=True)
    unreachable = {
        "JAVA_TOOL_OPTIONS": f"-Duser.home={tmp_path}",
        "https_proxy": "http://127.0.0.1:9",
        "HOME": str(tmp_path),
    }
    done = run(TOPICS, **unreachable)
    assert done.stdout.startswith("topics 'dl20' cannot be read: ")
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    (folder / "topics.dl20.txt").write_text(
        "1030303\twho is aziz hashim\n23849\tare naturalization records public\n"
    )
    done = run(TOPICS, **unreachable)
    assert (
        done.stdout == "[('23849', 'are naturalization records public'), ('1030303', 'who is aziz hashim')]\n"
    )
    assert done.stderr == ""


def test_unknown_topics_name_the_nearest() -> None:
    assert {"dl20", "bright-biology"} <= set(topic_keys())
    with pytest.raises(UnknownNameError, match="did you mean 'bright-biology'"):
        pyserini_topics("bright-bology")


def test_the_environment_is_left_as_it_was() -> None:
    assert os.environ.get("OPENAI_API_KEY") != "unset"
