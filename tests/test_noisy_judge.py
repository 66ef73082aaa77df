"""The modelled judge of eval/bench: what it is fitted to, and that its figures do not depend on chance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1] / "eval" / "bench"
SCRIPT = """
from judge_model import Case, NoisyJudge, World, dcg, fitted, fused, judged
from reasonrank_pyserini.strategies import PooledWindows, SlidingWindow

cases = [Case(str(n), tuple(int(at in (5 + n % 20, 50)) for at in range(100)), dcg([1, 1])) for n in range(60)]
best = list(range(100))
assert cases[3].ndcg([50, 8, *range(5)]) == 1.0
assert cases[3].ndcg([0, 50, 8]) == dcg([0, 1, 1]) / dcg([1, 1])
assert fused([2, 1, 0]) == (0, 2, 1)  # 1/61 + 1/63 is more than 2/62

a = fitted(cases, 0.6, 0.8, range(3))
world = World({"task": cases}, {"task": a}, 0.8)
(found,) = world.results(SlidingWindow(), ["task"], range(3)).values()
assert abs(sum(one.ndcg for one in found) / 60 - 0.6) < 0.01
assert (found[0].calls, found[0].rounds, found[0].passages) == (9, 9, 180)

first, again = (world.results(PooledWindows(), ["task"], range(2))["task"] for _ in range(2))
assert first == again
one, other = NoisyJudge(cases[0], a, 0.8, 1), NoisyJudge(cases[0], a, 0.8, 2)
assert one.utilities != other.utilities
assert NoisyJudge(cases[0], a, 0.0, 1).judge((0, 1, 2)).order == NoisyJudge(cases[0], a, 0.0, 1).judge((0, 1, 2)).order
"""


def test_the_model_is_fitted_and_repeats_itself() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=BENCH, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_script_prints_a_table(tmp_path: Path) -> None:
    for folder in ("runs", "qrels", "excluded"):
        (tmp_path / folder).mkdir()
    for task in ("biology", "economics"):
        hits = "".join(f"{query} Q0 d{at} {at + 1} {-at} x\n" for query in range(4) for at in range(30))
        (tmp_path / "runs" / f"{task}.run.txt").write_text(hits)
        (tmp_path / "qrels" / f"{task}.txt").write_text(
            "".join(f"{query} 0 d{7 * query + 5} 1\n" for query in range(4))
        )
    (tmp_path / "excluded" / "economics.txt").write_text("0 d5\n")
    command = [
        sys.executable,
        "noisy_judge.py",
        str(tmp_path),
        "--seeds",
        "1",
        "--noise",
        "0.8",
        "--resamples",
        "100",
    ]
    done = subprocess.run(command, cwd=BENCH, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "chosen on biology; reported on economics" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("| single |"))
    assert [cell.strip() for cell in line.split("|")[4:7]] == ["1.0", "1.0", "20"]
