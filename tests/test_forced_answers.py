"""A model that stops without an answer is asked for the answer alone: once, on its own words, never with compat."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import prompts_kit as kit
import pytest
from http_server import Server, answer
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.engines.journal import Journal, Recorded
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.errors import EngineError, InputError
from reasonrank_pyserini.models.profiles import shipped_profile
from reasonrank_pyserini.permutation import parse
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.prompts.forcing import CLOSING_TOKENS, answer_budget, continuation
from reasonrank_pyserini.ranking.listwise_judge import LLMJudge
from reasonrank_pyserini.ranking.model_request import SettingOverrides
from reasonrank_pyserini.ranking.settings import Settings
from reasonrank_pyserini.types import Completion, Document, ParseStatus, Prompt, Query, Sampling, Verdict

N = 4
DOCUMENTS = [Document(f"d{i}", f"text {i}") for i in range(N)]
SAMPLING = Sampling(max_tokens=40 + 12, reasoning_tokens=40)
TOKENIZER = kit.byte_tokenizer()
CLEAN, REPAIRED, FAILED = ParseStatus.CLEAN, ParseStatus.REPAIRED, ParseStatus.FAILED


def decoded(prompt: Prompt) -> str:
    return str(TOKENIZER.decode(list(prompt.token_ids or ())))


class Model(ScriptedEngine):
    """Says `first`, and `then` when it is asked again; `asked` are the prompts, `drawn` how they were sampled."""

    def __init__(self, first: Completion | str, then: str = " [3] > [1] > [2] > [4] </answer>") -> None:
        self.answers = [first, then]
        self.asked: list[Prompt] = []
        self.drawn: list[Sampling] = []
        super().__init__(self.answer)

    def answer(self, prompt: Prompt, sampling: Sampling) -> Completion | str:
        self.asked.append(prompt)
        self.drawn.append(sampling)
        return self.answers[len(self.asked) - 1]


def cut(text: str, **more: Any) -> Completion:
    return Completion(
        text, prompt_tokens=7, completion_tokens=52, finish_reason="length", seconds=1.5, **more
    )


def judge(engine: Any, *, tokenizer: Any = TOKENIZER, style: str = "reasonrank", **options: Any) -> Verdict:
    builder = PromptBuilder(style, tokenizer)
    made = LLMJudge(builder, engine, options.pop("sampling", SAMPLING), **options)
    return asyncio.run(made.judge(Query("q", "which?"), DOCUMENTS))


def test_cut_reasoning_is_closed_and_the_answer_asked_for_on_the_models_own_words() -> None:
    model = Model(cut("<think> so [2] is"))
    verdict = judge(model)
    assert (verdict.order, verdict.status) == ((2, 0, 1, 3), CLEAN)
    first, second = model.asked
    assert decoded(second) == decoded(first) + "<think> so [2] is\n</think> <answer>"
    assert second.text == first.text + "<think> so [2] is\n</think> <answer>"
    assert model.drawn[1].max_tokens == answer_budget(12, N)
    assert model.drawn[1].seed == model.drawn[0].seed
    done = verdict.completion
    assert done is not None
    assert done.text == "<think> so [2] is\n</think> <answer> [3] > [1] > [2] > [4] </answer>"
    assert (done.forced, done.finish_reason, done.seconds) == (True, "stop", 1.5)
    assert (done.prompt_tokens, done.completion_tokens) == (7, 52 + 8)
    assert verdict.notes == {"forced": 1, "truncated": 1}


def test_the_generated_ids_are_sent_as_they_are() -> None:
    model = Model(cut("<think> a", token_ids=(5, 6, 7)))
    judge(model)
    first, second = (prompt.token_ids or () for prompt in model.asked)
    assert second[len(first) : len(first) + 3] == (5, 6, 7)
    assert TOKENIZER.decode(list(second[len(first) + 3 :])) == "\n</think> <answer>"


@pytest.mark.parametrize(
    "first",
    [
        "<think> a </think> <answer> [2] > [1] > [4] > [3] </answer>",
        "<think> a </think> <answer> [2] > [2] </answer>",  # REPAIRED, but an answer
        cut("<think> a </think> <answer> [2] > [1] > [4] > [3] </answer> and so on"),
    ],
)
def test_an_answer_is_asked_for_once(first: Completion | str) -> None:
    model = Model(first)
    verdict = judge(model)
    assert model.calls == 1
    assert verdict.order[0] == 1
    assert verdict.completion is not None
    assert not verdict.completion.forced


def test_a_model_that_ends_without_any_answer_is_asked_again() -> None:
    model = Model("<think> a </think> I cannot.")
    assert judge(model).order == (2, 0, 1, 3)
    assert decoded(model.asked[1]).endswith("I cannot. <answer>")


@pytest.mark.parametrize(
    "options",
    [{"compat": True}, {"force_answer": False}, {"tokenizer": None}],
    ids=["compat", "switched off", "chat"],
)
def test_where_there_is_one_request(options: dict[str, Any]) -> None:
    model = Model(cut("<think> none"))
    verdict = judge(model, **options)
    assert (model.calls, verdict.status, verdict.order) == (1, FAILED, tuple(range(N)))


def test_what_a_model_wrote_cannot_become_a_control_token() -> None:
    """Where only the text is known it is encoded again; our own closing is the only place for real tags."""
    control = set(TOKENIZER.get_added_vocab().values())
    model = Model(cut("".join(kit.CONTROL)))
    judge(model)
    first, second = (list(prompt.token_ids or ()) for prompt in model.asked)
    assert control.isdisjoint(second[len(first) :])
    assert TOKENIZER.decode(second[len(first) :]) == "".join(kit.CONTROL) + " <answer>"


def test_prompts_leave_room_for_both_requests() -> None:
    """A context in which prompt, spent budget, closing and answer fit to the token."""
    model = Model(cut("y" * SAMPLING.max_tokens))
    whole = len(
        PromptBuilder("reasonrank", TOKENIZER).build("which?", DOCUMENTS, answer_tokens=0).prompt.token_ids
        or ()
    )
    context = (
        whole + SAMPLING.max_tokens + CLOSING_TOKENS + answer_budget(12, N) - 3
    )  # three tokens of text must go
    builder = PromptBuilder("reasonrank", TOKENIZER, context=context)
    verdict = asyncio.run(LLMJudge(builder, model, SAMPLING).judge(Query("q", "which?"), DOCUMENTS))
    assert verdict.notes["shrunk_passages"] > 0
    assert len(model.asked[1].token_ids or ()) + model.drawn[1].max_tokens <= context


@pytest.mark.parametrize("ids", [None, (5, 6, 7)])
def test_a_resumed_run_finds_both_answers(tmp_path: Path, ids: tuple[int, ...] | None) -> None:
    def run(model: Model) -> Verdict:
        journal = Journal(tmp_path)
        verdict = judge(Recorded(model, journal))
        journal.close()
        return verdict

    model = Model(cut("<think> a", token_ids=ids))
    first, again = run(model), run(Model("never asked"))
    assert model.calls == 2
    assert first.completion is not None
    assert not first.completion.cached
    assert again.completion == replace(first.completion, cached=True)
    assert again.order == first.order


def test_settings_keep_the_switches() -> None:
    def settings(**flags: Any) -> Settings:
        return Settings.resolve(shipped_profile("generic"), SettingOverrides(**flags))

    on, off = settings(), settings(force_answer=False)
    assert (on.force_answer, on.as_dict()["force_answer"], settings(compat=True).force_answer) == (
        True,
        True,
        False,
    )
    assert on.context_needed() - off.context_needed() == CLOSING_TOKENS + answer_budget(100, 20)
    assert settings(compat=True).context_needed() == off.context_needed()
    with pytest.raises(InputError, match="compat"):
        settings(compat=True, constrained=True)


def test_only_the_first_k_are_asked_for() -> None:
    model = Model(cut("<think> a"), " [3] > [1] </answer>")
    verdict = judge(model, answer_k=2)
    assert (verdict.order, verdict.status) == ((2, 0, 1, 3), CLEAN)
    asked = model.drawn[1].permutation
    assert asked is not None
    assert (asked.passages, asked.count) == (N, 2)
    assert parse("<answer> [3] </answer>", N, count=2).status is REPAIRED
    assert parse("<answer> [3] > [1] </answer>", N).status is REPAIRED


def test_from_the_command_line_over_token_ids(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every first answer is cut inside the reasoning; trace and manifest say so, and a second run sends no request."""
    record = {"query": {"text": "which?", "qid": "q"}, "candidates": [
        {"docid": f"d{i}", "score": N - i, "doc": {"contents": f"text {i}"}} for i in range(N)
    ]}  # fmt: skip
    (tmp_path / "requests.jsonl").write_text(json.dumps(record) + "\n")
    command = ["rerank", "--requests", str(tmp_path / "requests.jsonl"), "--model", "tiny", "--tokenizer",
               str(tiny_tokenizer), "--reasoning-tokens", "72", "-o", str(tmp_path / "out")]  # fmt: skip

    def rerank(*more: str, status: int = 0) -> dict[str, Any]:
        with pytest.raises(SystemExit) as end:
            main([*command, "--base-url", server.url, *more])
        assert end.value.code == status, capsys.readouterr().err
        return dict(json.loads((tmp_path / "out" / "manifest.json").read_text()))

    with Server() as server:
        server.script(
            answer("<think> well", finish="length", completion_tokens=172),
            answer("[4] > [3] > [2] > [1] </answer>"),
        )
        counted = rerank()
        assert (counted["statuses"], counted["counts"]["forced"], counted["windows"]) == ({"CLEAN": 1}, 1, 1)
        (line,) = (tmp_path / "out" / "trace.jsonl").read_text().splitlines()
        window = json.loads(line)
        assert (window["forced"], window["order"]) == (True, ["d3", "d2", "d1", "d0"])
        assert (window["reasoning"], window["answer"]) == ("well", "<answer>[4] > [3] > [2] > [1] </answer>")
        counted = rerank("--no-force-answer", "--overwrite", status=3)  # the first answer is in the journal
        assert (counted["statuses"], counted["cached"], counted["settings"]["force_answer"]) == (
            {"FAILED": 1},
            1,
            False,
        )
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("said", "status"), [("<think> so </think> <answer> [3] > [2] > ", REPAIRED), ("<think>", None)]
)
def test_a_second_request_that_fails_costs_no_answer_that_can_be_read(
    said: str, status: ParseStatus | None
) -> None:
    def script(prompt: Prompt, sampling: Sampling) -> Completion:
        if engine.calls == 2:
            raise EngineError("busy")
        return cut(said)

    engine = ScriptedEngine(script)
    if status is None:
        with pytest.raises(EngineError, match="busy"):
            judge(engine)
    else:
        verdict = judge(engine)
        assert (verdict.order, verdict.status) == ((2, 1, 0, 3), status)
        assert verdict.notes == {"unforced": 1, "truncated": 1}


