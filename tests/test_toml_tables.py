from __future__ import annotations

from pathlib import Path

import pytest

from reasonrank_pyserini.errors import FileFormatError, InputError, UnknownNameError
from reasonrank_pyserini.files.toml_tables import (
    number,
    one_of,
    parse_toml,
    parse_value,
    read_toml,
    text,
    whole,
)

RULES = {"size": whole(1), "rate": number(0, 1, above=True), "kind": one_of("cat", "dog"), "name": text}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[a]\nsize = 1\n[b]\nsize = 0\n", "f.toml:4: b: size is 0: it must be a whole number from 1 up"),
        (
            "size = 2\n[b]\nsise = 0\n",
            "f.toml:3: b: unknown key 'sise': did you mean 'size'?; known: size, rate",
        ),
        ("[b]\nrate = 0\n", "f.toml:2: b: rate is 0: it must be a number from 0 to 1, not 0"),
        ("[b]\nrate = inf\n", "f.toml:2: b: rate is inf"),
        (
            "[b]\nkind = 'dig'\n",
            "f.toml:2: b: kind is 'dig': it must be one of cat, dog: did you mean 'dog'?",
        ),
        ("[a]\n[b]\nname = 'x'\n", "f.toml:2: b: size is missing"),
        ("b = 3\n", "f.toml:1: b is 3: it must be a table"),
        ("b = { size = 0 }\n", "f.toml:1: b: size is 0"),
        ('[b]\n"size" = true\n', "f.toml:2: b: size is True: it must be a whole number"),
    ],
)
def test_an_error_names_the_line_of_the_key_in_its_own_table(given: str, message: str) -> None:
    file = parse_toml(given, "f.toml")
    with pytest.raises(FileFormatError) as caught:
        file.check(file.values["b"], RULES, within="b", needs=["size"])
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_table_that_fits_is_returned() -> None:
    file = parse_toml("size = 2\nrate = 1\nkind = 'cat'\n", "f.toml")
    assert file.check(file.values, RULES, needs=["size"]) == {"size": 2, "rate": 1, "kind": "cat"}


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the recipe '.*none\.toml' cannot be read: No such file"):
        read_toml(tmp_path / "none.toml", "recipe")
    (tmp_path / "bad.toml").write_text("a = 1\nb == 2\n")
    with pytest.raises(FileFormatError, match=r"bad\.toml:2: not TOML"):
        read_toml(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("given", "value"), [("5e-6", 5e-6), ("8", 8), ("true", True), ("full", "full"), ("", "")]
)
def test_a_value_is_toml_or_else_a_text(given: str, value: object) -> None:
    found = parse_value(given)
    assert (found, type(found)) == (value, type(value))


def test_numbers_and_names_that_are_too_long_give_one_short_line() -> None:
    digits = "9" * 5000
    with pytest.raises(FileFormatError, match="not TOML") as found:
        parse_toml(f"window = {digits}", "mine.toml")
    assert len(str(found.value)) < 1200
    assert parse_value(digits) == digits
    assert len(str(UnknownNameError("recipe", "a" * 5000, ["7b"]))) < 400
    with pytest.raises(FileFormatError) as found:
        parse_toml("window = 0x" + "f" * 5000, "mine.toml").check({"window": 16**5000}, {"window": whole(1)})
    assert len(str(found.value)) < 400
