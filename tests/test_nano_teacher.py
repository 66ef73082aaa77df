"""The nano world's teacher: its answers, its noise, and the server that gives them."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.datasets.nano.world import World
from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.permutation import parse
from reasonrank_pyserini.testing import check_engine
from reasonrank_pyserini.training.nano.rule_teacher import Taught, Teacher
from reasonrank_pyserini.training.nano.teacher_server import MODEL, serving
from reasonrank_pyserini.training.synthesis import Source, TeacherPrompts
from reasonrank_pyserini.training.synthesis.teacher import read_picks
from reasonrank_pyserini.types import Completion, Document, ParseStatus, Prompt, Sampling

WORLD = World.load()
PROMPTS = TeacherPrompts.load()
QUERY = "In the kitchen: wet glass outside, only humid days"
PASSAGES = (
    "Friction in the kitchen: gullies, shout, lid.",
    "Condensation in the kitchen: moon, paint, grip.",
    "Echo in the kitchen: dries, grow, orange.",
    "Condensation in the garden: wine, pins, skin.",
)
REASONING = (
    "The query describes Condensation. Condensation fits, others differ. "
    "[1] Friction differs. [2] Condensation fits (2). [3] Echo differs. [4] Condensation fits (2 4). "
    "So first (2 4)."
)
OTHERS = {c.name for c in WORLD.domain("qa").concepts} - {"Condensation"}
ORDER = "<answer> [2] > [4] > [1] > [3] </answer>"


def documents(*texts: str) -> list[Document]:
    return [Document(f"d{number}", text) for number, text in enumerate(texts, 1)]


def rank(query: str, *texts: str) -> Prompt:
    return PROMPTS.rank(Source("nano", "qa", "q", query), documents(*texts))


def pick(query: str, *texts: str, gold: str = "Condensation") -> Prompt:
    return PROMPTS.pick(Source("nano", "qa", "q", query, gold), documents(*texts))


def test_an_order_is_by_the_concept() -> None:
    assert Teacher(WORLD).answer(rank(QUERY, *PASSAGES).messages) == Taught(REASONING, ORDER)


def test_an_order_without_the_concept_keeps_the_list() -> None:
    taught = Teacher(WORLD).answer(rank(QUERY, PASSAGES[0], PASSAGES[2]).messages)
    assert taught.reasoning == (
        "The query describes Condensation. Condensation fits, others differ. "
        "[1] Friction differs. [2] Echo differs. So none is better."
    )
    assert taught.text == "<answer> [1] > [2] </answer>"


def believed(taught: Taught) -> str:
    """The concept that an answer is for."""
    return taught.reasoning.split()[3].rstrip(".")


def test_picks_are_by_concept_and_setting_whatever_the_orders_overlook() -> None:
    for gold in ("Condensation", ""):
        taught = Teacher(WORLD, noise=1).answer(pick(QUERY, *PASSAGES, gold=gold).messages)
        assert read_picks(taught.text, len(PASSAGES)) == (1,)
    none = Teacher(WORLD, noise=1).answer(pick(QUERY, *PASSAGES[2:]).messages)
    assert read_picks(none.text, 2) == ()


def test_a_wrong_pick_is_for_another_concept_that_is_shown() -> None:
    taught = Teacher(WORLD, pick_noise=1).answer(pick(QUERY, *PASSAGES).messages)
    assert believed(taught) in {"Friction", "Echo"}
    assert read_picks(taught.text, 4) == ((0,) if believed(taught) == "Friction" else (2,))
    alone = Teacher(WORLD, pick_noise=1).answer(pick(QUERY, PASSAGES[1]).messages)
    assert believed(alone) in OTHERS
    assert read_picks(alone.text, 1) == ()


def test_an_order_overlooks_what_fits_in_the_second_half() -> None:
    taught = Teacher(WORLD, noise=1).answer(rank(QUERY, *PASSAGES).messages)
    assert taught.reasoning == REASONING.replace(
        "[4] Condensation fits (2 4)", "[4] Condensation differs"
    ).replace("first (2 4)", "first (2)")
    assert parse(taught.text, 4).order == (1, 0, 2, 3)


def test_the_shares_of_errors_and_that_a_seed_repeats_them() -> None:
    topics, texts = WORLD.topics("train")[:600], [d.text for d in WORLD.documents[:9]]

    def found(teacher: Teacher) -> list[bool]:
        """For each topic, whether the last of ten passages, which fits, is found."""
        answers = [
            teacher.answer(rank(t.text, *texts, f"{t.concept} in the {t.setting}: x.").messages)
            for t in topics
        ]
        assert all(parse(taught.text, 10).status is ParseStatus.CLEAN for taught in answers)
        assert all(believed(taught) == t.concept for t, taught in zip(topics, answers, strict=True))
        return [
            f"[10] {t.concept} fits" in taught.reasoning for t, taught in zip(topics, answers, strict=True)
        ]

    assert all(found(Teacher(WORLD)))
    overlooked = found(Teacher(WORLD, noise=0.3))
    assert 0.24 < overlooked.count(False) / 600 < 0.36  # three standard deviations of 0.019
    assert overlooked == found(Teacher(WORLD, noise=0.3)) != found(Teacher(WORLD, noise=0.3, seed=1))

    def wrong_picks(seed: int) -> list[bool]:
        teacher = Teacher(WORLD, pick_noise=0.3, seed=seed)
        answers = [teacher.answer(pick(topic.text, *texts, gold=topic.concept).messages) for topic in topics]
        return [believed(taught) != t.concept for t, taught in zip(topics, answers, strict=True)]

    assert 0.24 < sum(wrong_picks(0)) / 600 < 0.36  # three standard deviations of 0.019
    assert wrong_picks(0) == wrong_picks(0) != wrong_picks(1)


@pytest.mark.parametrize(
    "messages", [[], [{"role": "user", "content": QUERY}], rank("Why is the sky blue?", *PASSAGES).messages]
)
def test_other_prompts_are_refused(messages: list[dict[str, str]]) -> None:
    with pytest.raises(InputError, match="needs a query of the nano world"):
        Teacher(WORLD).answer(messages)


def completed(url: str, prompt: Prompt, most: int = 500) -> Completion:
    engine = load_engine("openai", EngineConfig(MODEL, base_urls=(url,), api="chat"))

    async def ask() -> Completion:
        async with engine:
            return await engine.complete(prompt, Sampling(max_tokens=most))

    return asyncio.run(ask())


def test_the_server_streams_to_the_openai_engine() -> None:
    prompt = rank(QUERY, *PASSAGES)
    with serving(Teacher(WORLD)) as url:
        found = completed(url, prompt)
        short = completed(url, prompt, most=8)
        engine = load_engine("openai", EngineConfig(MODEL, base_urls=(url,), api="chat"))
        asyncio.run(check_engine(engine, prompt, Sampling(max_tokens=400)))
    assert found.text == f"<think>{REASONING}</think>{ORDER}"
    assert found.finish_reason == "stop"
    assert found.completion_tokens == len(f"{REASONING} {ORDER}".split())
    assert found.prompt_tokens == sum(len(message["content"].split()) for message in prompt.messages)
    assert (short.text, short.completion_tokens) == (f"<think>{' '.join(REASONING.split()[:8])}", 8)
    assert short.finish_reason == "length"


def asked(url: str, body: bytes | None = None) -> tuple[int, Any]:
    """Status and JSON of a GET, or of a POST with a body, never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, body), timeout=600) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_the_server_answers_whole_and_lists_its_model() -> None:
    messages = list(rank(QUERY, *PASSAGES).messages)
    with serving(Teacher(WORLD)) as url:
        status, models = asked(f"{url}/models")
        assert (status, [row["id"] for row in models["data"]]) == (200, ["nano-teacher"])
        status, answer = asked(f"{url}/chat/completions", json.dumps({"messages": messages}).encode())
    message = {"role": "assistant", "content": ORDER, "reasoning_content": REASONING}
    assert (status, answer["choices"][0]["message"]) == (200, message)
    assert answer["usage"]["total_tokens"] == (
        answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]
    )


