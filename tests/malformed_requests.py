"""Requests that a rerank server has to refuse, made from a seed; as a program it sends them to a running server.

    python tests/malformed_requests.py URL [--requests 10000] [--seed 0] [--token T]

Each is wrong by construction: one fault in a request that is right without it. `fault` says what is wrong with an
answer, which has to be a 4xx with the four error keys and one line of clear text in them, without anything of the
server's inside or of the request's texts. The program prints the counts by kind, and ends with status 1 where an
answer is at fault.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import string
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

CANARY = "Xq7canary"
"""It stands in every query and document, and in no answer."""
ERROR_KEYS = ("message", "detail", "error", "error_type")
INSIDE = re.compile(
    r"Traceback|\.py\b|site-packages|/(home|usr|work|tmp|opt|lib)/|object at 0x|<class|\b[A-Z]\w+(Error|Exception)\b"
    r"|starlette|uvicorn|pydantic|reasonrank_pyserini|\bstr\b|\bdict\b|\bNoneType\b",
)
"""What would show the server's inside: paths, modules, class names."""
PATHS = ("/v2/rerank", "/v1/rerank", "/rerank")
JSON = "application/json"
MOST_DOCUMENTS, MOST_BYTES = 1000, 8 * 2**20
"""The server's limits as it is started without options."""
NOT_TEXT = (None, 0, 1.5, True, [], ["x"], {})
NOT_A_LIST = (None, 0, "x", True, {}, {"0": "x"})
NOT_A_DOCUMENT = (None, 0, -1.5, False, [], ["x"], {}, {"text": 1}, {"text": None}, {"name": "x"})
NOT_A_FLAG = (0, 1, "yes", "", [], [True], {})
NOT_A_COUNT = (-1, -5, 1.5, "3", True, False, [], {}, [1])
NOT_SECONDS = (0, -1, -0.5, "9", True, False, [], {}, -1e308)
NOT_NAMES = (0, "text", True, {}, [1], [None], ["text", 2])
NOT_AN_OBJECT = ("null", "1", '"text"', "[]", "true", '[{"query": "x"}]')


@dataclass(frozen=True, slots=True)
class Malformed:
    """A request with one fault; `kind` names it. `chunked`: sent without its length."""

    kind: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": JSON})
    chunked: bool = False


def requests(seed: int) -> Iterator[Malformed]:
    """Without end, all kinds in turn."""
    chance = random.Random(seed)
    for turn in itertools.count():
        for kind, make in KINDS.items():
            if kind not in LARGE or turn % LARGE_EVERY == 0:
                yield make(kind, chance)


def fault(status: int, text: str) -> str | None:
    """What is wrong with an answer to it, None where nothing is."""
    if not 400 <= status < 500:
        return f"status {status}"
    try:
        answer = json.loads(text)
    except ValueError:
        return "no JSON"
    if not isinstance(answer, dict) or not all(isinstance(answer.get(key), str) for key in ERROR_KEYS):
        return "error keys"
    said = answer["message"]
    if said != answer["detail"] or said != answer["error"]:
        return "different messages"
    if not 10 <= len(said) <= 300 or "\n" in said or not said.isprintable():
        return f"unclear message: {said[:80]!r}"
    if CANARY in text:
        return "it quotes the request"
    if found := INSIDE.search(text):
        return f"it shows {found[0]!r}"
    return None


def _right(chance: random.Random, path: str) -> dict[str, Any]:
    name = "texts" if path == "/rerank" and chance.random() < 0.5 else "documents"
    documents: list[Any] = [_words(chance) for _ in range(chance.randint(1, 6))]
    return {"query": _words(chance), name: documents}


def _words(chance: random.Random) -> str:
    letters = string.ascii_letters + string.digits + ' .,\n\t"\\{}[]é漢🦋'
    return CANARY + "".join(chance.choices(letters, k=chance.randint(0, 40)))


def _documents_key(fields: dict[str, Any]) -> str:
    return "texts" if "texts" in fields else "documents"


def _changed(
    change: Callable[[random.Random, dict[str, Any]], None],
) -> Callable[[str, random.Random], Malformed]:
    """Makes requests of which one field is wrong."""

    def make(kind: str, chance: random.Random) -> Malformed:
        path = chance.choice(PATHS)
        fields = _right(chance, path)
        change(chance, fields)
        return Malformed(kind, path, json.dumps(fields).encode())

    return make


def _query(chance: random.Random, fields: dict[str, Any]) -> None:
    fields["query"] = chance.choice((*NOT_TEXT, "", " ", "\n\t "))
    if chance.random() < 0.2:
        del fields["query"]


def _list(chance: random.Random, fields: dict[str, Any]) -> None:
    fields[_documents_key(fields)] = chance.choice(NOT_A_LIST)


def _item(chance: random.Random, fields: dict[str, Any]) -> None:
    items = fields[_documents_key(fields)]
    items.insert(chance.randint(0, len(items)), chance.choice(NOT_A_DOCUMENT))


def _wrong(name: str, values: tuple[Any, ...]) -> Callable[[random.Random, dict[str, Any]], None]:
    """A field of the requests that have `documents`."""

    def change(chance: random.Random, fields: dict[str, Any]) -> None:
        fields["documents"] = fields.pop(_documents_key(fields))
        fields[name] = chance.choice(values)

    return change


