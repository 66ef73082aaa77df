"""Sampling a round's answers: all answers to one prompt are decoded as one row, over one copy of the prompt's cache."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ..engines.cached_decoding import Decoder
from ..errors import ReasonRankError
from ..types import Sampling

NARROW_EVERY = 16
"""Steps after which ended answers are taken out of the cache."""


class GroupDecoder(Decoder):
    """Decodes several answers to each prompt together: one row a prompt, whose cache holds the prompt once.

    A step feeds one token of every answer, `width` a row, and the mask shows each the prompt and its own answer.
    No library gives this: `generate` of transformers prefills and reads a copy of the prompt for every answer, copies
    the cache at every token and decodes ended answers until the last one ends: 30.6 s of processor time a round of
    recipe nano, 9.3 s here (eval/bench/reinforcement.py). vLLM shares prompts, but a CPU cannot update its weights.
    """

    width = 1
    prompt_columns = 0

    def begin(self, prompts: Sequence[Sequence[int]], width: int) -> Any:
        """The logits (rows, 1, tokens) of the first tokens of answers to these prompts, `width` to each."""
        import torch

        states = [self.prefill(ids) for ids in prompts]
        self.replace([], [pairs for _, pairs in states])
        self.width, self.prompt_columns = width, self._columns
        return torch.stack([logits for logits, _ in states])[:, None]

    def advance(self, tokens: Sequence[Sequence[int]]) -> Any:
        """The next logits (rows, width, tokens; float32) after one more token of every answer."""
        import torch
        from transformers.cache_utils import Cache

        with torch.inference_mode():
            lengths = torch.tensor(self.lengths, device=self.device)
            done = (self._columns - self.prompt_columns) // self.width
            inputs = {
                "input_ids": torch.tensor(tokens, device=self.device),
                "position_ids": (lengths + done)[:, None].expand(-1, self.width),
                "attention_mask": self._mask(lengths),
                self._cache_name: Cache(layers=list(self._layers)),
            }
            logits = self.model(**inputs, use_cache=True).logits
        self._columns += self.width
        return logits.float()

    def narrow(self, rows: Sequence[int], answers: Sequence[Sequence[int]]) -> None:
        """Keep these rows, and of each the answers at these places, equally many of every row."""
        import torch

        with torch.inference_mode():
            at = torch.tensor(answers, device=self.device)
            for layer in self._layers:
                keys, values = (self._narrowed(side[list(rows)], at) for side in (layer.keys, layer.values))
                layer.buffers, layer.length = (keys, values), keys.shape[2]
                self._columns = layer.length
        self.lengths, self.width = [self.lengths[row] for row in rows], at.shape[1]

    def _narrowed(self, side: Any, at: Any) -> Any:
        import torch

        steps = side[:, :, self.prompt_columns :].unflatten(2, (-1, self.width))
        kept = torch.take_along_dim(steps, at[:, None, None, :, None], dim=3).flatten(2, 3)
        return torch.cat([side[:, :, : self.prompt_columns], kept], dim=2)

    def _mask(self, lengths: Any) -> Any:
        """(rows, 1, width, columns), added to the scores: 0 where a new token sees the prompt or its own answer.

        Numbers, because from a mask of truth values every layer would make them again.
        """
        import torch

        places = torch.arange(self._columns + self.width, device=self.device)
        of_prompt = places < self.prompt_columns
        prompt = of_prompt & (places >= (self.prompt_columns - lengths)[:, None])
        answer = torch.arange(self.width, device=self.device)[:, None]
        own = ~of_prompt & ((places - self.prompt_columns) % self.width == answer)
        hidden = ~(prompt[:, None] | own)[:, None]
        return torch.zeros_like(hidden, dtype=self._layers[0].keys.dtype).masked_fill(hidden, float("-inf"))


@dataclass(slots=True)
class _Row:
    """The answers that one prompt's row decodes: their numbers, None where one has ended, and their last tokens."""

    numbers: list[int | None]
    tokens: list[int]

    def alive(self) -> list[int]:
        return [place for place, number in enumerate(self.numbers) if number is not None]


def sample_answers(
    model: Any, device: Any, prompts: Sequence[Sequence[int]], sampling: Sampling, end_ids: Collection[int]
) -> list[list[int]]:
    """The ids of one answer to each prompt, its end token included, drawn with torch's generator of the device.

    Equal prompts that follow each other are one group. Temperature, top-k and top-p are those of `generate`.
    ReasonRankError when the model's probabilities are NaN: its training has diverged.
    """
    groups = [list(group) for _, group in groupby(range(len(prompts)), key=lambda i: tuple(prompts[i]))]
    width = max(map(len, groups))
    rows = [_Row([*group, *[None] * (width - len(group))], [0] * width) for group in groups]
    answers: list[list[int]] = [[] for _ in prompts]
    decoder, warped = GroupDecoder(model, device), _warpers(sampling)
    logits = decoder.begin([prompts[group[0]] for group in groups], width)
    logits = logits.expand(-1, width, -1)
    for step in range(1, sampling.max_tokens + 1):
        for row, tokens in zip(rows, _drawn(logits, warped), strict=True):
            row.tokens = tokens
            for place in row.alive():
                number = row.numbers[place]
                assert number is not None
                answers[number].append(tokens[place])
                row.numbers[place] = None if tokens[place] in end_ids else number
        if step == sampling.max_tokens or not any(row.alive() for row in rows):
            break
        if step % NARROW_EVERY == 0:
            rows = _without_ended(decoder, rows)
        logits = decoder.advance([row.tokens for row in rows])
    return answers


def _without_ended(decoder: GroupDecoder, rows: list[_Row]) -> list[_Row]:
    """The rows that still decode, no wider than the one with most answers left."""
    kept = [number for number, row in enumerate(rows) if row.alive()]
    width = max(len(rows[number].alive()) for number in kept)
    if len(kept) == len(rows) and width == decoder.width:
        return rows
    places = []
    for number in kept:
        alive = rows[number].alive()
        ended = [place for place in range(decoder.width) if place not in alive]
        places.append([*alive, *ended][:width])
    decoder.narrow(kept, places)
    return [
        _Row([rows[n].numbers[p] for p in at], [rows[n].tokens[p] for p in at])
        for n, at in zip(kept, places, strict=True)
    ]


def _warpers(sampling: Sampling) -> Any:
    from transformers import (
        LogitsProcessorList,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    found = LogitsProcessorList([TemperatureLogitsWarper(float(sampling.temperature))])
    if sampling.top_k:
        found.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        found.append(TopPLogitsWarper(sampling.top_p))
    return found


def _drawn(logits: Any, warped: Any) -> list[list[int]]:
    """One token for each of (rows, width) distributions, by one uniform number each; ReasonRankError where one is NaN.

    `torch.multinomial` draws a number for every token of the vocabulary: 19 ms for 256 rows of nano, 1 ms here.
    """
    import torch

    with torch.inference_mode():
        total = torch.softmax(warped(None, logits.flatten(0, 1)), dim=-1).cumsum(-1, dtype=torch.float64)
        if bool(total[:, -1].isnan().any()):
            raise ReasonRankError(
                "the training has diverged (probabilities are NaN): set a lower learning_rate"
            )
        points = torch.rand(len(total), 1, dtype=torch.float64, device=total.device) * total[:, -1:]
        tokens: list[list[int]] = (
            torch.searchsorted(total, points, right=True).view(logits.shape[:2]).tolist()
        )
        return tokens
