"""Settings that would change nothing are refused where a user gave them, and dropped where a profile has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import reasonrank
from http_server import Server, answer

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.jobs import (
    CollectionRequest,
    ModelRequest,
    RerankRequest,
    SettingOverrides,
    estimate,
)
from reasonrank_pyserini.models.profiles import load_profile, shipped_profile
from reasonrank_pyserini.ranking.oracle_plan import OraclePlan
from reasonrank_pyserini.ranking.settings import Settings
from reasonrank_pyserini.reproduce import ModelOverrides, ReproduceRequest
from reasonrank_pyserini.reproduce import estimate as estimate_reproduction
from reasonrank_pyserini.reproduce.reproduce_inputs import fill
from reasonrank_pyserini.strategies import Groups, Passes, Pointwise, SlidingWindow, TopDown
from reasonrank_pyserini.types import ScoredDocument


def resolved(profile: str, **given: Any) -> Settings:
    return Settings.resolve(shipped_profile(profile), SettingOverrides(**given))


@pytest.mark.parametrize(
    ("profile", "given", "problem"),
    [
        ("generic", {"strategy": "groups", "step": 5}, r"groups takes no `step`; .*sliding.*groups takes `window`"),
        ("generic", {"strategy": "pooled", "passes": 2}, "pooled takes no `passes`; .*pooled takes `window`, `b"),
        ("generic", {"strategy": "pooled", "step": 10}, "strategy pooled takes no `step`"),
        ("generic", {"budget": 8}, "strategy sliding takes no `budget`; those that do: pooled, topdown"),
        ("rank1", {"window": 10}, "strategy pointwise takes no `window`; .*pointwise takes none"),
        ("rank1", {"step": 5}, "strategy pointwise takes no `step`"),
        ("retro-star", {"strategy": "single", "force_answer": False}, r"a pointwise judge \(reading 'score'\) takes no "
         "`force_answer`, which is for listwise judges; it takes `style`, .*`min_p`$"),
        ("rank-r1", {"answer_k": 3}, "a setwise judge .* takes no `answer_k`, which is for listwise judges"),
        ("diver-grouprank", {"constrained": True}, "a groupwise judge .* takes no `constrained`"),
        ("rearank", {"compat": True, "passes": 2}, "strategy sliding takes no `passes`"),
        ("rearank", {"compat": True, "strategy_args": {"start": 5}}, "`compat` takes the windows of rearank's program"),
        ("generic", {"compat": True, "force_answer": True}, "leave out `compat` or `force_answer`"),
        ("generic", {"strategy": "pooled", "budget": 8, "strategy_args": {"budget": 6}},
         "`budget` is given twice, also as budget in `strategy_args`"),
        ("generic", {"window": 10, "strategy_args": {"size": 5}}, "`window` is given twice, also as size"),
        ("rank-r1", {"window": 10, "strategy_args": {"children": 4}}, "`window` is given twice, also as children"),
    ],
)  # fmt: skip
def test_what_changes_nothing_is_refused(profile: str, given: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        resolved(profile, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [{"constrained": False}, {"answer_k": 0}, {"seed": 3}, {"depth": 50}])
def test_what_asks_for_nothing_or_always_counts_is_taken(given: dict[str, Any]) -> None:
    resolved("rank1", **given)
    OraclePlan.make({}, 0.0, SettingOverrides(**given))


@pytest.mark.parametrize(
    "given",
    [{"constrained": True}, {"answer_k": 3}, {"force_answer": False}, {"passage_tokens": 100}, {"temperature": 0.5}],
)  # fmt: skip
def test_an_oracle_takes_no_setting_of_models(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(InputError, match=f"`judge` oracle takes no `{name}`, .*it takes `depth`, `seed`"):
        OraclePlan.make({}, 0.0, SettingOverrides(**given))


def test_a_profile_s_own_values_are_dropped_without_a_word() -> None:
    assert resolved("rearank", strategy="groups").ranking_strategy == Groups()
    assert resolved("retro-star", strategy="sliding").ranking_strategy == SlidingWindow()


def test_a_given_window_replaces_the_size_of_a_profile_s_strategy(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('strategy = "groups"\n[strategy_args]\nsize = 10\nepochs = 3\n')
    found = Settings.resolve(load_profile(path), SettingOverrides(window=5)).ranking_strategy
    assert found == Groups(size=5, epochs=3)


def test_one_pass_of_passes_is_one_pass(tmp_path: Path) -> None:
    one, two = resolved("generic", strategy="passes", passes=1), resolved("generic", strategy="passes")
    assert (one.ranking_strategy, two.ranking_strategy) == (Passes(passes=1), Passes(passes=2))
    assert (one.calls(100), two.calls(100)) == (9, 18)
    assert one.as_dict() != two.as_dict()


def test_a_budget_counts_the_calls_of_a_window() -> None:
    plain = resolved("generic", strategy="topdown", budget="40calls").ranking_strategy
    assert plain == TopDown(budget=40)
    for profile, budget, windows in (("rank1", 100, 5), ("rank1", 119, 5), ("rank1", 20, 1)):
        settings = resolved(profile, strategy="topdown", budget=f"{budget}calls")
        assert settings.ranking_strategy == TopDown(budget=windows)
        assert settings.calls(100) <= budget
    with pytest.raises(InputError, match="`budget` 19calls pays for 19 calls, one window takes 20"):
        resolved("rank1", strategy="topdown", budget="19calls")
    call = resolved("rank1", strategy="topdown").context_needed(1024)
    assert resolved("rank1", strategy="topdown", budget=f"{40 * call}tokens").calls(100) <= 40


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(always=answer("<score>50</score>")) as server:
        yield server


DOCUMENTS = [Document(f"d{i}", f"passage {i}") for i in range(30)]
RUN = {"q": [ScoredDocument(document.id, float(-at)) for at, document in enumerate(DOCUMENTS)]}


@pytest.mark.parametrize(
    ("settings", "samples", "exact"),
    [
        ({"strategy": "pointwise"}, 1, 30),
        ({"strategy": "single"}, 1, 20),
        ({"strategy": "single", "window": 5}, 3, 15),
        ({"strategy": "sliding", "window": 10, "step": 5}, 1, 50),
        ({"strategy": "groups", "window": 10, "strategy_args": {"epochs": 2}}, 2, 120),
        ({"strategy": "two-pass", "strategy_args": {"best": 5, "samples": 4}}, 1, 50),
        ({"strategy": "pooled", "window": 10}, 1, None),
        ({"strategy": "pooled", "window": 10, "budget": "35calls"}, 1, None),
        ({"strategy": "topdown", "window": 10, "budget": "80calls"}, 2, None),
        ({"strategy": "setwise", "window": 5}, 1, None),
        ({"strategy": "tournament", "window": 10}, 1, None),
    ],
)  # fmt: skip
def test_an_estimate_counts_the_calls_of_a_pointwise_model(
    server: Server, tmp_path: Path, settings: dict[str, Any], samples: int, exact: int | None
) -> None:
    profile = tmp_path / "own.toml"
    profile.write_text(f'extends = "retro-star"\nreasoning_tokens = 500\n[judge]\nsamples = {samples}\n')
    model = ModelRequest(
        model="tiny", base_urls=(server.url,), api="chat", profile=profile, settings=SettingOverrides(**settings)
    )  # fmt: skip
    request = RerankRequest(
        judge=model, run=RUN, collection=CollectionRequest(corpus=DOCUMENTS, topics=[Query("q", "question")])
    )
    found = estimate(request)
    with Reranker.from_pretrained(
        "tiny", base_url=server.url, api="chat", profile=str(profile), **settings
    ) as reranker:
        ranking = reranker.rerank("question", DOCUMENTS)
    asked = len(server.requests)
    if found.at_most:
        assert len(ranking.steps) <= found.windows
        assert asked <= found.calls
    else:
        assert (len(ranking.steps), asked) == (found.windows, found.calls)
    assert exact in (None, asked)
    budget = settings.get("budget")
    assert budget is None or asked <= found.calls <= int(budget.removesuffix("calls"))


def test_a_finished_strategy_takes_no_settings_of_strategies(server: Server) -> None:
    def made(strategy: Any, **settings: Any) -> None:
        Reranker.from_pretrained("tiny", base_url=server.url, api="chat", strategy=strategy, **settings)

    with pytest.raises(InputError, match="finished Groups, which takes no `strategy_args`, `step`: make it"):
        made(Groups(), step=5, strategy_args={"epochs": 2})
    with pytest.raises(InputError, match="`strategy` Pointwise orders passages by their scores"):
        made(Pointwise())
    with pytest.raises(InputError, match="chat message cannot be continued: leave out `force_answer`"):
        made(None, force_answer=True)


def test_a_reproduction_drops_what_a_condition_has_and_refuses_what_a_user_gave() -> None:
    other = ReproduceRequest("bright", settings=SettingOverrides(strategy="groups"))
    assert fill(other).settings.given() == {
        "window": 20,
        "depth": 100,
        "passage_tokens": 512,
        "strategy": "groups",
    }
    sized = ReproduceRequest("bright", settings=SettingOverrides(strategy_args={"size": 10}))
    assert "window" not in fill(sized).settings.given()
    with pytest.raises(InputError, match="strategy groups takes no `step`"):
        estimate_reproduction(
            ReproduceRequest("bright", settings=SettingOverrides(strategy="groups", step=10))
        )
    with pytest.raises(InputError, match="`judge` oracle asks no model: leave `model`, `engine` out"):
        fill(ReproduceRequest("bright", oracle=0.0, model=ModelOverrides(model="m", engine="vllm")))
    with pytest.raises(InputError, match="condition bm25 is a first stage: leave `window` out"):
        fill(ReproduceRequest("bright", "bm25", settings=SettingOverrides(window=10)))


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, Path]:
    run, qrels, requests = tmp_path / "run.trec", tmp_path / "qrels.txt", tmp_path / "requests.jsonl"
    run.write_text("".join(f"q Q0 d{i} {i + 1} {-i} x\n" for i in range(30)))
    qrels.write_text("q 0 d9 1\n")
    hits = [{"docid": f"d{i}", "score": -float(i), "doc": {"contents": f"text {i}"}} for i in range(30)]
    requests.write_text(json.dumps({"query": {"qid": "q", "text": "question"}, "candidates": hits}) + "\n")
    return {"run": run, "qrels": qrels, "requests": requests, "out": tmp_path / "out"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--strategy", "groups", "--step", "5"), "strategy groups takes no --step; those that do: passes, sliding"),
        (("--strategy", "pointwise", "--window", "5"), "strategy pointwise takes no --window"),
        (("--strategy", "pooled", "--budget", "8", "--strategy-arg", "budget=8"),
         "--budget is given twice, also as budget in --strategy-arg of strategy pooled"),
        (("--constrained",), "--judge oracle takes no --constrained, which is for listwise judges"),
        (("--answer-k", "3"), "--judge oracle takes no --answer-k"),
        (("--passage-tokens", "100"), "--judge oracle takes no --passage-tokens, which is for models"),
        (("--model", "m", "--api", "chat", "--base-url", "http://h/v1"),
         "--judge oracle does not use --model, --api, --base-url"),
    ],
)  # fmt: skip
def test_the_command_names_its_options(
    files: Mapping[str, Path], options: tuple[str, ...], problem: str
) -> None:
    oracle = ("--run", files["run"], "--judge", "oracle", "--qrels", files["qrels"])
    done = reasonrank("rerank", *oracle, *options, "-o", files["out"])
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert not files["out"].exists()


def test_the_oracle_s_options_are_refused_for_a_model(files: Mapping[str, Path]) -> None:
    asked = ("rerank", "--requests", files["requests"], "--model", "nano", "--qrels", files["qrels"])
    done = reasonrank(*asked, "--qrels-kind", "fixed", "-o", files["out"])
    assert done.returncode == 2
    assert "--judge llm does not use --qrels, --qrels-kind" in done.stderr


def test_a_dry_run_prints_calls_where_they_are_not_windows(files: Mapping[str, Path], server: Server) -> None:
    asked = (
        "rerank",
        "--requests",
        files["requests"],
        "--model",
        "m",
        "--api",
        "chat",
        "--base-url",
        server.url,
    )
    done = reasonrank(*asked, "--profile", "retro-star", "--strategy", "single", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "windows            1\ncalls              20\n" in done.stdout
    assert " a call, measured on 1 windows)" in done.stdout
    done = reasonrank(*asked, "--profile", "reasonrank-7b", "--dry-run")
    assert "windows            2\nprompt tokens " in done.stdout
