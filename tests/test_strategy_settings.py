"""A strategy by name, from the command line and from Python: what runs, what is recorded, what it is said to cost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from commands import reasonrank
from http_server import Server

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.errors import InputError, UnknownNameError
from reasonrank_pyserini.evaluation.report import read_result
from reasonrank_pyserini.jobs import (
    CollectionRequest,
    ModelRequest,
    OracleRequest,
    RerankRequest,
    SettingOverrides,
    estimate,
    rerank,
)
from reasonrank_pyserini.jobs.trace import read_query
from reasonrank_pyserini.models.profiles import shipped_profile
from reasonrank_pyserini.ranking.judge import window_seed
from reasonrank_pyserini.ranking.settings import Settings
from reasonrank_pyserini.strategies import (
    STRATEGIES,
    Groups,
    Passes,
    PooledWindows,
    RankingStrategy,
    Sampled,
    Setwise,
    SlidingWindow,
    TopDown,
    named_strategy,
    strategy_options,
)
from reasonrank_pyserini.strategies.checked_flow import checked_flow
from reasonrank_pyserini.testing import check_strategy
from reasonrank_pyserini.types import Flow, ScoredDocument, Verdict

PROFILE = shipped_profile("reasonrank-7b")
DOCUMENTS = [Document(f"d{i}", f"passage {i}") for i in range(100)]
RUN = {"q": [ScoredDocument(document.id, float(-at)) for at, document in enumerate(DOCUMENTS)]}
WORLD = CollectionRequest(corpus=DOCUMENTS, topics=[Query("q", "question")])
QRELS = {"q": {"d95": 2, "d50": 1}}


def resolved(**given: Any) -> Settings:
    return Settings.resolve(PROFILE, SettingOverrides(**given))


@dataclass(frozen=True)
class TopTwo:
    """A user's own strategy: the first two candidates, once."""

    worst_first: bool = False

    def rank(self, n: int) -> Flow:
        (verdict,) = yield [(1, 0) if self.worst_first else (0, 1)]
        first = (1, 0) if self.worst_first else (0, 1)
        return (*(first[at] for at in verdict.order), *range(2, n))

    def calls(self, n: int) -> int:
        return 1

    def rounds(self, n: int) -> int:
        return 1

    def passages(self, n: int) -> int:
        return 2


@pytest.mark.parametrize(
    ("given", "strategy"),
    [
        ({}, SlidingWindow()),
        ({"window": 10}, SlidingWindow(10, 10)),
        ({"strategy": "sliding", "strategy_args": {"size": 10, "step": 5}}, SlidingWindow(10, 5)),
        ({"strategy": "passes"}, Passes()),
        ({"strategy": "passes", "passes": 3}, Passes(passes=3)),
        ({"strategy": "passes", "passes": 1}, Passes(passes=1)),
        ({"strategy": "pooled", "window": 10}, PooledWindows(10)),
        ({"strategy": "pooled", "budget": 6}, PooledWindows(budget=6)),
        ({"strategy": "topdown", "budget": "6calls"}, TopDown(budget=6)),
        ({"strategy": "topdown", "window": 10}, TopDown(10)),
        ({"strategy": "topdown", "strategy_args": {"budget": None}}, TopDown(budget=None)),
        ({"strategy": "groups", "seed": 7, "strategy_args": {"epochs": 6}}, Groups(epochs=6, seed=7)),
        (
            {"strategy": "pooled", "seed": 2, "strategy_args": {"samples": 3}},
            PooledWindows(samples=3, seed=2),
        ),
        ({"strategy_args": {"samples": 1}}, SlidingWindow()),
        ({"strategy_args": {"samples": 3, "size": 10}, "seed": 5}, Sampled(SlidingWindow(10, 10), 3, 5)),
        (
            {"strategy": "topdown", "budget": "7calls", "strategy_args": {"samples": 2}},
            Sampled(TopDown(budget=3), 2),
        ),
        ({"strategy": "setwise", "window": 5}, Setwise(children=4)),
        ({"strategy": "setwise", "strategy_args": {"children": 4}, "compat": True}, Setwise(10, 4, True)),
        ({"strategy": f"{__name__}:TopTwo", "strategy_args": {"worst_first": True}}, TopTwo(True)),
    ],
)
def test_settings_make_the_strategy(given: dict[str, Any], strategy: RankingStrategy) -> None:
    made = resolved(**given).ranking_strategy
    assert made == strategy
    assert type(made).__name__ == type(strategy).__name__


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("window", [2, 3, 10, 100])
def test_every_strategy_takes_every_window(name: str, window: int) -> None:
    sized = {"size", "children"} & set(strategy_options(name) or ())
    check_strategy(resolved(strategy=name, **({"window": window} if sized else {})).ranking_strategy)


