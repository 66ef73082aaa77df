"""The figures of a diagnosis, from windows written out by hand."""

from __future__ import annotations

import pytest
from diagnosis_kit import letters, scored, window
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.evaluation.diagnosis.calibration import calibration
from reasonrank_pyserini.evaluation.diagnosis.counted_mean import FEW_QUERIES, CountedMean, Tally
from reasonrank_pyserini.evaluation.diagnosis.judged_windows import (
    JudgedWindow,
    first_looks,
    judged_trace,
    places_by_order,
    places_by_score,
)
from reasonrank_pyserini.evaluation.diagnosis.place_bands import GAPS, band_of, gap_of, place_bands
from reasonrank_pyserini.evaluation.statistics import bootstrap_ratio
from reasonrank_pyserini.jobs.trace import TracedWindow


def line(shown: str, order: str, status: str = "CLEAN", query: str = "q", **more: object) -> TracedWindow:
    record = {"query_id": query, "window": list(shown), "order": list(order), "status": status, **more}
    return TracedWindow.from_record(record)


# ---- means and their counts


def test_a_ratio_weighs_queries_by_what_they_count() -> None:
    found = bootstrap_ratio([(1.0, 1.0), (0.0, 3.0)])
    # both from the first query, both from the second, or one of each
    assert (found.mean, found.low, found.high) == (1 / 4, 0 / 6, 2 / 2)
    assert bootstrap_ratio([(3.0, 4.0)]).mean == 3 / 4
    assert bootstrap_ratio([(1.0, 2.0)] * 9) == bootstrap_ratio([(1.0, 2.0)] * 9, seed=5)
    for counts in ([], [(1.0, 0.0)], [(float("nan"), 1.0)]):
        with pytest.raises(InputError):
            bootstrap_ratio(counts)


def test_a_mean_has_its_counts_and_no_interval_over_one_query() -> None:
    tally = Tally()
    tally.add("x", "q1", 2, 3)
    assert tally.mean("x") == CountedMean(2 / 3, None, None, 3, 1)
    tally.add("x", "q2", 1)
    tally.add("x", "q3", 0, 0)
    found = tally.mean("x")
    assert (found.mean, found.count, found.queries, found.few) == ((2 + 1) / (3 + 1), 4, 2, True)
    for number in range(FEW_QUERIES):
        tally.add("x", f"more{number}", 1)
    assert not tally.mean("x").few
    assert tally.mean("y") == CountedMean()
    assert not CountedMean().few


# ---- what a window says


def test_places_of_an_order() -> None:
    assert places_by_order("abcd", "cabd") == (2, 3, 1, 4)
    assert places_by_order("abcd", "cabd", 1) == (3, 3, 1, 3), "2 to 4 are one place"
    assert places_by_order("abcd", "cabd", 2) == (2, 3.5, 1, 3.5)
    assert places_by_order("ab", "ba", 5) == (2, 1)


def test_places_of_scores() -> None:
    assert places_by_score((0.1, 0.9, 0.5)) == (3, 1, 2)
    assert places_by_score((0.5, 0.9, 0.5, None, 0.5)) == (3, 1, 3, None, 3)
    assert places_by_score((None, None)) == (None, None)


@given(letters, st.randoms(use_true_random=False), st.integers(1, 12))
def test_places_sum_to_those_of_the_window(shown: tuple[str, ...], random: object, asked: int) -> None:
    order = list(shown)
    random.shuffle(order)  # type: ignore[attr-defined]
    n = len(shown)
    places = places_by_order(shown, order, asked)
    assert sum(places) == pytest.approx(n * (n + 1) / 2)
    assert sorted(shown, key=lambda id: places[shown.index(id)])[:asked] == order[:asked] or asked >= n
    ranks = places_by_score([-place for place in places])
    assert ranks == places


def test_only_pairs_that_were_ordered_count() -> None:
    assert list(window("abc", "bac").pairs()) == [(0, 1, False), (0, 2, True), (1, 2, True)]
    assert list(scored("abcd", 1.0, 1.0, None, 2.0).pairs()) == [(0, 3, False), (1, 3, False)]


def test_windows_without_a_whole_answer_are_counted_and_seen() -> None:
    trace = judged_trace(
        [
            line("ab", "ba"),
            line("cd", "cd", "FAILED", error="the server said no"),
            line("de", "ed", "REPAIRED", forced=True),
            line("fg", "gf", "REPAIRED", scores=[None, 3]),
            line("xy", "xy", query="r"),
        ]
    )
    assert (trace.total, trace.used, trace.forced, trace.errors) == (5, 3, 1, 1)
    assert trace.left_out == {"FAILED": 1, "REPAIRED": 1}
    assert list(trace.windows) == ["q", "r"]
    first, failed, repaired, part = trace.windows["q"]
    assert (first.places, failed.places, repaired.places) == ((2, 1), (None, None), (None, None))
    assert part.places == (None, 1)
    assert [look.shown for look in first_looks(trace.windows["q"])] == [("a", "b"), ("c", "d"), ("f", "g")]


