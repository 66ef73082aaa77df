"""Failures inside ir_datasets as one line that says what to do."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError, ReasonRankError

REPEATS = ("download error", "Download failed", "If you have a local copy", "Opening ", "[error]")
SMALL_FILE = 5_000_000
"""Bytes; ir_datasets looks for a local copy by checksum only for files of this size or larger."""
FAILURES = (OSError, RuntimeError, ValueError, LookupError, EOFError, ImportError, AssertionError, zlib.error)


def ir_datasets() -> Any:
    """The imported package; importing it creates its home folder."""
    try:
        import ir_datasets
    except OSError as error:
        problem = error.strerror or str(error)
        raise InputError(
            f"ir_datasets cannot make its folder ({problem}): name one in IR_DATASETS_HOME"
        ) from error
    logger = logging.getLogger("ir_datasets")
    if not any(isinstance(known, _Repeats) for known in logger.filters):
        logger.addFilter(_Repeats())
    return ir_datasets


class _Repeats(logging.Filter):
    """Drops log lines that repeat our own error message, and those about opening a file."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(REPEATS)


@contextmanager
def reading(name: str, what: str, *, pass_key_errors: bool = False) -> Iterator[None]:
    """Turns ir_datasets' failures inside the block into InputErrors that say what failed and where to put the file."""
    try:
        yield
    except ReasonRankError:
        raise
    except FAILURES as error:
        if pass_key_errors and isinstance(error, KeyError):
            raise
        raise InputError(f"dataset {name}: the {what} could not be loaded: {_advice(name, error)}") from error


def _advice(name: str, error: BaseException) -> str:
    util = ir_datasets().util
    home = util.home_path()
    if isinstance(error, ImportError):
        return f"{_short(error)}: pip install {error.name or 'the package'}"
    if isinstance(error, FileNotFoundError) and error.filename is None:
        page = f"https://ir-datasets.com/{name.split('/')[0]}.html#{name}"
        return f"this file must be requested from its owner: save it as {error} (see {page})"
    url = _failed_url(error)
    if url is None:
        return f"{_short(error)} (ir_datasets keeps its files in {home})"
    place = _place(url, util.DownloadConfig.contents(), home)
    by_hand = f", or download {url} and save it as {place}" if place else f" ({url} is needed)"
    return f"{_short(error)}: try again with a network connection{by_hand}"


def _short(error: BaseException) -> str:
    """The kind of failure and, for HTTP answers, the status."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP status {status}"
    if _failed_url(error) is not None:
        return f"download failed ({type(error).__name__})"
    first = (str(error).splitlines() or [""])[0][:160]
    return f"{type(error).__name__}{first and f': {first}'}"


def _failed_url(error: BaseException) -> str | None:
    """The URL of a failed request, or of the first mirror when all failed; None for other errors."""
    for argument in error.args[1:2]:
        if isinstance(argument, list):
            return next((str(mirror.url) for mirror, _ in argument if hasattr(mirror, "url")), None)
    url = getattr(getattr(error, "request", None), "url", None)
    return None if url is None else str(url)


def _place(url: str, contents: Mapping[str, Any], home: Path) -> Path | None:
    """The path where ir_datasets looks for a file before it downloads that URL; None when there is none."""
    for family, entries in contents.items():
        for entry in entries.values():
            if isinstance(entry, dict) and entry.get("url") == url:
                return _cached_at(entry, family, home)
    return None


def _cached_at(entry: Mapping[str, Any], family: str, home: Path) -> Path | None:
    if "cache_path" in entry:
        return home / family / str(entry["cache_path"])
    large = entry.get("size_hint", SMALL_FILE) >= SMALL_FILE and not entry.get("skip_local")
    return home / "downloads" / str(entry["expected_md5"]) if large and "expected_md5" in entry else None
