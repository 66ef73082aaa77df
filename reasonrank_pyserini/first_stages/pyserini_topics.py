"""Topics by Pyserini key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError, UnknownNameError, one_line
from ..types import Query
from .java import import_pyserini
from .java.anserini import java_reason
from .java.output import java_output

_FIELDS = ("title", "text", "query")
_FILE = "or give a topics file"


def pyserini_topics(key: str) -> list[Query]:
    """The topics that Pyserini knows as `key`, such as `dl20` or `bright-biology`, numeric ids first.

    Pyserini downloads them on first use. UnknownNameError for a key that it does not have, InputError for
    topics that cannot be downloaded or have no text.
    """
    search = import_pyserini("pyserini.search")
    from jnius import JavaException

    known = topic_keys()
    if known and key not in known:
        raise UnknownNameError("topics", key, known, _FILE)
    try:
        records: Mapping[Any, Mapping[str, str]] = search.get_topics(key)
    except (JavaException, OSError) as error:
        said = java_output().take()
        reason = java_reason(error, said) if isinstance(error, JavaException) else one_line(error)
        raise InputError(f"topics {key!r} cannot be read: {reason}; check the network, {_FILE}") from error
    except ValueError as error:
        raise UnknownNameError("topics", key, known, _FILE) from error
    return [Query(str(id), _text(key, id, records[id])) for id in sorted(records, key=_order)]


def topic_keys() -> tuple[str, ...]:
    """The keys of Pyserini's topics, sorted; empty when this version would have to download the list."""
    known = getattr(import_pyserini("pyserini.search._base"), "topics_mapping", ())
    return tuple(sorted(known))


def _text(key: str, id: Any, record: Mapping[str, str]) -> str:
    text = next((record[name] for name in _FIELDS if record.get(name) is not None), None)
    if text is None:
        raise InputError(
            f"topics {key!r}: topic {id} has no text, only {', '.join(sorted(record)) or 'nothing'}"
        )
    return str(text)


def _order(id: Any) -> tuple[bool, int, str]:
    return (False, id, "") if isinstance(id, int) else (True, 0, str(id))