def test_the_default_says_nothing_of_strategies() -> None:
    values = resolved().as_dict()
    assert not {"strategy", "strategy_args", "budget"} & values.keys()
    assert resolved(strategy="sliding").as_dict() == values
    assert resolved(strategy="sliding", strategy_args={"size": 10}).as_dict() == resolved(window=10).as_dict()
    other = resolved(strategy="pooled", budget="8calls").as_dict()
    assert other == {**values, "strategy": "pooled", "budget": "8calls"}
    assert resolved(strategy="pooled", budget=8).as_dict() == other


def test_a_window_named_by_the_strategy_decides_the_context() -> None:
    small = resolved(strategy="groups", strategy_args={"size": 5})
    assert small.window == 5
    assert small.context_needed() == resolved(window=5).context_needed()


def test_a_budget_of_tokens_pays_for_calls_at_their_longest() -> None:
    call = resolved(strategy="pooled").context_needed(1024)
    assert resolved(strategy="pooled", budget=f"{3 * call}tokens").ranking_strategy == PooledWindows(budget=3)
    assert resolved(strategy="pooled", budget=f"{3 * call - 1}tokens").ranking_strategy == PooledWindows(
        budget=2
    )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"budget": 8}, "strategy sliding takes no `budget`; those that do: pooled, topdown"),
        ({"strategy": "pooled", "budget": "8 queries"}, "`budget` '8 queries' is not a number of calls"),
        ({"strategy": "pooled", "budget": 0}, "`budget` 0 is not a number of calls"),
        ({"strategy": "pooled", "budget": "100tokens"}, "`budget` 100tokens is less than one call may take"),
        ({"strategy": "pooled", "strategy_args": {"epochs": 2}}, "unknown pooled option 'epochs'"),
        ({"strategy": "pooled", "strategy_args": {"noise": "low"}}, "noise is 'low', it must be a number"),
        ({"strategy_args": {"sampels": 2}}, "unknown sliding option 'sampels': did you mean 'samples'"),
        ({"strategy_args": {"samples": 2.5}}, "samples is 2.5, it must be a whole number from 1"),
        ({"strategy_args": {"samples": 2}, "compat": True}, "`compat` judges every window once"),
        ({"strategy": "topdown", "budget": 1, "strategy_args": {"samples": 2}}, "less than the 2 samples"),
        ({"strategy": "pointwise", "strategy_args": {"samples": 2}}, "takes no samples: two-pass does"),
        ({"strategy_args": {"size": 10, "step": 20}}, "step 20 is larger than the window of 10"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        resolved(**given)


def test_an_unknown_strategy_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'topdown'"):
        resolved(strategy="top-down")


def test_another_strategy_is_another_result(tmp_path: Path) -> None:
    def request(**settings: Any) -> RerankRequest:
        judge = OracleRequest(qrels=QRELS, settings=SettingOverrides(**settings))
        return RerankRequest(output=tmp_path / "out", judge=judge, run=RUN)

    assert rerank(request()).counts.windows == 9
    assert rerank(request(strategy="sliding")).already_there
    with pytest.raises(InputError, match=r'settings\.strategy: null there, "pooled" now'):
        rerank(request(strategy="pooled"))
    result = rerank(replace(request(strategy="pooled"), overwrite=True))
    assert result.counts.windows == 8
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["configuration"]["settings"]["strategy"] == manifest["settings"]["strategy"] == "pooled"


@pytest.mark.parametrize(
    "name", ["single", "passes", "topdown", "groups", "setwise", "pointwise", "two-pass", "tournament"]
)
def test_an_oracle_judges_for_every_strategy(tmp_path: Path, name: str) -> None:
    settings = SettingOverrides(strategy=name)
    request = RerankRequest(
        output=tmp_path / "out", judge=OracleRequest(qrels=QRELS, settings=settings), run=RUN
    )
    best = [hit.id for hit in rerank(request).run()["q"]][:2]
    assert best == (["d0", "d1"] if name == "single" else ["d95", "d50"])


def test_an_adaptive_strategy_reports_the_windows_that_it_judged(tmp_path: Path) -> None:
    settings = SettingOverrides(strategy="topdown")
    request = RerankRequest(
        output=tmp_path / "out", judge=OracleRequest(qrels={"q": {"d0": 1}}, settings=settings), run=RUN
    )
    assert (estimate(request).windows, estimate(request).at_most) == (7, True)
    assert rerank(request).counts.windows == 6  # nothing is above the pivot
    assert rerank(request).counts.windows == 6


def test_a_report_of_another_strategy_needs_the_first_stage(tmp_path: Path) -> None:
    request = RerankRequest(
        output=tmp_path / "out",
        judge=OracleRequest(qrels={"q": {"d0": 1}}, settings=SettingOverrides(strategy="groups")),
        run=RUN,
    )
    rerank(request)
    with pytest.raises(InputError, match="give the first stage as `run`"):
        read_result("out", tmp_path / "out")
    before = read_result("out", tmp_path / "out", RUN).queries[0].before
    assert before == tuple(hit.id for hit in RUN["q"])


class Faulty:
    """A strategy with one mistake."""

    def __init__(self, mistake: str = "making") -> None:
        if mistake == "making":
            raise RuntimeError("not made")
        self.mistake = mistake

    def rank(self, n: int) -> Any:
        if self.mistake == "flow":
            raise KeyError("lost")
        yield [(0, n)] if self.mistake == "window" else [(0, 1)]
        return (0, 0)

    def calls(self, n: int) -> Any:
        return "many" if self.mistake == "cost" else 1

    rounds = passages = calls


def run_through(flow: Flow) -> None:
    next(flow)
    flow.send([Verdict((0, 1))])


def test_a_faulty_strategy_is_named() -> None:
    for mistake, words in (("making", "RuntimeError: not made"), ("cost", "is 'many'")):
        with pytest.raises(InputError, match=words):
            named_strategy(f"{__name__}:Faulty", {"mistake": mistake})
    for mistake, words in (("flow", "KeyError"), ("window", "window"), ("order", "its order")):
        with pytest.raises(InputError, match=f"strategy {__name__}:Faulty.*{words}"):
            run_through(checked_flow(Faulty(mistake), 3))


@pytest.mark.parametrize(
    ("name", "option"), [("pooled", "budget"), ("groups", "epochs"), ("two-pass", "samples")]
)
def test_millions_of_windows_are_a_mistake(name: str, option: str) -> None:
    with pytest.raises(InputError, match=option):
        named_strategy(name, {option: 10**9})


def test_settings_of_listwise_judges_are_refused_for_others() -> None:
    with pytest.raises(InputError, match="listwise"):
        Settings.resolve(shipped_profile("rank1"), SettingOverrides(answer_k=3))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ([], "windows            9\n"),
        (["--strategy", "pooled"], "windows            8\n"),
        (["--strategy", "pooled", "--strategy-arg", "adaptive=true"], "windows            8 at most\n"),
        (["--strategy", "setwise"], "windows            25 at most\n"),
    ],
)
def test_a_dry_run_says_where_windows_are_an_upper_bound(
    inputs: Mapping[str, Path], more: list[str], line: str
) -> None:
    assert line in command(inputs, *more, "--dry-run")[1]


