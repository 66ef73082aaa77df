"""The TOML of a benchmark's conditions: what fits, and what is said of what does not."""

from __future__ import annotations

import pytest

from reasonrank_pyserini.errors import FileFormatError
from reasonrank_pyserini.reproduce.conditions.condition_loading import parse_table

GOOD = """title = "T"
own_order = ["b", "a"]
[tasks]
a = { label = "A" }
b = { label = "B", dataset = "x/b" }
[first_stages.f]
label = "F"
repository = "o/r"
commit = "1111111111111111111111111111111111111111"
[first_stages.f.upstream]
a = { path = "p", sha256 = "%s", size = 1 }
[conditions.c]
kind = "first-stage"
label = "C"
first_stage = "f"
source = "here"
passage_tokens = 9
published = [1, 2.5]
""" % ("0" * 64)


def test_a_file_that_fits() -> None:
    found = parse_table("t", GOOD, "t.toml")
    assert found.conditions["c"].published == {"a": 1.0, "b": 2.5}
    assert found.benchmark.datasets == {"a": None, "b": "x/b"}
    assert found.benchmark.own_order == ("b", "a")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('label = "C"', 'lable = "C"', r":14: c: unknown key 'lable': did you mean 'label'"),
        ("published = [1, 2.5]", "published = [1]", "c: published holds 1 numbers, there are 2 tasks"),
        (
            "published = [1, 2.5]",
            "published = [1, 250]",
            r":18: c: published is \[1, 250\]: it must be a list",
        ),
        ('kind = "first-stage"', 'kind = "reranker"', "a reranker, and nothing else, has a model"),
        ('kind = "first-stage"', 'kind = "other"', r":13: c: kind is 'other': it must be one of"),
        ('first_stage = "f"', 'first_stage = "g"', "condition c: unknown first stage 'g'"),
        ('source = "here"\n', "", r":12: c: source is missing"),
        ('["b", "a"]', '["b"]', r":2: own_order must hold every task once"),
        ("size = 1", "size = 0", "a: size is 0: it must be a whole number from 1 up"),
        ("0" * 64, "0" * 63, "sha256 .* 64 hexadecimal digits"),
        ("1" * 40, "1" * 41, "commit .* 40 hexadecimal digits"),
        ('sha256 = "%s"' % ("0" * 64), 'git_blob = "%s"' % ("0" * 64), "git_blob .* 40 hexadecimal digits"),
        ('sha256 = "%s", ' % ("0" * 64), "", r":11: f: the run of a needs sha256 or git_blob"),
        ('repository = "o/r"\n', "", r":6: f: repository is missing"),
        ('a = { path = "p"', 'z = { path = "p"', "f: unknown task 'z'"),
        ("passage_tokens = 9", "passage_tokens = 9\nstep = 3", "step 3 is larger than window 0"),
        ('title = "T"', "title = T", ":1: not TOML"),
        ("[tasks]", "[tasks]\nq = 1", "q is 1: it must be a table"),
    ],
)
def test_files_that_do_not_fit(old: str, new: str, problem: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(FileFormatError, match=problem) as caught:
        parse_table("t", GOOD.replace(old, new), "t.toml")
    assert str(caught.value).startswith("t.toml")
    assert "\n" not in str(caught.value)
