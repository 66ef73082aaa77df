"""Bodies of answers as servers, gateways and proxies send them: read whole, or refused in words that say why."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reasonrank_pyserini.engines.openai.http_error_body import BrokenAnswerError
from reasonrank_pyserini.engines.openai.http_stream import AnswerReader

ANSWER = "<answer>[2] > [1]</answer>"


def event(finish: Any = None, *, index: Any = 0, **delta: Any) -> str:
    return f"data: {json.dumps({'choices': [{'index': index, 'delta': delta, 'finish_reason': finish}]})}\n\n"


def whole(finish: Any = "stop", **message: Any) -> str:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}]}, indent=1)


def read(body: str | bytes, most: int | None = None) -> AnswerReader:
    reader = AnswerReader(most)
    data = body.encode() if isinstance(body, str) else body
    for start in range(len(data)):
        reader.feed(data[start : start + 1])
    reader.close()
    return reader


DONE = "data: [DONE]\n\n"
END = event("stop") + DONE
TWO_LINES = f"data: {json.dumps({'choices': [{'delta': {'content': ANSWER}}]}, indent=1)}".replace(
    "\n", "\ndata: "
)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        # the stream
        pytest.param("\ufeff" + event(content=ANSWER) + END, ANSWER, id="byte order mark"),
        pytest.param((event(content=ANSWER) + END).replace("\n", "\r"), ANSWER, id="CR"),
        pytest.param((event(content=ANSWER) + END).replace("\n\n", "\n"), ANSWER, id="no empty lines"),
        pytest.param(f"{TWO_LINES}\n\n{END}", ANSWER, id="several data lines"),
        pytest.param(f": ping\n\n\n{event(content=ANSWER)}: ping\n{END}", ANSWER, id="comments"),
        pytest.param(f"id: 1\nretry: 5\n{event(content=ANSWER)}{END}", ANSWER, id="id and retry"),
        pytest.param(f"data: {{}}\n\n{event(content=ANSWER)}{END}", ANSWER, id="an empty record"),
        pytest.param(f'data: {{"type":"ping"}}\n\n{event(content=ANSWER)}{END}', ANSWER, id="ping"),
        pytest.param((event(content=ANSWER) + END).rstrip(), ANSWER, id="no line end"),
        pytest.param(event(content=ANSWER) + event("stop", content=""), ANSWER, id="no [DONE]"),
        pytest.param(
            event(content="é>").encode().replace(b"\\u00e9", b"\xc3") + (event(content=ANSWER) + END).encode(),
            f"\N{REPLACEMENT CHARACTER}>{ANSWER}",
            id="half a character",
        ),
        pytest.param(event(content="a\tb").replace("\\t", "\t") + END, "a\tb", id="a raw tab in a string"),
        # choices
        pytest.param(event(content=ANSWER, index="0") + END, ANSWER, id="index as text"),
        pytest.param(event(content=ANSWER, index=None) + END, ANSWER, id="index null"),
        pytest.param(event(content="no", index=1) + event(content=ANSWER) + END, ANSWER, id="second choice"),
        pytest.param(
            json.dumps({"choices": [{"message": {"content": t}, "finish_reason": "stop"} for t in (ANSWER, "no")]}),
            ANSWER,
            id="two choices without index",
        ),
        pytest.param(
            event(content=ANSWER)
            + f"data: {json.dumps({'choices': [{'message': {'content': ANSWER}, 'finish_reason': 'stop'}]})}\n\n",
            ANSWER,
            id="the whole message again at the end",
        ),
        pytest.param(
            f"data: {json.dumps({'choices': [{'delta': {'content': ANSWER}, 'message': {'content': ANSWER}}]})}\n\n"
            + END,
            ANSWER,
            id="delta and message",
        ),
        # the finish reason
        pytest.param(whole(None, content=ANSWER), ANSWER, id="a whole body without a finish reason"),
        pytest.param(event("null", content=ANSWER) + END, ANSWER, id="null as text"),
        pytest.param(event("stop", content="<answer>[2]") + event(content=" > [1]</answer>") + END, ANSWER, id="twice"),
        # parts and reasoning
        pytest.param(whole(content=[{"type": "text", "text": ANSWER}]), ANSWER, id="parts"),
        pytest.param(whole(content=["<answer>", "[2] > [1]", {"text": "</answer>"}]), ANSWER, id="parts as text"),
        pytest.param(
            whole(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "so"}]},
                           {"type": "text", "text": ANSWER}]),
            f"<think>so</think>{ANSWER}",
            id="Mistral's thinking",
        ),
        pytest.param(
            whole(content=[{"type": "reasoning", "text": "so [1]"}, {"type": "text", "text": ANSWER}]),
            f"<think>so [1]</think>{ANSWER}",
            id="a part of reasoning",
        ),
        pytest.param(whole(thinking="so", content=ANSWER), f"<think>so</think>{ANSWER}", id="thinking"),
        pytest.param(
            whole(reasoning="so", reasoning_details=[{"type": "reasoning.text", "text": "so"}], content=ANSWER),
            f"<think>so</think>{ANSWER}",
            id="OpenRouter",
        ),
        pytest.param(
            whole(reasoning_content=None, reasoning="so", content=ANSWER), f"<think>so</think>{ANSWER}", id="both"
        ),
        pytest.param(whole(reasoning=ANSWER, content=None), f"<think></think>{ANSWER}", id="answer as reasoning"),
        pytest.param(
            whole(reasoning=f"so</think>{ANSWER}", content=""), f"<think>so</think>{ANSWER}", id="all as reasoning"
        ),
        pytest.param(whole(content=ANSWER, refusal="", tool_calls=None), ANSWER, id="empty other fields"),
    ],
)  # fmt: skip
def test_a_body_is_read(body: str | bytes, text: str) -> None:
    found = read(body)
    assert (found.text, found.ended) == (text, "stop")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "an empty body"),
        ("\n\n: ping\n\n", "an empty body"),
        ('{"choices": []}', "without choices"),
        ('{"choices": null}', "without choices"),
        ('{"detail": "Not authenticated"}', "Not authenticated"),
        ('{"message": "no route"}', "no route"),
        ('{"code": 50001, "msg": "queue full"}', "queue full"),
        ('{"error_code": 17, "error_msg": "daily limit"}', "daily limit"),
        ('{"base_resp": {"status_code": 1008, "status_msg": "no money"}, "choices": null}', "no money"),
        ('{"errors": [{"message": "bad one"}]}', "bad one"),
        ('[{"error": {"code": 400, "message": "Unknown name"}}]', "Unknown name"),
        ('{"error": "model is loading"}', "model is loading"),
        ('{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}', "Overloaded"),
        ("<!DOCTYPE html><html><head><title>Open &amp; UI</title>", r"web page \(Open & UI\).*`base_urls`"),
        ("<html><body><h1>502 Bad Gateway</h1>", "web page .502 Bad Gateway"),
        ("<html>", "web page .without a title"),
        ("Internal Server Error", "malformed JSON: Internal Server Error"),
        (event(content="half"), "before its finish_reason"),
        (event("null", content="half"), "before its finish_reason"),
        (event("stop", content="half") + event(content="more"), "before its finish_reason"),
        (event(content="half") + 'data: {"detail": "worker lost"}\n\n', "worker lost"),
        (event(content="half") + "event: error\r\ndata: gone\r\n\r\n", "an error: gone"),
        (event(content="half") + 'error: {"code": 500, "message": "slot lost"}\n\n', "slot lost"),
        (event("error", content="half"), "finish_reason 'error'"),
        (event("tool_calls", tool_calls=[{"function": {"name": "rank"}}]) + DONE, "finish_reason 'tool_calls'"),
        (event({"type": "abort"}, content=ANSWER) + DONE, "finish_reason 'abort'"),
        (event(7, content=ANSWER) + DONE, "finish_reason '7'"),
        (event(True, content=ANSWER) + DONE, "finish_reason 'True'"),
        ('data: {"choices": [{"error": {"message": "upstream died"}, "finish_reason": "error"}]}\n\n', "upstream died"),
        (whole(content=None), "an empty answer"),
        (whole(content="", tool_calls=[{"function": {}}]), "an empty answer"),
        (whole(content=" ", reasoning="so, <answer> [2]"), "reasoning without an answer"),
        (whole(content=None, refusal="I will not."), "refused: I will not."),
        (whole("SAFETY", content=""), "content filter stopped.*SAFETY"),
        (whole("content_filter", content=ANSWER), "content filter"),
        ("data: " + "[" * 500 + "\n\n", "malformed JSON"),
    ],
)  # fmt: skip
def test_a_body_is_refused_in_the_servers_words(body: str, words: str) -> None:
    with pytest.raises(BrokenAnswerError, match=words):
        read(body)


@pytest.mark.parametrize(
    ("meant", "reasons"),
    [
        ("stop", "stop STOP Stop eos eos_token EOS end_turn stop_sequence COMPLETE endoftext end_of_text FINISH "
                 "FinishReason.STOP FINISH_REASON_STOP stop_criteria_met eosFound stopStringFound end_id normal"),
        ("length", "length max_tokens MAX_TOKENS model_length FinishReason.MAX_TOKENS token_limit max_output_tokens "
                   "maxPredictedTokensReached contextLengthReached maximum_tokens model_context_window_exceeded"),
        ("filtered", "content_filter SAFETY RECITATION sensitive refusal PROHIBITED_CONTENT FinishReason.SAFETY"),
        ("early", "abort error cancelled timeout load unload tool_calls function_call tool_use pause_turn OTHER "
                  "insufficient_system_resource network_error time_limit not_finished userStopped modelUnloaded "
                  "FINISH_REASON_UNSPECIFIED MALFORMED_FUNCTION_CALL stopped repetition incomplete nostop"),
    ],
)  # fmt: skip
def test_finish_reasons_are_an_allow_list(meant: str, reasons: str) -> None:
    wrong = []
    for reason in reasons.split():
        reader = AnswerReader()
        reader.feed(event(reason, content=ANSWER).encode())
        if reader.ended != meant:
            wrong.append((reason, reader.ended))
    assert wrong == []


def test_usage_may_be_null_or_come_more_than_once() -> None:
    counts = [
        {"prompt_tokens": 9, "completion_tokens": 4},
        None,
        {"prompt_tokens": 0, "completion_tokens": 0},
    ]
    records = "".join(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n" for usage in counts)
    found = read(event(content=ANSWER) + records + END)
    assert (found.prompt_tokens, found.completion_tokens) == (9, 4)


def test_an_answer_that_does_not_end_is_stopped() -> None:
    with pytest.raises(BrokenAnswerError, match="ignores the limit of new tokens"):
        read(event(content="x" * 60) * 2 + END, most=100)
    assert read(event(content="x" * 60) + END, most=100).ended == "stop"
