"""What must hold for any bytes at all: readers of files, of answers and of servers' bodies.

A target is a function of bytes that raises AssertionError, or whatever the package let through. `test_fuzz.py` runs
each with hypothesis on changed seeds, `fuzz.py` with a coverage-guided fuzzer for as long as is wanted.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from reasonrank_pyserini.engines.journal.encoding import encode
from reasonrank_pyserini.engines.journal.store import Journal
from reasonrank_pyserini.engines.journal.upkeep import inspect
from reasonrank_pyserini.engines.openai.http_error_body import BrokenAnswerError, error_code, error_text
from reasonrank_pyserini.engines.openai.http_failures import Failure, from_broken, judge_status
from reasonrank_pyserini.engines.openai.http_finish import meaning
from reasonrank_pyserini.engines.openai.http_options import Options
from reasonrank_pyserini.engines.openai.http_stream import AnswerReader
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.evaluation.report.report_inputs import read_result
from reasonrank_pyserini.files.corpora import Corpus
from reasonrank_pyserini.files.excluded import read_excluded
from reasonrank_pyserini.files.qrels import read_qrels
from reasonrank_pyserini.files.requests import read_requests
from reasonrank_pyserini.files.runs import read_run, read_run_report
from reasonrank_pyserini.files.topics import read_topics
from reasonrank_pyserini.files.trec import order_by_score, write_scored_run
from reasonrank_pyserini.models.profiles import load_profile
from reasonrank_pyserini.permutation import parse
from reasonrank_pyserini.server.json_body import parse_object
from reasonrank_pyserini.server.refusal import Refusal, error_body
from reasonrank_pyserini.server.rerank_call import RerankCall, read_call, shape_of
from reasonrank_pyserini.server.rerank_reply import reply
from reasonrank_pyserini.server.server_settings import ServerLimits
from reasonrank_pyserini.training.list_records import read_records
from reasonrank_pyserini.training.recipe_loading import load_recipe
from reasonrank_pyserini.training.synthesis.teacher import read_picks
from reasonrank_pyserini.types import Candidate, Completion, ParseStatus, Query, Ranking

KEY = "0" * 64
DEEP = b'{"error":' * 3000 + b"1" + b"}" * 3000
"""JSON that some versions of Python read and only recursion cannot follow."""
PIECES = (
    *(b"\n", b"\r", b"\t", b" ", b"\0", b"\xef\xbb\xbf", b"\xff", b"\xc2\x85", b"\xe2\x80\xa8", b"\\ud800"),
    *(b'"', b"{", b"}", b"[", b"]", b"{}", b"[]", b"null", b"true", b"NaN", b"Infinity", b"1e999", b"-1"),
    *(b"9" * 5000, b"[" * 2000, b"<", b">", b"</think>", b"<answer>", b"</answer>", b"data: ", b"[DONE]"),
    *(b"\x1f\x8b", b"PAR1", b"\xd9\xa3", b"\xc2\xb2"),
)  # fmt: skip
"""What readers treat in a way of its own, for fuzzers to put in."""


@dataclass(frozen=True, slots=True)
class Target:
    """A check of any bytes, and bytes of the real form to start from."""

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


@contextmanager
def _file(data: bytes, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


@contextmanager
def _refused() -> Iterator[None]:
    """Lets an InputError pass if its message is one printable line."""
    try:
        yield
    except InputError as error:
        message = str(error)
        assert message
        assert message.isprintable(), message
        assert len(message) < 2000, message


def run_file(data: bytes) -> None:
    """A run is refused, or has finite scores and ids that survive being written and read again."""
    with _file(data, "run.trec") as path, _refused():
        run = read_run(path)
        assert any(run.values())
        for documents in run.values():
            assert all(math.isfinite(document.score) for document in documents)
        ordered = order_by_score(read_run_report(path).run)[0]
        for query, documents in ordered.items():
            scores = [document.score for document in documents]
            assert scores == sorted(scores, reverse=True)
            assert {document.id for document in documents} == {document.id for document in run[query]}
        written = path.with_name("again.trec")
        write_scored_run(written, ordered, "tag")
        again = read_run(written)
        assert {q: [d.id for d in found] for q, found in again.items()} == {
            q: [d.id for d in found] for q, found in ordered.items() if found
        }


def qrels_file(data: bytes) -> None:
    for beir in (False, True):
        with _file(data, "qrels.txt") as path, _refused():
            for grades in read_qrels(path, beir=beir).values():
                assert all(type(grade) is int for grade in grades.values())


def topics_file(data: bytes) -> None:
    with _file(data, "topics.tsv") as path, _refused():
        topics = read_topics(path)
        assert topics
        assert len({topic.id for topic in topics}) == len(topics)
        assert all(topic.id and isinstance(topic.text, str) for topic in topics)


def corpus_file(data: bytes) -> None:
    """A corpus is refused, or gives the same documents one by one and by id."""
    with _file(data, "corpus.jsonl") as path, _refused():
        corpus = Corpus(path)
        documents = list(corpus)
        assert len(corpus) == len(documents)
        assert corpus.get_many([document.id for document in documents]) == {d.id: d for d in documents}


def request_file(data: bytes) -> None:
    with _file(data, "requests.jsonl") as path, _refused():
        for request in read_requests(path):
            ids = [candidate.id for candidate in request.candidates]
            assert len(set(ids)) == len(ids)


def other_files(data: bytes) -> None:
    with _file(data, "excluded.json") as path, _refused():
        read_excluded(path)
    with _file(data, "records.jsonl") as path, _refused():
        for record in read_records(path):
            assert record.qid
    with _file(data, "profile.toml") as path, _refused():
        load_profile(path)
    with _file(data, "recipe.toml") as path, _refused():
        load_recipe(path)


def result_folder(data: bytes) -> None:
    """A trace that some other program wrote is refused in one line, or shown."""
    with _file(data, "trace.jsonl") as path, _refused():
        path.with_name("manifest.json").write_bytes(data.partition(b"\n")[0])
        for query in read_result("name", path.parent).queries:
            assert set(query.after) <= set(query.before)


def journal_file(data: bytes) -> None:
    """Damage is counted, never raised, and a whole record before it is found."""
    record = encode(KEY, Completion("x", 1, 2))
    with _file(record + data, "1-00000000.journal") as path:
        journal = Journal(path.parent)
        report = inspect(path.parent)
        assert report.records >= 1
        assert all(journal.get(key) is not None or journal.damaged for key in list(journal.keys()))
        assert journal.get(KEY) is not None


def answer(data: bytes) -> None:
    """Every answer is read as a permutation, by every reader."""
    n, text = 1 + (data[0] if data else 0) % 30, data[1:].decode("utf-8", "replace")
    for form in ("tagged", "bare"):
        for compat in (False, True):
            parsed = parse(text, n, answer=form, compat=compat)  # type: ignore[arg-type]
            assert sorted(parsed.order) == list(range(n))
            assert parsed.status is not ParseStatus.FAILED or parsed.order == tuple(range(n))
            assert compat or parsed.status is not ParseStatus.SALVAGED
    picks = read_picks(text, n)
    assert picks is None or set(picks) <= set(range(n))


def server_body(data: bytes) -> None:
    """A body is a complete answer or a failure that says why, however its bytes arrive."""
    step, body = 1 + (data[0] if data else 0), data[1:]
    outcomes = []
    for pieces in ([body], [body[start : start + step] for start in range(0, len(body), step)]):
        reader = AnswerReader()
        try:
            for piece in pieces:
                reader.feed(piece)
            reader.close()
        except BrokenAnswerError as error:
            _check_failure(from_broken(error, Options(("http://127.0.0.1/v1",)), ("top_k", "prompt")))
            outcomes.append("broken")
            continue
        assert meaning(reader.finish_reason) in ("stop", "length")
        outcomes.append(reader.text)
    assert outcomes[0] == outcomes[1]


def server_error(data: bytes) -> None:
    """Any status with any body and Retry-After is a failure in one line."""
    head, _, rest = data.partition(b"\n")
    wait, _, body = rest.partition(b"\n")
    status = 400 + (head[0] if head else 0) % 200
    content: object = body.decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):
        content = json.loads(body)
    text = content if isinstance(content, str) else error_text(content)
    headers = {"retry-after": wait.decode("latin-1")}
    options = Options(("http://127.0.0.1/v1",))
    _check_failure(judge_status(status, text, error_code(content), options, ("top_k", "prompt"), headers))


def _check_failure(failure: Failure) -> None:
    assert failure.message
    assert failure.message.isprintable()
    assert failure.wait is None or 0 <= failure.wait < math.inf


def _read_call(path: str, body: bytes) -> RerankCall | Refusal:
    try:
        fields = parse_object(body)
        return read_call(fields, shape_of(fields, path), ServerLimits(documents=5, characters=1000))
    except Refusal as refusal:
        return refusal


def rerank_request(data: bytes) -> None:
    """The first byte chooses the route, the rest is the body: a reply that can be sent, or a refusal of one line."""
    call = _read_call(("/v2/rerank", "/v1/rerank", "/rerank")[data[0] % 3 if data else 0], data[1:])
    if isinstance(call, Refusal):
        assert call.status in (400, 413)
        assert len(call.message) < 200
        assert call.message.isprintable()
        json.dumps(error_body(call)).encode()
        return
    documents = tuple(Candidate(document) for document in reversed(call.documents))
    found = reply(call, Ranking(Query("0", call.query), documents), id="x", model="m", reasoning_characters=9)
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()


TARGETS = {
    "run": Target(run_file, (b"q1 Q0 d1 1 2.5 tag\nq1 Q0 d2 2 1.5 tag\n", b"q1\tQ0\td 1\t1\t1e-3\ttag one\r\n",
                               b'{"q1": {"d 1": 2.5, "d2": 1}, "q2": {}}\n')),
    "qrels": Target(
        qrels_file, (b"q1 0 d1 1\nq1 0 d2 0\n", b"query-id\tcorpus-id\tscore\nq1\td1\t2\n", b"q1 0 d1 1.0\n")
    ),
    "topics": Target(
        topics_file,
        (
            b"q1\tone two\nq2\tthree\n",
            b'{"qid": 1, "query": "one"}\n',
            b"<top>\n<num> Number: 301\n<title> one\n<desc> Description:\ntwo\n</top>\n",
            b'<?xml version="1.0"?><topics><topic number="1"><query>one</query></topic></topics>',
        ),
    ),
    "corpus": Target(
        corpus_file, (b'{"id": "d1", "contents": "one"}\n{"_id": 2, "title": "t", "text": "two"}\n',)
    ),
    "requests": Target(
        request_file,
        (b'{"query": {"text": "one", "qid": 1}, "candidates": [{"docid": "d", "score": 1, "doc": {"text": "x"}}]}\n',),
    ),
    "other": Target(
        other_files,
        (
            b'{"q1": ["d1"]}',
            b'{"qid": "1", "initial_list": ["a"], "final_list": ["a"], "relevant_docids": ["a"], "reasoning": ""}\n',
            b'extends = "reasonrank-7b"\ntemperature = 0.5\n',
            b'extends = "tiny"\n[sft]\nlearning_rate = 1e-5\n',
        ),
    ),
    "result": Target(
        result_folder, (b'{"query_id": "q", "window": ["a", "b"], "order": ["b", "a"], "status": "CLEAN"}\n',)
    ),
    "journal": Target(journal_file, (encode("1" * 64, Completion("<answer>[1]</answer>", 3, 4)),)),
    "answer": Target(
        answer,
        (
            b"\x04<think>a [2]</think>\n<answer>[2] > [1] > [3]</answer>",
            b"\x05[1] > [2]",
            b"\x05<answer>\n1. [5]\n2. [3]\n</answer>",
            "\x05Passage 3, 【2】 ［1］ ②".encode(),
        ),
    ),
    "body": Target(
        server_body,
        (
            b'\x07data: {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}\n\n'
            b"data: [DONE]\n\n",
            b'\xff{"choices": [{"message": {"content": "a", "reasoning_content": "b"}, "finish_reason": "length"}]}',
            b'\x03event: error\ndata: {"error": {"message": "m", "code": 503}}\n\n',
        ),
    ),
    "rerank-request": Target(
        rerank_request,
        (
            b'\x00{"query": "q", "documents": ["a", "b"], "top_n": 1, "max_tokens_per_doc": null, "deadline": 2.5}',
            b'\x01{"query": "q", "documents": [{"text": "a", "n": 1}], "rank_fields": ["text"], "top_n": 0}',
            b'\x02{"query": "q", "texts": ["a", "b"], "raw_scores": false, "return_text": true, "truncate": true}',
            b"\x01" + DEEP,
        ),
    ),
    "status": Target(
        server_error,
        (
            b'\x1d\n5\n{"error": {"message": "slow down", "code": "x"}}',
            b"\x64\n\n<html>",
            b"\x1d\n5\n" + DEEP,
        ),
    ),
}  # fmt: skip
