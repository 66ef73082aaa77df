"""TOML files read strictly: every key known, every value of the right kind, every error with its line."""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import FileFormatError, InputError, one_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Rule = Callable[[Any], str | None]
"""What a value must be, in words, when it does not fit; None when it fits."""
MakeError = Callable[[str, str, str], InputError]
"""The error for (key, problem, name of the table that holds the key)."""
T = TypeVar("T", bound="DataclassInstance")
_HIGHEST = 2**53


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A parsed TOML text; `path` is the name that errors give it."""

    path: str
    text: str
    values: Mapping[str, Any]

    def check(
        self, table: Any, rules: Mapping[str, Rule], *, within: str = "", needs: Iterable[str] = ()
    ) -> dict[str, Any]:
        """`check_table` with this file's name and line in the error."""
        return check_table(table, rules, self.error, within=within, needs=needs)

    def error(self, key: str, problem: str, within: str = "") -> FileFormatError:
        """The error for a key, with its line: the first one after the head of the table `within`."""
        head = self._place(within, 0) if within else None
        place = self._place(key, head or 0)
        place = head if place is None else place
        return FileFormatError(
            self.path, None if place is None else 1 + self.text.count("\n", 0, place), problem
        )

    def _place(self, key: str, start: int) -> int | None:
        name = rf"[^\n=]*(?<![\w-]){re.escape(key)}(?![\w-])"
        pattern = re.compile(rf"^[ \t]*(\[{name}[^\n]*\]|{name}[\"']?[ \t]*=)", re.MULTILINE)
        found = pattern.search(self.text, start) if key else None
        return found and found.start()


def check_table(
    table: Any, rules: Mapping[str, Rule], error: MakeError, *, within: str = "", needs: Iterable[str] = ()
) -> dict[str, Any]:
    """The table, when every key has a rule that its value fits and all of `needs` are there.

    `within` is the table's own name, empty for a whole file. Raises `error(...)`.
    """
    start = within and f"{within}: "
    if not isinstance(table, dict):
        raise error(within, f"{within} is {table!r}: it must be a table", "")
    for key, value in table.items():
        if key not in rules:
            known = f"known: {', '.join(rules)}"
            raise error(
                key, f"{start}unknown key {one_line(repr(key), 100)}{nearest(key, rules)}; {known}", within
            )
        if (expected := rules[key](value)) is not None:
            raise error(key, f"{start}{key} is {one_line(_shown(value), 100)}: it must be {expected}", within)
    for key in needs:
        if key not in table:
            raise error(within, f"{start}{key} is missing", "")
    return dict(table)


def _shown(value: Any) -> str:
    """The value as Python writes it; an integer of thousands of digits cannot be written."""
    try:
        return repr(value)
    except ValueError:
        return "a number that is too long"


def replaced(record: T, values: Mapping[str, Any]) -> T:
    """The dataclass with those values; an integer becomes a float where the record holds one."""
    fitted = {
        key: float(value) if type(value) is int and isinstance(getattr(record, key), float) else value
        for key, value in values.items()
    }
    return replace(record, **fitted)


def parse_toml(text: str, path: str | Path) -> TomlFile:
    """The TOML of a text that came from `path`; FileFormatError when it is none."""
    try:
        return TomlFile(str(path), text, tomllib.loads(text))
    except (ValueError, RecursionError) as error:  # ValueError alone: an integer of thousands of digits
        found = re.search(r"at line (\d+)", str(error))
        raise FileFormatError(path, int(found[1]) if found else None, f"not TOML: {error}") from error


def read_toml(path: str | Path, kind: str = "file") -> TomlFile:
    """The TOML of a user's file; InputError, which calls it `kind`, when it cannot be read."""
    path = Path(os.path.expanduser(path))
    try:
        return parse_toml(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"the {kind} {str(path)!r} cannot be read: {reason}") from error


def shipped_toml(package: str, name: str) -> TomlFile:
    """The file `name`.toml that lies in one of the package's folders."""
    file = resources.files(package) / f"{name}.toml"
    return parse_toml(file.read_text(encoding="utf-8"), file.name)


def shipped_names(package: str) -> tuple[str, ...]:
    """The names of the TOML files in one of the package's folders, sorted."""
    names = (file.name for file in resources.files(package).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def parse_value(text: str) -> Any:
    """The TOML value that a text is, such as 5e-6 or true; the text itself when it is none."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except (ValueError, RecursionError):
        return text


def nearest(name: str, known: Iterable[str]) -> str:
    """`: did you mean 'window'?` for a name close to a known one, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f": did you mean {close[0]!r}?" if close else ""


def text(value: Any) -> str | None:
    """Rule: a string that is not empty."""
    return None if isinstance(value, str) and value.strip() else "a text in quotes"


def text_or_empty(value: Any) -> str | None:
    """Rule: a string."""
    return None if isinstance(value, str) else "a text in quotes"


def table(value: Any) -> str | None:
    """Rule: a table."""
    return None if isinstance(value, dict) else "a table"


def truth(value: Any) -> str | None:
    """Rule: a boolean."""
    return None if isinstance(value, bool) else "true or false"


def one_of(*names: str) -> Rule:
    """Rule: one of these strings."""

    def rule(value: Any) -> str | None:
        if value in names:
            return None
        hint = nearest(value, names) if isinstance(value, str) else ""
        return f"one of {', '.join(names)}{hint}"

    return rule


def whole(low: int, high: int = _HIGHEST) -> Rule:
    """Rule: an integer in that range."""
    words = f"a whole number from {low}" + (f" to {high}" if high < _HIGHEST else " up")
    return lambda value: None if type(value) is int and low <= value <= high else words


def number(low: float, high: float = math.inf, *, above: bool = False, below: bool = False) -> Rule:
    """Rule: a finite number in that range; `above` and `below`: not the bound itself."""
    words = f"a number from {low:g}" + (f" to {high:g}" if high < math.inf else " up")
    words += f", not {low:g}" if above else ""
    words += f", not {high:g}" if below else ""

    def rule(value: Any) -> str | None:
        fits = type(value) in (int, float) and math.isfinite(value) and low <= value <= high
        return None if fits and not (above and value == low) and not (below and value == high) else words

    return rule


def list_of(rule: Rule, words: str) -> Rule:
    """Rule: a list whose every item fits; `words` describe it."""
    return lambda value: None if isinstance(value, list) and not any(map(rule, value)) else words
