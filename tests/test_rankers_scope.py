"""Which recorded rows of other rerankers are not compared, by rule, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rankers_kit import rows

Row = dict[str, Any]
NOT_COMPARED: list[tuple[str, str, Callable[[Row], bool], str]] = [
    ("rank1", "prompts", lambda row: row["kind"] == "rethink", "a step that stops the program with a NameError"),
    ("rank-r1", "prompts", lambda row: bool(row.get("raises")), "too many passages, or no label in the file"),
    ("rank-k", "parses", lambda row: bool(row["raises"]), "no answer at all stops the program"),
    ("diver-grouprank", "scores", lambda row: row["kind"] == "epochs" and len(row["qids"]) > 1,
     "one stream of random numbers over all queries"),
    ("diver-grouprank", "scores", lambda row: bool(row.get("raises")), "an excluded document stops the program"),
    ("diver-grouprank", "scores", lambda row: row["kind"] == "merge" and not alike(row),
     "a document missing from one list counts as raw score 0, equal scores as 0"),
    ("rearank", "scores", lambda row: row["kind"] == "windows" and len(row["n"]) > 1 and row["batch_size"] > 1,
     "the first list of a batch decides the windows of all"),
    ("rearank", "scores", lambda row: row["kind"] in ("run-file", "read"), "the program's own files"),
    ("rank-k", "scores", lambda row: row["kind"] == "load", "the program's own reading of runs"),
    ("retro-star", "scores", lambda row: row["kind"] == "two-pass", "a strategy: test_authors_strategies"),
    ("rank-r1", "scores", lambda row: row["kind"] == "sort" and row["method"] != "heapsort", "not offered"),
    ("rank-r1", "parses", lambda row: row["seed"] != 929, "the program seeds with 929; the reading is compared"),
]  # fmt: skip
FILES = [
    (ranker, kind)
    for ranker in (
        "rank1",
        "diver-grouprank",
        "erank",
        "retro-star",
        "rank-k",
        "rearank",
        "rank-r1",
        "insertrank",
    )
    for kind in ("prompts", "parses", "scores")
    if (ranker, kind) != ("erank", "parses")
]
KINDS = {
    ("rank1", "prompts"): {"prompt", "rethink"},
    ("rank1", "scores"): {"requests"},
    ("diver-grouprank", "prompts"): {"system", "groups"},
    ("diver-grouprank", "scores"): {"epochs", "avg", "fusion", "merge"},
    ("erank", "scores"): {"hybrid", "formula"},
    ("retro-star", "scores"): {"samples", "two-pass"},
    ("rank-k", "scores"): {"windows", "combine", "load"},
    ("rearank", "scores"): {"windows", "run-file", "read"},
    ("rank-r1", "prompts"): {"prompt", "truncate"},
    ("rank-r1", "scores"): {"sort", "hybrid"},
    ("insertrank", "scores"): {"windows"},
}
"""The kinds of rows that the tests know, where a file has kinds."""


def alike(row: Row) -> bool:
    lists = list(zip(row["bm25"].values(), row["dense"].values(), strict=True))
    return all(
        one.keys() == other.keys() and len({*one.values()}) > 1 < len({*other.values()})
        for one, other in lists
    )


@pytest.mark.parametrize(("ranker", "kind"), FILES)
def test_rows_are_compared_and_every_kind_is_known(ranker: str, kind: str, shared: Path) -> None:
    found = rows(shared, ranker, kind)
    assert {row.get("kind") for row in found} <= KINDS.get((ranker, kind), {None})
    rules = [rule for name, of, rule, _ in NOT_COMPARED if (name, of) == (ranker, kind)]
    left_out = [row["id"] for row in found if any(rule(row) for rule in rules)]
    assert not found or len(left_out) < len(found), left_out