@pytest.mark.parametrize(
    ("page", "body", "status", "said"),
    [
        ("chat/completions", b"{", 400, "not JSON"),
        ("chat/completions", b"[]", 400, "no list of messages"),
        ("chat/completions", b'{"messages": []}', 400, "no list of messages"),
        ("chat/completions", b'{"messages": [{"content": 1}]}', 400, "needs a text"),
        ("chat/completions", b'{"messages": [{"content": "hello"}]}', 400, "needs a query of the nano world"),
        ("completions", b"{}", 404, "no page /v1/completions"),
        ("engines", None, 404, "no page /v1/engines"),
    ],
)
def test_bad_requests_are_explained_in_json(page: str, body: bytes | None, status: int, said: str) -> None:
    with serving(Teacher(WORLD)) as url:
        code, answer = asked(f"{url}/{page}", body)
    assert code == status
    assert said in answer["error"]["message"]


def test_a_taken_port_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Teacher(WORLD)) as url:
        port = url.rpartition(":")[2].partition("/")[0]
        with pytest.raises(SystemExit) as end:
            main(["nano", "teacher", "--port", port])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use): give another --port" in line


def test_the_command_serves_a_synthesis_until_ctrl_c(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the orders mistaken: those and no others are below 0.99."""
    topics = WORLD.topics("train")[:40]
    teacher = Teacher(WORLD, noise=0.5)
    sources = [{"id": t.id, "query": t.text, "domain": "web"} for t in topics]
    (tmp_path / "sources.jsonl").write_text("".join(json.dumps(source) + "\n" for source in sources))
    near = {t.id: [d.id for d in WORLD.documents if f"-{t.setting}-" in d.id] for t in topics}
    lines = [f"{qid} Q0 {id} {n} {99 - n} x\n" for qid, ids in near.items() for n, id in enumerate(ids, 1)]
    (tmp_path / "run.trec").write_text("".join(lines))
    command = "from reasonrank_pyserini.cli import main; main()"
    arguments = ["nano", "teacher", "--noise", str(teacher.noise), "--port", "0"]
    server = subprocess.Popen(
        [sys.executable, "-c", command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with pytest.raises(SystemExit) as end:
            main([
                "synthesize", "--sources", str(tmp_path / "sources.jsonl"), "--dataset", "nano/train",
                "--run", str(tmp_path / "run.trec"), "--model", MODEL, "--base-url", url, "--list-size", "10",
                "--min-ndcg", "0.99", "-o", str(tmp_path / "lists"),
            ])  # fmt: skip
        assert end.value.code == 0
    finally:
        server.send_signal(signal.SIGINT)
        try:
            _, said = server.communicate(timeout=600)
        finally:
            server.kill()
    assert server.returncode == 0
    assert said == "reasonrank: the nano teacher has stopped\n"
    counts = json.loads(capsys.readouterr().out)
    examples = [json.loads(line) for line in (tmp_path / "lists" / "sft.jsonl").read_text().splitlines()]
    assert counts["dropped"] == {"nDCG@10 too low": 40 - len(examples)}
    assert 8 <= len(examples) <= 32
    concepts = {topic.id: topic.concept for topic in topics}
    for example in examples:
        assert f"The query describes {concepts[example['id']]}. " in example["output"]