def test_estimates_use_the_strategy(server: Server) -> None:
    def found(**settings: Any) -> Any:
        model = ModelRequest(
            model="tiny", base_urls=(server.url,), api="chat", settings=SettingOverrides(**settings)
        )
        return estimate(RerankRequest(judge=model, run=RUN, collection=WORLD))

    sliding, groups, tournament = found(), found(strategy="groups"), found(strategy="tournament")
    assert (sliding.windows, groups.windows, tournament.windows) == (9, 10, 11)
    assert sliding.prompt_tokens == groups.prompt_tokens
    assert sliding.prompt_tokens * 200 / 11 / 20 < tournament.prompt_tokens < sliding.prompt_tokens


def test_scores_are_missed_before_anything_runs(server: Server) -> None:
    model = ModelRequest(
        model="tiny", base_urls=(server.url,), api="chat", settings=SettingOverrides(strategy="pointwise")
    )
    with pytest.raises(InputError, match="`strategy` pointwise orders passages by their scores"):
        estimate(RerankRequest(judge=model, run=RUN, collection=WORLD))


@pytest.mark.parametrize("strategy", ["groups", Groups(epochs=1), f"{__name__}:TopTwo"])
def test_from_pretrained(server: Server, strategy: Any) -> None:
    with Reranker.from_pretrained("tiny", base_url=server.url, api="chat", strategy=strategy) as reranker:
        ranking = reranker.rerank("question", DOCUMENTS)
    calls = {"groups": 10, Groups(epochs=1): 5}.get(strategy, 1)
    assert len(ranking.steps) == len(server.requests) == calls
    assert sorted(ranking.ids) == sorted(document.id for document in DOCUMENTS)


