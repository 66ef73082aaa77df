"""The transformers engine against the roofline of its device: prefill and decode tokens a second.

    python eval/bench/roofline.py [--shape qwen2.5-7b] [--gpu h100] [--json FILE]      # on a GPU
    python eval/bench/roofline.py --shape tiny [--rounds 5]                            # on a CPU: the script works

The model has Qwen2.5-7B's shape and random weights made on the device: no download, nothing about quality. The
engine is the real one but for loading, and answers never end early. Prompts are within a tenth of `--prompt`
tokens long, as windows differ. Prefill is timed by requests of one new token, decode by the steps in which all
`--rows` took part, what happens between steps included.

The roofline: 2 operations a parameter and token over operations/s; a decode step's bytes (weights, and keys and
values of every row) over bytes/s, or its operations where they take longer. Peaks are measured in every round (a
large matrix product, a large copy), the share is the mean of the rounds' shares; with `--gpu`, shares of that
GPU's figures in `costmodel.GPUS` too. Intervals are 95%, by bootstrap over the rounds. Prefill skips the
embedding and, but for the last token, the output layer; attention is on top: the first line says how much of the
parameters a prefilled token meets.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from ratios import write_figures
from transformers import Qwen2Config, Qwen2ForCausalLM

from reasonrank_pyserini.engines import EngineConfig
from reasonrank_pyserini.engines.transformers.model_loading import Loaded, pick_device, pick_dtype
from reasonrank_pyserini.engines.transformers.transformers_engine import TransformersEngine
from reasonrank_pyserini.evaluation.statistics import bootstrap_mean
from reasonrank_pyserini.models.cost import GPUS, WINDOW_PROMPT_TOKENS, Gpu
from reasonrank_pyserini.types import Prompt, Sampling


@dataclass(frozen=True)
class Shape:
    """A network's sizes, and the work: tokens of a prompt, rows at once, new tokens a row."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    prompt: int
    rows: int
    new: int


SHAPES = {
    "qwen2.5-7b": Shape(28, 3584, 28, 4, 18944, 152064, WINDOW_PROMPT_TOKENS, 32, 128),
    "tiny": Shape(4, 512, 8, 2, 1408, 8192, 512, 4, 48),
}


@dataclass
class Model:
    """A network of random weights with what the roofline needs to know of it, and the steps that it took."""

    network: Any
    dtype: str
    parameters: int
    weights_bytes: int
    kv_bytes: int
    steps: list[tuple[float, int]] = field(default_factory=list)

    @classmethod
    def make(cls, shape: Shape, device: torch.device, dtype: str) -> Model:
        config = Qwen2Config(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=32768,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=None,
        )
        kind, usual = getattr(torch, dtype), torch.get_default_dtype()
        torch.manual_seed(0)
        torch.set_default_dtype(kind)
        try:
            with device:
                network = Qwen2ForCausalLM(config).eval()
        finally:
            torch.set_default_dtype(usual)
        parameters = sum(weight.numel() for weight in network.parameters())
        kv_values = 2 * shape.layers * shape.kv_heads * shape.hidden // shape.heads
        model = cls(network, dtype, parameters, parameters * kind.itemsize, kv_values * kind.itemsize)
        network.register_forward_pre_hook(model.note, with_kwargs=True)
        return model

    def note(self, _: Any, args: Any, inputs: dict[str, Any]) -> None:
        """Keeps when a decode step began, and its rows."""
        rows, columns = inputs["input_ids"].shape
        if columns == 1:
            self.steps.append((time.perf_counter(), rows))


class NoText:
    """A tokenizer for ids in, nothing out; no token ends an answer."""

    eos_token_id = -1

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return ""


class RandomWeights(TransformersEngine):
    """The engine around a network that is there already."""

    model: Model

    def _load(self) -> tuple[Any, Loaded]:
        model, network = self.model, self.model.network
        self._identity = {"engine": "transformers", "weights": "random"}
        vocabulary = network.config.vocab_size
        loaded = Loaded(network, network.device, model.dtype, None, vocabulary, frozenset(), None)
        return NoText(), loaded


async def measured(engine: RandomWeights, shape: Shape, chance: random.Random) -> dict[str, float]:
    """One round: tokens/s of prefill and decode, and the mean tokens of cache of a decoding row."""
    lengths = [int(shape.prompt * chance.uniform(0.9, 1.1)) for _ in range(shape.rows)]
    texts = [tuple(chance.randrange(shape.vocabulary) for _ in range(length)) for length in lengths]

    async def ask(new: int) -> float:
        sampling = Sampling(temperature=0.0, max_tokens=new)
        start = time.perf_counter()
        await asyncio.gather(*(engine.complete(Prompt(token_ids=ids), sampling) for ids in texts))
        return time.perf_counter() - start

    prefill = sum(lengths) / await ask(1)
    engine.model.steps.clear()
    await ask(shape.new)
    full = [start for start, rows in engine.model.steps if rows == shape.rows]
    decode = (len(full) - 1) * shape.rows / (full[-1] - full[0])
    return {"prefill": prefill, "decode": decode, "cached": sum(lengths) / shape.rows + shape.new / 2}


