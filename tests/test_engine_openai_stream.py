"""Reading a completion's body: the same answer however the bytes arrive, and nothing but it."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.engines.openai.http_error_body import BrokenAnswerError
from reasonrank_pyserini.engines.openai.http_stream import AnswerReader

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["choices", "delta", "message", "content", "text", "finish_reason", "index", "usage", "error", "code"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def read(body: bytes, cuts: list[int] | None = None) -> AnswerReader:
    reader = AnswerReader()
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts or ()), len(body)]
    for start, end in pairwise(edges):
        reader.feed(body[start:end])
    reader.close()
    return reader


def chunk(finish: str | None = None, **delta: Any) -> str:
    return json.dumps(
        {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}, ensure_ascii=False
    )


@given(
    st.lists(TEXT, max_size=4),
    st.lists(TEXT, max_size=4),
    st.lists(st.integers(0, 10_000), max_size=12),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_pieces_may_end_anywhere(
    reasoning: list[str], content: list[str], cuts: list[int], newline: str
) -> None:
    content = [*content, "."]
    lines = [chunk(reasoning=piece) for piece in reasoning] + [chunk(content=piece) for piece in content]
    lines += [
        chunk("stop"),
        '{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}',
        "[DONE]",
    ]
    events = [f"data: {line}" for line in lines]
    body = (newline * 2).join([": ping", "event: message" + newline + events[0], *events[1:], ""]).encode()
    reader = read(body, cuts)
    assert "".join(reader.content) == "".join(content)
    assert "".join(reader.reasoning) == "".join(reasoning)
    assert (reader.finish_reason, reader.prompt_tokens, reader.completion_tokens) == ("stop", 5, 3)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_any_bytes_are_an_answer_or_broken(body: bytes, cuts: list[int]) -> None:
    with suppress(BrokenAnswerError):
        assert read(body, cuts).ended in ("stop", "length")


@given(st.lists(JSON, max_size=4), st.booleans())
def test_any_json_is_an_answer_or_broken(records: list[Any], streamed: bool) -> None:
    lead = "data: " if streamed else ""
    body = "\n\n".join(lead + json.dumps(record) for record in records).encode()
    with suppress(BrokenAnswerError):
        reader = read(body)
        assert reader.ended in ("stop", "length")
        assert isinstance(reader.text, str)


def test_a_complete_answer_stands_whatever_is_torn_behind_it() -> None:
    end = b'data: {"choices": [{"index": 0, "text": "[1]", "finish_reason": "stop"}]}\n\n'
    reader = read(end + b'data: {"choices":[],"usa')
    assert (reader.text, reader.finish_reason) == ("[1]", "stop")
    with pytest.raises(BrokenAnswerError, match="malformed JSON"):
        read(end.replace(b'"stop"', b"null") + b'data: {"choices":[],"usa')


def test_other_choices_and_lists_of_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    record = {
        "choices": [
            {"index": 1, "finish_reason": "stop", "message": {"content": "no"}},
            {"index": 0, "finish_reason": "length", "message": {"content": parts}},
        ]
    }
    reader = read(json.dumps(record, indent=1).encode())
    assert (reader.text, reader.finish_reason) == ("ab", "length")


@pytest.mark.parametrize(
    ("error", "message", "status"),
    [
        ({"message": "no", "code": 400}, "no", 400),
        ({"message": "no", "code": "503"}, "no", 503),
        ({"message": {"detail": "deep"}, "code": "busy"}, "deep", None),
        ("plain", "plain", None),
        ([{"msg": "one"}, {"msg": "two"}], "one; two", None),
        ({"odd": 1}, '{"odd": 1}', None),
    ],
)
def test_errors_in_any_form(error: Any, message: str, status: int | None) -> None:
    with pytest.raises(BrokenAnswerError) as caught:
        read(json.dumps({"error": error}).encode())
    assert (str(caught.value), caught.value.status) == (message, status)


def test_megabytes_in_small_pieces_are_read_in_linear_time() -> None:
    reader = AnswerReader()
    for _ in range(200_000):
        reader.feed(b"x" * 100)
    with pytest.raises(BrokenAnswerError, match="malformed JSON"):
        reader.close()


def test_an_event_named_error_keeps_the_servers_words() -> None:
    with pytest.raises(BrokenAnswerError, match="engine queue is full") as raised:
        read(b'event: error\ndata: {"message": "engine queue is full", "code": "500"}\n\n')
    assert raised.value.status == 500
    with pytest.raises(BrokenAnswerError, match="out of memory"):
        read(b"event: error\ndata: out of memory\n\n")


def test_an_answer_up_to_done_is_whole_without_a_finish_reason() -> None:
    whole = read(f"data: {chunk(content='[1]')}\n\ndata: [DONE]\n\n".encode())
    assert (whole.text, whole.finish_reason, whole.ended) == ("[1]", None, "stop")
    with pytest.raises(BrokenAnswerError, match="before its finish_reason"):
        read(f"data: {chunk(content='[1]')}\n\n".encode())