def _seconds(chance: random.Random, fields: dict[str, Any]) -> None:
    fields["deadline"] = chance.choice(NOT_SECONDS)


def _too_many(chance: random.Random, fields: dict[str, Any]) -> None:
    fields[_documents_key(fields)] = [CANARY] * (MOST_DOCUMENTS + chance.randint(1, 50))


def _bytes(change: Callable[[random.Random, bytes], bytes]) -> Callable[[str, random.Random], Malformed]:
    """Makes requests whose body is not JSON."""

    def make(kind: str, chance: random.Random) -> Malformed:
        path = chance.choice(PATHS)
        return Malformed(kind, path, change(chance, json.dumps(_right(chance, path)).encode()))

    return make


def _deep(chance: random.Random, body: bytes) -> bytes:
    depth = chance.choice((2_000, 50_000, 100_000))
    return body[:-1] + b', "more": ' + b"[" * depth + b"]" * depth + b"}"


def _half_a_character(chance: random.Random, body: bytes) -> bytes:
    half = chance.choice((b"\\ud800", b"\\udfff", b"\\uDBFFx", b"\\udc00\\ud800"))
    return body.replace(CANARY.encode(), CANARY.encode() + half, 1)


def _number(chance: random.Random, body: bytes) -> bytes:
    number = chance.choice(
        (b"NaN", b"Infinity", b"-Infinity", b"1" * 5_000, b"1e999", b"01", b"0x10", b"+1", b".5")
    )
    return body[:-1] + b', "deadline": ' + number + b"}"


def _content_type(kind: str, chance: random.Random) -> Malformed:
    path = chance.choice(PATHS)
    body = json.dumps(_right(chance, path)).encode()
    types = (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "json",
        "*/*",
        "",
    )
    return Malformed(kind, path, body, {"Content-Type": chance.choice(types)})


def _too_long(kind: str, chance: random.Random) -> Malformed:
    size = MOST_BYTES + chance.randint(1, 10_000)
    body = b'{"query": "' + b"x" * size + b'", "documents": ["x"]}'
    return Malformed(kind, chance.choice(PATHS), body, chunked=chance.random() < 0.5)


def _deadline_header(kind: str, chance: random.Random) -> Malformed:
    path = chance.choice(PATHS)
    value = chance.choice(("0", "-1", "soon", "nan", "inf", "", "1,5", "1e999"))
    headers = {"Content-Type": JSON, "X-Reasonrank-Deadline": value}
    return Malformed(kind, path, json.dumps(_right(chance, path)).encode(), headers)


KINDS: dict[str, Callable[[str, random.Random], Malformed]] = {
    "query": _changed(_query),
    "list of documents": _changed(_list),
    "document": _changed(_item),
    "top_n": _changed(_wrong("top_n", NOT_A_COUNT)),
    "return_documents": _changed(_wrong("return_documents", NOT_A_FLAG)),
    "reasoning": _changed(_wrong("reasoning", NOT_A_FLAG)),
    "rank_fields": _changed(_wrong("rank_fields", NOT_NAMES)),
    "deadline": _changed(_seconds),
    "too many documents": _changed(_too_many),
    "half a body": _bytes(lambda chance, body: body[: chance.randrange(len(body))]),
    "more than a body": _bytes(lambda chance, body: body + chance.choice((b"x", b"{}", body, b"\x00", b","))),
    "random bytes": _bytes(lambda chance, body: b"\xff" + chance.randbytes(chance.randint(0, 60))),
    "not UTF-8": _bytes(lambda chance, body: body.replace(CANARY.encode(), b"\xff" + CANARY.encode(), 1)),
    "other encoding": _bytes(lambda chance, body: body.decode().encode(chance.choice(("utf-16", "utf-32")))),
    "half a character": _bytes(_half_a_character),
    "number": _bytes(_number),
    "deep": _bytes(_deep),
    "not an object": _bytes(lambda chance, body: chance.choice(NOT_AN_OBJECT).encode()),
    "content type": _content_type,
    "deadline header": _deadline_header,
    "too long": _too_long,
}
LARGE, LARGE_EVERY = ("too long",), 20
"""Kinds whose requests are megabytes, made in every 20th turn only."""


def send(url: str, count: int, seed: int, token: str = "") -> tuple[Counter[str], list[str]]:
    """Sends that many; the kinds sent, and what was wrong with answers: none of them should be."""
    import httpx

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    sent: Counter[str] = Counter()
    faults: list[str] = []
    with httpx.Client(base_url=url, headers=headers, timeout=600) as client:
        for request in requests(seed):
            if sent.total() == count:
                return sent, faults
            content = iter([request.body]) if request.chunked else request.body
            reply = client.post(request.path, content=content, headers=request.headers)
            sent[request.kind] += 1
            if (found := fault(reply.status_code, reply.text)) is not None:
                faults.append(
                    f"{request.kind}: {found}: {request.path} {request.body[:300]!r} -> {reply.text[:200]}"
                )
    raise AssertionError


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--token", default="")
    given = parser.parse_args()
    sent, faults = send(given.url, given.requests, given.seed, given.token)
    for kind, count in sent.most_common():
        print(f"{count:6} {kind}")
    for line in faults[:50]:
        print(line)
    print(f"{sent.total()} requests, {len(faults)} answers at fault")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
