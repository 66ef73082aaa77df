"""The machine's cards, memory and disk."""

from __future__ import annotations

from pathlib import Path

from reasonrank_pyserini.models.machine import Gpu, disk_free, memory_available, memory_total, parse_cards


def test_cards_are_those_that_cuda_shows() -> None:
    shown = (
        "0, GPU-aaaa1, NVIDIA A100-SXM4-80GB, 81920, 81000, 8.0\n"
        "1, GPU-bbbb2, Tesla T4, 15360, 100, 7.5\nNo devices were found\n"
    )
    first = Gpu("NVIDIA A100-SXM4-80GB", 81920 << 20, 81000 << 20, (8, 0))
    second = Gpu("Tesla T4", 15360 << 20, 100 << 20, (7, 5))
    assert parse_cards(shown) == (first, second)
    assert parse_cards(shown, "1") == parse_cards(shown, "GPU-bbbb") == (second,)
    assert parse_cards(shown, "") == parse_cards(shown, "-1") == ()
    assert parse_cards("0, GPU-c, Old, [N/A], [N/A], [N/A]\n") == ()


def test_this_machine_has_memory_and_disk(tmp_path: Path) -> None:
    total, free, disk = memory_total(), memory_available(), disk_free(tmp_path / "not" / "there")
    assert total is not None
    assert free is not None
    assert 0 < free <= total
    assert disk is not None
    assert disk > 0