@pytest.mark.parametrize("scores", [[1], [1, "x"], [1, float("nan")], "ab", {"a": 1}])
def test_scores_that_do_not_fit_are_refused(scores: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        line("ab", "ba", scores=scores)


def test_first_looks_leave_out_what_was_shown_before() -> None:
    looks = first_looks([window("cde", "dce"), window("abdc", "cbad"), window("abcd", "abcd")])
    assert [(look.shown, look.places) for look in looks] == [(tuple("cde"), (2, 1, 3)), (tuple("ab"), (2, 1))]


@given(st.lists(letters, max_size=6))
def test_every_pair_is_first_looked_at_once(shown: list[tuple[str, ...]]) -> None:
    looks = first_looks([JudgedWindow(one, places_by_order(one, sorted(one))) for one in shown])
    seen = [id for look in looks for id in look.shown]
    assert len(seen) == len(set(seen))
    for look in looks:
        assert look.places == places_by_order(look.shown, sorted(look.shown))


def test_bands() -> None:
    assert place_bands(0) == []
    assert place_bands(4) == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert place_bands(20) == [(1, 1), (2, 3), (4, 5), (6, 10), (11, 15), (16, 20)]
    assert place_bands(12)[-1] == (11, 12)
    assert [band_of(place, place_bands(20)) for place in (1, 1.5, 2, 3.5, 6, 20)] == [0, 0, 1, 1, 3, 5]
    assert [GAPS[gap_of(gap)] for gap in (0.5, 1, 2, 3.5, 4, 8, 19)] == [
        (1, 1), (1, 1), (2, 3), (2, 3), (4, 7), (8, None), (8, None),
    ]  # fmt: skip


@given(st.integers(1, 200))
def test_bands_cover_every_place_once(size: int) -> None:
    bands = place_bands(size)
    assert [place for first, last in bands for place in range(first, last + 1)] == list(range(1, size + 1))
    assert all(bands[band_of(p, bands)][0] <= p <= bands[band_of(p, bands)][1] for p in range(1, size + 1))


# ---- calibration


def test_pairs_by_hand() -> None:
    windows = {"q": [window("abcd", "bdac")], "r": [window("xy", "yx")], "unjudged": [window("ab", "ab")]}
    found = calibration(windows, {"q": frozenset("bc"), "r": frozenset("x")})
    # b before a and d, c after both; x after y
    assert (found.right.mean, found.right.count) == (2 / 5, 5)
    assert found.first_look == found.right
    # b-d, c-d and x-y are shown with the relevant one above: only b-d is right; b-a and c-a below
    assert (found.shown_above.mean, found.shown_below.mean) == (1 / 3, 1 / 2)
    # b 1, d 2, a 3, c 4
    by_gap = {band.first: (band.figure.mean, band.figure.count) for band in found.gaps}
    assert by_gap == {1: ((1 + 0 + 0) / 3, 3), 2: ((1 + 0) / 2, 2), 4: (None, 0), 8: (None, 0)}
    assert [band.figure.mean for band in found.places] == [1.0, 0.0, 0.0, 1.0]
    assert (found.scores, found.median_tokens) == (None, None)


def test_long_completions_apart_from_short_ones() -> None:
    right, wrong = places_by_order("ab", "ba"), places_by_order("ab", "ab")
    lengths = {"q": (10, right), "r": (20, right), "s": (30, wrong)}
    windows = {
        id: [JudgedWindow(("a", "b"), places, None, tokens)] for id, (tokens, places) in lengths.items()
    }
    found = calibration(windows, dict.fromkeys(windows, frozenset("b")))
    assert (found.median_tokens, found.short.mean, found.long.mean) == (20, 1.0, 0.0)
    assert (found.short.count, found.long.count) == (2, 1)


def test_probabilities_by_hand() -> None:
    windows = {"q": [scored("abc", 0.9, 0.1, 0.5)], "r": [scored("xy", 0.7, 0.7), scored("xy", 0.5, 0.7)]}
    found = calibration(windows, {"q": frozenset("ac"), "r": frozenset("x")}).scores
    assert found is not None
    # a and c before b; x (mean 0.6) after y (0.7)
    assert (found.auc.mean, found.auc.count) == (2 / 3, 3)
    filled = [
        (round(one.low, 9), one.relevant.mean, one.relevant.count) for one in found.bins if one.relevant.count
    ]
    assert filled == [(0.0, 0.0, 1), (0.4, 1.0, 1), (0.6, 0.5, 2), (0.8, 1.0, 1)]
    error = (abs(0.1 - 0) + abs(0.5 - 1) + 2 * abs(0.65 - 0.5) + abs(0.9 - 1)) / 5
    assert (found.error.mean, found.error.count) == (pytest.approx(error), 5)


def test_other_scores_have_bins_and_no_error() -> None:
    found = calibration({"q": [scored("abc", 10.0, 0.0, 10.0)]}, {"q": frozenset("a")}).scores
    assert found is not None
    assert found.error == CountedMean()
    assert found.auc.mean == (1 + 0.5) / 2
    assert [(one.low, one.high) for one in found.bins] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    assert [one.relevant.count for one in found.bins] == [1, 0, 0, 0, 2]
    alike = calibration({"q": [scored("ab", 7.0, 7.0)]}, {"q": frozenset("a")}).scores
    assert alike is not None
    assert (alike.auc.mean, sum(one.relevant.count for one in alike.bins)) == (0.5, 2)


@given(st.lists(letters, min_size=1, max_size=5), st.frozensets(st.sampled_from("abcdefghij")))
def test_a_perfect_judge_is_right_wherever_passages_are_shown(
    shown: list[tuple[str, ...]], relevant: frozenset[str]
) -> None:
    windows = [
        JudgedWindow(one, places_by_order(one, sorted(one, key=lambda id: id not in relevant)))
        for one in shown
    ]
    found = calibration({"q": windows}, {"q": relevant})
    for figure in (found.right, found.first_look, found.shown_above, found.shown_below):
        assert figure.mean in (None, 1.0)
    assert found.shown_above.count + found.shown_below.count == found.first_look.count
    assert sum(band.figure.count for band in found.gaps) == found.right.count
