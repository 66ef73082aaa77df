from __future__ import annotations

import struct
from pathlib import Path

import pytest

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.training.curves import (
    append_log,
    draw,
    log_line,
    read_log,
    short,
    smoothed,
    write_log,
)


def test_a_line_of_the_log_has_our_names_and_no_times() -> None:
    logged = {
        "loss": 0.5, "learning_rate": 1e-6, "grad_norm": 2.0, "step_time": 3.1, "reward": 0.7, "rewards/ndcg/mean": 0.6,
        "rewards/total/mean": 0.7, "rewards/format/mean": 0.9, "completions/mean_length": 12.0, "epoch": 0.1,
        "kl": None,
    }  # fmt: skip
    assert log_line(7, logged) == {
        "step": 7, "loss": 0.5, "lr": 1e-6, "grad_norm": 2.0, "epoch": 0.1, "reward": 0.7, "ndcg": 0.6, "format": 0.9,
        "length": 12.0,
    }  # fmt: skip
    assert log_line(7, {"train_runtime": 3.0, "epoch": 1.0}) is None


def test_a_log_is_written_whole_and_grows_by_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write_log(path, [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}])
    append_log(path, {"step": 3, "loss": 0.5})
    assert [line["step"] for line in read_log(path)] == [1, 2, 3]
    write_log(path, [])
    with pytest.raises(InputError, match="holds no step"):
        read_log(path)


def test_the_line_for_the_user_has_what_matters() -> None:
    assert short({"step": 3, "loss": 0.25, "reward": 1.0, "lr": 1.0}, 10) == "step 3/10  loss 0.25  reward 1"


def test_smoothing_is_the_mean_of_neighbours() -> None:
    assert smoothed([0, 3, 6, 9], 3) == [(0 + 3) / 2, (0 + 3 + 6) / 3, (3 + 6 + 9) / 3, (6 + 9) / 2]
    assert smoothed([1, 2, 3], 1) == [1, 2, 3]


def size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def test_the_picture_has_a_panel_for_everything_that_was_logged(tmp_path: Path) -> None:
    steps = range(1, 41)
    plain = [{"step": s, "loss": 1 / s} for s in steps]
    sft = [{**line, "lr": 1e-3, "accuracy": 0.5} for line in plain]
    views = {"reward": 0.5, "ndcg": 0.4, "recall": 1, "rbo": 0.2, "format": 1, "kl": 0.0}
    grpo = [
        {**line, "lr": 1e-3, **(views | {"length": 9, "length_min": 3, "length_max": 20} if s % 2 else {})}
        for s, line in zip(steps, plain, strict=True)
    ]
    sizes = []
    for name, lines in (("plain", plain), ("sft", sft), ("grpo", grpo)):
        draw(lines, tmp_path / f"{name}.png", name)
        sizes.append(size(tmp_path / f"{name}.png"))
    (one, low), (two, higher), (wide, highest) = sizes
    assert one < two == wide
    assert low < higher < highest  # 1, 2 and 4 rows


def test_equal_logs_make_equal_pictures(tmp_path: Path) -> None:
    lines = [{"step": s, "loss": 1 / s, "lr": 0.1} for s in range(1, 5)]
    for name in ("a.png", "b.png"):
        draw(lines, tmp_path / name, "x")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    other = [{**line, "loss": line["loss"] + 1} for line in lines]
    draw(other, tmp_path / "c.png", "x")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "c.png").read_bytes()


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        draw([{"step": 1, "loss": 1.0}], tmp_path / "no-folder" / "x.png", "x")
