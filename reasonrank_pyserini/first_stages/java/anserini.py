"""Access to Anserini's classes: opening an index, passing strings, reading exceptions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...errors import InputError
from . import check_process, ensure_java
from .output import java_output

_CLAUSES = 1 << 30


def open_index(folder: Path) -> tuple[Any, Any]:
    """Anserini's searcher and Lucene's reader of an index, that accept queries of any length."""
    ensure_java()
    from jnius import JavaException, autoclass

    lucene = autoclass("org.apache.lucene.search.IndexSearcher")
    lucene.setMaxClauseCount(max(_CLAUSES, lucene.getMaxClauseCount()))
    path = str(folder.absolute())  # Java keeps the working folder that it was started in
    try:
        searcher = autoclass("io.anserini.search.SimpleSearcher")(path)
        return searcher, autoclass("io.anserini.index.IndexReaderUtils").getReader(path)
    except JavaException as error:
        said = java_output().take()
        raise InputError(
            f"{folder} cannot be opened as a Lucene index: {java_reason(error, said)}"
        ) from error


def java_text(text: str) -> str:
    """The text as Java can represent it: surrogate pairs joined, lone surrogates as U+FFFD."""
    try:
        text.encode("utf-16-le")
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def java_list(texts: Iterable[str]) -> Any:
    """A java.util.ArrayList of the texts; InputError in a forked process (`check_process`)."""
    check_process()
    from jnius import autoclass

    found = autoclass("java.util.ArrayList")()
    for text in texts:
        found.add(java_text(text))
    return found


def java_reason(error: Any, said: str = "") -> str:
    """Why Java failed, in one line; `said` is its output."""
    name = str(getattr(error, "classname", None) or "").rpartition(".")[2]
    message = " ".join(str(getattr(error, "innermessage", None) or "").split())
    causes = [
        line.strip() for line in getattr(error, "stacktrace", None) or () if line.startswith("Caused by")
    ]
    reason = "; ".join(part for part in (message or name or str(error), *causes[-1:]) if part)
    printed = next((line.strip() for line in said.splitlines() if line.strip()), "")
    return f"{reason} (Java's output: {printed})"[:400] if printed else reason[:400]
