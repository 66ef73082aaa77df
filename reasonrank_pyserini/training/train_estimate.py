"""What a training stage would be: settings, data, steps and memory, without training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..models.identity import read_config
from .data import Counts, histogram
from .memory import Memory, estimate_memory, size_of
from .recipe import Grpo, Size
from .stage import optimizer_steps, prepare, spread
from .train_request import StageRequest, TrainRequest


@dataclass(frozen=True, slots=True)
class TrainEstimate:
    """A stage over a number of GPUs; `size` and `memory` (bytes a GPU) are None for a network of unknown size.

    `at_once` sequences on each GPU, `accumulated` times, are one optimizer step. `prompts` and `answers` are lengths
    in tokens, one for each example. `opened`: the chat template ends the prompt with `<think>`.
    """

    stage: StageRequest
    counts: Counts
    steps: int
    gpus: int
    sharding: str
    at_once: int
    accumulated: int
    prompts: tuple[int, ...]
    answers: tuple[int, ...]
    opened: bool
    size: Size | None
    memory: Memory | None

    def lines(self) -> Iterator[str]:
        """The estimate as text, line by line, with the recipe's differences from the authors' tools."""
        stage, settings, counts = self.stage, self.stage.settings, self.counts
        yield f"stage              {stage.kind}, recipe {stage.recipe.name}"
        yield f"model              {stage.model or 'the untrained network of the recipe'}"
        for name in settings.__dataclass_fields__:
            yield f"  {name:<24} {getattr(settings, name)}"
        yield f"examples           {counts.kept} of {counts.read}"
        yield f"overlong           {counts.overlong} left out"
        yield f"without answer     {counts.without_answer} left out"
        yield f"optimizer steps    {self.steps}"
        spread = f"{self.at_once} at a time x {self.accumulated} accumulated x {self.gpus} GPUs"
        yield f"batch              {settings.batch} = {spread}"
        if isinstance(settings, Grpo):
            yield (
                f"rounds             {settings.rounds} of {settings.prompts} prompts x {settings.rollouts} rollouts, "
                f"{settings.rounds_updates} updates each"
            )
        yield "prompt tokens"
        yield from (f"  {line}" for line in histogram(self.prompts))
        if stage.kind == "sft":
            yield "answer tokens"
            yield from (f"  {line}" for line in histogram(self.answers))
        yield f"template           {'opens' if self.opened else 'does not open'} the reasoning"
        yield from self._memory()
        for item in stage.recipe.differences:
            if item.stage == stage.kind:
                yield f"differs: {item.setting}: authors: {item.authors}; here: {item.here}; {item.reason}"

    def _memory(self) -> Iterator[str]:
        if self.size is None or self.memory is None:
            yield "memory             unknown: neither config.json nor the recipe gives the network's size"
            return
        settings = self.stage.settings
        yield f"parameters         {self.size.parameters:,}"
        yield from self.memory.lines(self.gpus, self.sharding)
        if self.stage.vllm and isinstance(settings, Grpo):
            yield f"  and vLLM takes {settings.vllm_memory:.0%} of each GPU"


def estimate(request: TrainRequest, *, gpus: int = 8, sharding: str = "fsdp") -> TrainEstimate:
    """The stage's data, steps and memory over a number of GPUs; reads the data, writes nothing.

    `sharding` of weights, gradients and optimizer: "fsdp", "zero3" or "none". InputError as for `run`.
    """
    prepared = prepare(request.resolve())
    stage = prepared.request
    at_once, accumulated = spread(stage.settings, gpus)
    size = size_of(read_config(stage.model)) or stage.recipe.size
    return TrainEstimate(
        stage=stage,
        counts=prepared.counts,
        steps=optimizer_steps(prepared),
        gpus=gpus,
        sharding=sharding,
        at_once=at_once,
        accumulated=accumulated,
        prompts=tuple(len(example.prompt) for example in prepared.examples),
        answers=tuple(len(example.answer) for example in prepared.examples),
        opened=prepared.encoder.opened,
        size=size,
        memory=estimate_memory(stage.settings, size, gpus=gpus, sharding=sharding) if size else None,
    )
