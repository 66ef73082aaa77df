"""No bytes of a file, an answer or a server lead to anything but a result or one clear line."""

from __future__ import annotations

import random

import pytest
from fuzz_targets import PIECES, TARGETS
from hypothesis import given, settings
from hypothesis import strategies as st


def changed(seed: bytes, moves: int, chance: random.Random) -> bytes:
    """The seed with so many pieces put in, cut out or doubled."""
    data = bytearray(seed)
    for _ in range(moves):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice((0, 1, 4, 40)))
        put = chance.choice((b"", bytes(data[start:end]) * 2, chance.choice(PIECES), chance.randbytes(2)))
        data[start:end] = put
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_hold(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].check(seed)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=80)
@given(st.data())
def test_changed_seeds_hold(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    seed, moves = data.draw(st.sampled_from(target.seeds)), data.draw(st.integers(1, 8))
    target.check(changed(seed, moves, data.draw(st.randoms(use_true_random=False))))


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=30)
@given(data=st.binary(max_size=100))
def test_any_bytes_hold(name: str, data: bytes) -> None:
    TARGETS[name].check(data)