@pytest.fixture
def inputs(tmp_path: Path) -> Mapping[str, Path]:
    run = tmp_path / "run.trec"
    run.write_text("".join(f"q Q0 d{i} {i + 1} {-i} x\n" for i in range(100)))
    qrels = tmp_path / "qrels.txt"
    qrels.write_text("q 0 d95 1\n")
    return {"run": run, "qrels": qrels, "out": tmp_path / "out"}


def command(inputs: Mapping[str, Path], *more: str) -> Sequence[Any]:
    shared = ("--run", inputs["run"], "--judge", "oracle", "--qrels", inputs["qrels"])
    done = reasonrank("rerank", *shared, *more, "-o", inputs["out"])
    return done.returncode, done.stdout, done.stderr


def test_the_command_takes_a_strategy_its_options_and_a_budget(inputs: Mapping[str, Path]) -> None:
    code, out, err = command(
        inputs, "--strategy", "pooled", "--strategy-arg", "adaptive=true", "--strategy-arg", "margin=1.5",
        "--budget", "6calls",
    )  # fmt: skip
    assert code == 0, err
    assert 5 <= json.loads(out)["windows"] <= 6
    settings = json.loads((inputs["out"] / "manifest.json").read_text())["settings"]
    assert settings["strategy_args"] == {"adaptive": True, "margin": 1.5}
    assert (settings["strategy"], settings["budget"]) == ("pooled", "6calls")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--strategy", "poled"], "unknown strategy 'poled': did you mean 'pooled'?"),
        (
            ["--strategy", "groups", "--strategy-arg", "epoch=3"],
            "unknown groups option 'epoch': did you mean 'epochs'?",
        ),
        (["--strategy", "groups", "--strategy-arg", "epochs"], "--strategy-arg 'epochs' is not KEY=VALUE"),
        (["--budget", "8"], "strategy sliding takes no --budget"),
        (["--strategy", "pooled", "--budget", "many"], "--budget 'many' is not a number of calls"),
        (["--strategy", "json:loads"], "strategy json:loads cannot be made"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(
    inputs: Mapping[str, Path], more: list[str], problem: str
) -> None:
    code, out, err = command(inputs, *more)
    assert (code, out) == (2, "")
    assert problem in err
    assert "Traceback" not in err


def test_show_gives_the_final_order(inputs: Mapping[str, Path]) -> None:
    assert command(inputs, "--strategy", "groups")[0] == 0
    done = reasonrank("show", inputs["out"], "--query", "q", "--top", "2")
    assert done.stdout.startswith(
        "query q: 10 windows, 100 candidates reranked\n\nrank  docid\n   1  d95\n   2  d"
    )


def test_the_page_gives_the_cost_of_every_strategy() -> None:
    page = (Path(__file__).parents[1] / "docs" / "strategies.md").read_text()
    rows = re.findall(
        r"^\| `([\w-]+)` \| (?:up to )?(\d+) \| (?:up to )?(\d+) \| (?:up to )?(\d+) \|", page, re.MULTILINE
    )
    made = {name: named_strategy(name, {}) for name in STRATEGIES}
    costs = {name: (one.calls(100), one.rounds(100), one.passages(100)) for name, one in made.items()}
    assert {name: tuple(map(int, cost)) for name, *cost in rows} == costs


def test_samples_are_recorded_and_differ_in_their_order(tmp_path: Path) -> None:
    request = RerankRequest(
        judge=OracleRequest(
            qrels={"q": {"d5": 1}}, settings=SettingOverrides(depth=20, strategy_args={"samples": 3})
        ),
        run=RUN, collection=WORLD, output=tmp_path / "out",
    )  # fmt: skip
    order = [hit.id for hit in rerank(request).run()["q"]]
    assert order[0] == "d5"
    lines = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert sorted(line["sample"] for line in lines) == [0, 1, 2]
    assert len({tuple(line["window"]) for line in lines}) == 3
    found = read_query(tmp_path / "out", "q")  # shuffled windows say nothing of former ranks
    assert (found.before, found.after) == ((), tuple(order))


def test_samples_have_seeds_of_their_own() -> None:
    numbers: list[int] = []

    class Numbering:
        async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
            numbers.append(window)
            return Verdict(tuple(range(len(documents))))

    with Reranker(Numbering(), strategy=PooledWindows(samples=3)) as reranker:
        steps = reranker.rerank(Query("q", "x"), DOCUMENTS).steps
    assert len({window_seed(0, "q", number) for number in numbers}) == 3 * 8
    assert sorted(step.sample for step in steps) == [0] * 8 + [1] * 8 + [2] * 8
