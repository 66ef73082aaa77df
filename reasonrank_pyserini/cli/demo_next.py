"""What to type after the demo, by what this machine has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from ..models.machine import Gpu, MachineFacts, graphics_cards
from ..models.model_facts import ModelFacts, model_facts
from ..models.preflight import LoadRequest, judge_machine
from ..models.profiles import find_profile
from ..ranking.model_request import ModelRequest
from ..ranking.plan import Plan

MODEL, DATASET = "liuwenhan/reasonrank-7B", "bright/biology"
CARDS = (1, 2, 4)
"""Cards that the model's 28 heads can be shared among."""
FIRST = f"reasonrank retrieve --dataset {DATASET} --method bm25 -o bm25.trec"
RERANK = f"reasonrank rerank --run bm25.trec --dataset {DATASET} --model {MODEL}"
SCORE = f"reasonrank evaluate --run out/run.trec --baseline bm25.trec --dataset {DATASET}"
CEILING = "reasonrank reproduce bright --tasks biology --judge oracle -o oracle/"


def next_steps() -> list[str]:
    """The commands that put the published model to work on this machine, or from it."""
    plan = Plan.make(ModelRequest(model=MODEL, engine="vllm"), dataset_passage_tokens=512)
    model = model_facts(MODEL, None, find_profile(MODEL)[0])
    return steps_for(graphics_cards(), model, plan.context, vllm=find_spec("vllm") is not None)


def steps_for(gpus: Sequence[Gpu], model: ModelFacts, context: int, *, vllm: bool) -> list[str]:
    """With cards that hold the model, vLLM on them; else what needs no model, and the model on a server elsewhere.

    `context` is the tokens of the longest prompt and its answer, `vllm` whether vLLM is installed.
    """
    arguments = engine_arguments(gpus, model, context)
    if arguments is None:
        seen = f"{gpus[0].name} is too small for {MODEL}" if gpus else "no CUDA GPU is found here"
        return [
            f"next, as {seen}: the upper bound of reranking, which needs no model",
            f"  {CEILING}",
            f"and the published model on a server that has one (there: vllm serve {MODEL})",
            f"  {FIRST}",
            f"  {RERANK} \\",
            f"      --base-url http://SERVER:8000/v1 --tokenizer {MODEL} -o out/",
            f"  {SCORE}",
        ]
    options = f"--engine-arg {' '.join(arguments)} " if arguments else ""
    return [
        f"next, on {gpus[0].name}: the published model (with --dry-run: windows, tokens and time)",
        *([] if vllm else ["  pip install 'reasonrank-pyserini[vllm]'"]),
        f"  {FIRST}",
        f"  {RERANK} \\",
        f"      --engine vllm {options}-o out/",
        f"  {SCORE}",
    ]


def engine_arguments(gpus: Sequence[Gpu], model: ModelFacts, context: int) -> tuple[str, ...] | None:
    """The arguments with which vLLM runs the model on the fewest cards; None where they cannot hold it."""
    machine = MachineFacts(None, None, None, tuple(gpus))
    for cards in (count for count in CARDS if count <= len(gpus)):
        for dtype in ("auto", "float16"):
            need = LoadRequest("vllm", context, dtype=dtype, cards=cards)
            if not judge_machine(machine, replace(model, here=True), need).problems:
                arguments = [f"tensor_parallel_size={cards}"] if cards > 1 else []
                arguments += [f"dtype={dtype}"] if dtype != "auto" else []
                return tuple(arguments)
    return None