def peaks(device: torch.device, dtype: str) -> Gpu:
    """Operations/s of a matrix product and bytes/s of a copy (read and written), the best of several."""
    side, size = (8192, 1 << 30) if device.type == "cuda" else (1024, 1 << 27)
    left, right = (torch.randn(side, side, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    source = torch.ones(size, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    flops = 2 * side**3 / fastest(lambda: torch.matmul(left, right), device)
    return Gpu("measured", flops, 2 * size / fastest(lambda: target.copy_(source), device), 0.0)


def fastest(work: Callable[[], object], device: torch.device, times: int = 10) -> float:
    def once() -> float:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    return min(once() for _ in range(times))


def roofline(peak: Gpu, model: Model, rows: int, cached: float) -> dict[str, float]:
    """Tokens/s that a peak allows for prefill and decode."""
    operations = 2 * model.parameters / peak.flops
    step = (model.weights_bytes + rows * cached * model.kv_bytes) / peak.bandwidth
    return {"prefill": 1 / operations, "decode": rows / max(step, rows * operations)}


async def rounds(engine: RandomWeights, shape: Shape, count: int) -> list[tuple[Gpu, dict[str, float]]]:
    """Peaks and tokens/s of each round, after one that warms up."""
    chance, device = random.Random(0), engine.model.network.device
    async with engine:
        await measured(engine, shape, chance)
        return [
            (peaks(device, engine.model.dtype), await measured(engine, shape, chance)) for _ in range(count)
        ]


def table(
    name: str, tops: list[Gpu], found: list[dict[str, float]], model: Model, rows: int
) -> dict[str, Any]:
    """Prints the engine's share of the rounds' rooflines; the same as a record."""
    record: dict[str, Any] = {}
    flops = sum(top.flops for top in tops) / len(tops)
    bandwidth = sum(top.bandwidth for top in tops) / len(tops)
    print(f"{name}: {flops / 1e12:.3g} TFLOP/s, {bandwidth / 1e9:.4g} GB/s")
    for kind in ("prefill", "decode"):
        limits = [
            roofline(top, model, rows, one["cached"])[kind] for top, one in zip(tops, found, strict=True)
        ]
        speed = bootstrap_mean([one[kind] for one in found])
        share = bootstrap_mean([one[kind] / limit for one, limit in zip(found, limits, strict=True)])
        shown = f"{share.mean:.1%} [{share.low:.1%}, {share.high:.1%}]"
        print(f"  {kind:<8} {speed.mean:>10,.0f} tokens/s of {sum(limits) / len(limits):>10,.0f}   {shown}")
        record[kind] = {"tokens_per_second": asdict(speed), "share": asdict(share), "limits": limits}
    return record


def main(arguments: argparse.Namespace) -> None:
    device = pick_device("auto")
    shape = SHAPES[arguments.shape or ("qwen2.5-7b" if device.type == "cuda" else "tiny")]
    given = {name: getattr(arguments, name) for name in ("prompt", "rows", "new")}
    shape = replace(shape, **{name: value for name, value in given.items() if value})
    engine = RandomWeights.from_config(EngineConfig("random", args={"batch_size": shape.rows}))
    assert isinstance(engine, RandomWeights)
    engine.model = model = Model.make(shape, device, pick_dtype("auto", device))
    met = 1 - 2 * shape.vocabulary * shape.hidden / model.parameters
    name = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    )
    print(f"{device.type} ({name}), {model.dtype}, {model.parameters:,} parameters, {met:.0%} met in prefill")
    print(f"{shape.rows} rows of about {shape.prompt:,} tokens, {shape.new} new, {arguments.rounds} rounds")
    tops, found = zip(*asyncio.run(rounds(engine, shape, arguments.rounds)), strict=True)
    record = {"measured": table("measured", list(tops), list(found), model, shape.rows)}
    if arguments.gpu:
        maker = [GPUS[arguments.gpu]] * len(found)
        record[arguments.gpu] = table(arguments.gpu, maker, list(found), model, shape.rows)
    if arguments.json:
        about = {"device": name, "dtype": model.dtype, "parameters": model.parameters, **asdict(shape)}
        write_figures(arguments.json, {**about, "rooflines": record})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES)
    parser.add_argument("--gpu", choices=GPUS)
    parser.add_argument("--rounds", type=int, default=5)
    for option in ("prompt", "rows", "new"):
        parser.add_argument(f"--{option}", type=int)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.new is not None and asked.new < 3:
        parser.error("--new is 3 or more: decoding is timed from step to step")
    main(asked)
