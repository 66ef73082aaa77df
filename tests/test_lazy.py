from __future__ import annotations

import pytest

from reasonrank_pyserini.errors import InputError, MissingPackageError, UnknownNameError
from reasonrank_pyserini.lazy import require, resolve

TABLE = {"join": "os.path:join", "split": "os.path:split"}


def test_a_name_and_a_reference_of_the_users_own() -> None:
    import os.path

    assert resolve("thing", "join", TABLE) is os.path.join
    assert resolve("thing", "os.path:basename", TABLE) is os.path.basename


@pytest.mark.parametrize("name", ["jion", "", ":x", "..a:b", "os.path:", "a b:c"])
def test_what_is_neither_says_what_exists(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown thing .*known: join, split .*module:attribute"):
        resolve("thing", name, TABLE)


@pytest.mark.parametrize(
    ("name", "what"), [("no_such_module:x", "no module"), ("os.path:nothing", "has no 'nothing'")]
)
def test_a_reference_that_does_not_import(name: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        resolve("thing", name, TABLE)


def test_a_missing_package_says_what_to_type() -> None:
    with pytest.raises(
        MissingPackageError, match=r"this needs .*'no_such_package'.*pip install no_such_package"
    ):
        require("no_such_package.part", "this")