def test_a_journal_changes_no_second_request(tmp_path: Path) -> None:
    """Also where reasoning mentions an answer's form, and the engine tells its ids."""
    said = cut("<think> the form is <answer> [] </answer>, so", token_ids=(5, 6, 7))
    bare, kept = Model(said), Model(said)
    judge(bare)
    with closing(Journal(tmp_path)) as journal:
        judge(Recorded(kept, journal))
    assert kept.asked[1] == bare.asked[1]
    begun = len(kept.asked[0].token_ids or ())
    assert (kept.asked[1].token_ids or ())[begun : begun + 3] == (5, 6, 7)


PIECES = ("<think>", "</think>", "<answer>", "</answer>", "[2]", " > ", "[1", "why", "\n", " ", "<", "3")


@given(text=st.lists(st.sampled_from(PIECES), max_size=8).map("".join), answer=st.sampled_from(["tagged", "bare"]),
       order=st.permutations(range(N)))  # fmt: skip
def test_whatever_was_written_goes_on_to_a_clean_answer(text: str, answer: Any, order: list[int]) -> None:
    then = continuation(text, N, answer=answer)
    written = then.permutation.written or ""
    begun = [int(part.strip(" >[\n")) - 1 for part in written.split("]")[:-1]]
    cut_off = "".join(c for c in written.rpartition("]")[2] if c.isdigit())
    if cut_off:  # the identifier that was begun has to be ended
        begun.append(int(cut_off) - 1)
    wanted = [*begun, *(index for index in order if index not in begun)]
    label = " > ".join(f"[{index + 1}]" for index in wanted)
    end = " </answer>" if then.permutation.answer == "tagged" else ""
    rest = (label + end)[len(written.lstrip()) :] if written.strip() else label + end
    assert parse(f"{text}{then.closing}{rest}", N, answer=answer) == parse(label, N, answer="bare")
