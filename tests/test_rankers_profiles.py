"""The profiles of other rerankers: found by model id, consistent, with published scores; and runs with each kind."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import http_server as srv
import pytest
from commands import reasonrank
from openai_kit import no_key, server

from reasonrank_pyserini import Candidate, Document, Query, Reranker, read_run
from reasonrank_pyserini.errors import FileFormatError, InputError
from reasonrank_pyserini.jobs.trace import read_manifest, read_trace
from reasonrank_pyserini.models.profiles import find_profile, parse_profile, profile_names, shipped_profile
from reasonrank_pyserini.prompts import MessageStyle, get_style
from reasonrank_pyserini.ranking.judge import RoutedJudge, TaskKey
from reasonrank_pyserini.ranking.score_showing_judge import ScoreShowingJudge
from reasonrank_pyserini.ranking.settings import Settings

__all__ = ["no_key", "server"]  # fixtures
KINDS = {
    "rank1": "pointwise", "retro-star": "pointwise", "erank": "pointwise", "diver-grouprank": "groupwise",
    "rank-r1": "setwise", "rank-r1-v0.2": "setwise", "rank-k": "listwise", "rearank": "listwise",
    "insertrank": "listwise",
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("jhu-clsp/rank1-7b", "rank1"), ("jhu-clsp/rank1-0.5b", "rank1"), ("jhu-clsp/rank1-32b-awq", "rank1"),
        ("AQ-MedAI/Diver-GroupRank-7B", "diver-grouprank"), ("AQ-MedAI/Diver-GroupRank-32B", "diver-grouprank"),
        ("ljw13/retro-star-qwen2.5-7b-instruct-0923", "retro-star"),
        ("ljw13/retro-star-qwen3-8b-0928", "retro-star"),
        ("hltcoe/Rank-K-32B", "rank-k"), ("le723z/Rearank-7B", "rearank"),
        ("ielabgroup/Rank-R1-7B-v0.1", "rank-r1"), ("ielabgroup/Rank-R1-32B-v0.2", "rank-r1-v0.2"),
        ("Alibaba-NLP/ERank-4B", "erank"),
    ],
)  # fmt: skip
def test_a_model_has_its_own_profile(model: str, name: str) -> None:
    profile, known = find_profile(model)
    assert (profile.name, known) == (name, True)


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_prompt_and_judge_fit(name: str, kind: str) -> None:
    profile = shipped_profile(name)
    settings = Settings.resolve(profile, dataset_passage_tokens=512)
    assert settings.judge.kind == kind
    assert settings.passage_tokens == profile.passage_tokens  # not the data set's
    style = get_style(profile.style)
    assert isinstance(style, MessageStyle)
    assert all((style.repository, style.commit, style.licence))


@pytest.mark.parametrize("name", KINDS)
def test_published_scores_are_means_of_their_tasks(name: str) -> None:
    rows = shipped_profile(name).published
    assert rows
    for row in rows:
        assert row.first_stage
        if row.tasks:
            assert len(row.tasks) == 12
            assert fmean(row.tasks) == pytest.approx(row.average, abs=0.06)


@pytest.mark.parametrize("name", ["reasonrank-7b", "reasonrank-8b", "reasonrank-32b", "generic", "nano"])
def test_settings_of_earlier_profiles_are_recorded_as_before(name: str) -> None:
    assert "judge" not in Settings.resolve(shipped_profile(name)).as_dict()


def test_every_profile_names_a_known_style() -> None:
    for name in profile_names():
        assert get_style(shipped_profile(name).style)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[judge]\nreading = 'scores'", "reading is 'scores': it must be one of permutation, "),
        ("[judge]\nsamples = 0", "samples is 0"),
        ("[judge]\nstop = 'x'", "a list of texts"),
        ("[judge]\nlogprobs = -1", "logprobs is -1"),
        ("[judge]\nread = 1", "did you mean 'reading'?"),
        ("strategy = 3", "a text in quotes"),
        ("[strategy_args]\n[[published]]\nbenchmark = 'bright'", "published: average is missing"),
        ("published = [1]", "a list of tables"),
    ],
)
def test_a_bad_value_is_one_line(text: str, words: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        parse_profile(text, "bad.toml")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("style = 'rank1'", "style rank1 shows one passage, a listwise judge"),
        ("[judge]\nreading = 'score'", "style reasonrank shows several passages, a pointwise judge"),
    ],
)
def test_a_prompt_that_does_not_fit_the_judge(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Settings.resolve(parse_profile(text, "own.toml"))


SMALL = "reasoning_tokens = 24\nanswer_tokens = 8\ncontext = 4096\npassage_tokens = 64\ndtype = 'float32'\n"
CANDIDATES = [Document(f"d{at}", f"passage {at} about moths and lamps") for at in range(12)]


def own_profile(folder: Path, base: str) -> Path:
    file = folder / f"{base}-small.toml"
    args = "[strategy_args]\nbest = 3\nsamples = 2\n" if base == "retro-star" else ""
    file.write_text(f"extends = '{base}'\n{SMALL}{args}")
    return file


@pytest.mark.parametrize("base", KINDS)
def test_every_kind_of_judge_reranks(base: str, tiny_model: Path, tmp_path: Path) -> None:
    profile = own_profile(tmp_path, base)
    with Reranker.from_pretrained(
        str(tiny_model), engine="transformers", profile=str(profile), journal=tmp_path / "journal"
    ) as reranker:
        ranking = reranker.rerank(Query("q", "why do moths fly to lamps"), CANDIDATES)
    assert sorted(ranking.ids) == sorted(document.id for document in CANDIDATES)
    assert ranking.steps
    if base == "rank1":  # probabilities are there whatever a random model writes
        scored = [step.verdict.scores for step in ranking.steps]
        assert all(scores is not None and all(0 < score < 1 for score in scores) for scores in scored)
        assert {score for scores in scored for score in scores or ()} != {0.5}
    with Reranker.from_pretrained(
        str(tiny_model),
        engine="transformers",
        profile=str(profile),
        journal=tmp_path / "journal",
        replay=True,
    ) as again:
        assert again.rerank(Query("q", "why do moths fly to lamps"), CANDIDATES).ids == ranking.ids


@pytest.mark.parametrize("base", ["rank1", "retro-star", "diver-grouprank", "rank-r1"])
def test_the_command_with_a_profile_file(base: str, tmp_path: Path) -> None:
    profile = own_profile(tmp_path, base)
    request: dict[str, Any] = {
        "query": {"qid": "q1", "text": "why do moths fly to lamps"},
        "candidates": [
            {"docid": document.id, "score": 12.0 - at, "doc": {"contents": document.text}}
            for at, document in enumerate(CANDIDATES)
        ],
    }
    requests = tmp_path / "requests.jsonl"
    requests.write_text(json.dumps(request) + "\n")
    out = tmp_path / "out"
    done = reasonrank(
        "rerank",
        "--requests",
        str(requests),
        "--model",
        "nano",
        "--profile",
        str(profile),
        "--max-failed",
        "1",
        "-o",
        str(out),
    )
    assert done.returncode == 0, done.stderr
    run = read_run(out / "run.trec")
    assert sorted(document.id for document in run["q1"]) == sorted(document.id for document in CANDIDATES)
    unscored = 0
    if KINDS[base] in ("pointwise", "groupwise"):
        for window in read_trace(out):
            unscored += len(window.window) if window.scores is None else window.scores.count(None)
    assert read_manifest(out)["counts"].get("unscored", 0) == unscored
    assert json.loads(done.stdout)["counts"].get("unscored", 0) == unscored


def test_true_against_false_through_a_server(
    server: srv.Server, tiny_tokenizer: Path, tmp_path: Path
) -> None:
    """Every first answer is cut; the second request is for one of two tokens, and the fifth passage is the true one."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)

    def choose(request: srv.Request) -> srv.Behaviour:
        text = tokenizer.decode(request.body["prompt"])
        words = request.body.get("allowed_token_ids")
        usage = {"prompt_tokens": len(request.body["prompt"]), "completion_tokens": 1 if words else 32}
        found: dict[str, Any] = {"index": 0, "text": "It is. So", "finish_reason": "length"}
        if words:
            likely = [-0.1, -2.5] if "passage 5 " in text else [-2.5, -0.1]
            top = {f"token_id:{id}": value for id, value in zip(words, likely, strict=True)}
            found |= {"text": "x", "logprobs": {"top_logprobs": [top]}}
        return srv.reply({"choices": [found], "usage": usage})

    server.choose = choose
    with Reranker.from_pretrained(
        "rank1-7b", engine="openai", base_url=server.url, tokenizer=str(tiny_tokenizer),
        profile=str(own_profile(tmp_path, "rank1")),
    ) as reranker:  # fmt: skip
        ranking = reranker.rerank(Query("q", "why do moths fly to lamps"), CANDIDATES)
    assert ranking.ids[0] == "d5"
    assert ranking.ids[1:] == tuple(d.id for d in CANDIDATES if d.id != "d5")
    asked = [request.body for request in server.requests if request.path == "/v1/completions"]
    assert sorted({"allowed_token_ids" in body for body in asked}) == [False, True]
    assert all(body["logprobs"] == 20 for body in asked)
    assert {tuple(body.get("stop", ())) for body in asked} == {("</think> true", "</think> false"), ()}


def test_a_listwise_prompt_may_show_scores(tmp_path: Path) -> None:
    profile = tmp_path / "scored.toml"
    profile.write_text("extends = 'nano'\n[judge]\nscores_shown = true\n")
    candidates = [Candidate(document, 20.0 - at, at + 1) for at, document in enumerate(CANDIDATES)]
    with Reranker.from_pretrained("nano", profile=str(profile), on_error="keep") as reranker:
        ranking = reranker.rerank(Query("q", "why do moths fly to lamps"), candidates)
        assert isinstance(reranker.judge, RoutedJudge)
        assert isinstance(reranker.judge.judge_of(TaskKey()), ScoreShowingJudge)
    assert sorted(ranking.ids) == sorted(document.id for document in CANDIDATES)
    with pytest.raises(InputError, match="`scores_shown` is for listwise judges"):
        Settings.resolve(parse_profile("extends = 'rank1'\n[judge]\nscores_shown = true", "own.toml"))
