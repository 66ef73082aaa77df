"""A ranking task that a network of two layers can learn: every passage holds a word that says how good it is."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny

from reasonrank_pyserini.training.network import learn_tokenizer

GRADES = ("best", "good", "fair", "poor", "bad")
THINGS = ("stone", "river", "cloud", "tree", "lamp", "boat", "road", "door", "bird", "coin", "wheel", "glass")
QWEN3_TEMPLATE = tiny.CHAT_TEMPLATE.replace("assistant\\n' }}{% endif", "assistant\\n<think>\\n' }}{% endif")
"""A template that opens the reasoning in the prompt, as those of reasoning models do; as with Qwen3, the tags are
tokens of their own."""


def example(seed: int, *, passages: int = 3, errs: float = 0.0) -> dict[str, Any]:
    """One list: the passage with the best word is the relevant one, the label orders all of them.

    `errs` is the share of lists in which the teacher exchanges the best two.
    """
    chance = random.Random(seed)
    grades = chance.sample(range(passages), passages)
    things = chance.sample(THINGS, passages)
    texts = [f"[{i}] {GRADES[g]} {thing}" for i, (g, thing) in enumerate(zip(grades, things, strict=True), 1)]
    order = sorted(range(passages), key=grades.__getitem__)
    shown = [order[1], order[0], *order[2:]] if chance.random() < errs else order
    label = " > ".join(f"[{i + 1}]" for i in shown)
    reasoning = " ".join(f"[{i}] {GRADES[g]}" for i, g in enumerate(grades, 1))
    docids = [f"d{seed}-{i}" for i in range(passages)]
    return {
        "id": f"q{seed}",
        "prompt": [
            {"role": "system", "content": "Rank the passages."},
            {"role": "user", "content": "\n".join(texts)},
        ],
        "answer": f"<think> {reasoning} </think>\n<answer> {label} </answer>",
        "label": label,
        "initial_list": docids,
        "relevant": [docids[order[0]]],
    }


def write(path: Path, seeds: Sequence[int], **options: Any) -> Path:
    """A file of examples, as `reasonrank synthesize` writes them."""
    path.write_text("".join(json.dumps(example(seed, **options)) + "\n" for seed in seeds))
    return path


def build_tokenizer(folder: Path, *, template: str = tiny.CHAT_TEMPLATE) -> Path:
    """A tokenizer in which every word of the task is one token."""
    texts = [json.loads(json.dumps(example(seed))) for seed in range(300)]
    corpus = [
        part for e in texts for part in (e["prompt"][0]["content"], e["prompt"][1]["content"], e["answer"])
    ]
    fast = learn_tokenizer([*corpus, "system user assistant"] * 2, 420)
    fast.chat_template = template
    if template == QWEN3_TEMPLATE:
        fast.add_tokens(["<think>", "</think>"])
    fast.save_pretrained(folder)
    return folder


def build_model(folder: Path, *, template: str = tiny.CHAT_TEMPLATE) -> Path:
    """A two-layer Qwen2 with random weights and the tokenizer of the task."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    build_tokenizer(folder, template=template)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=None, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, tie_word_embeddings=False, dtype="float32",
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


@dataclass
class Done:
    """How a command of ours ended in its own process; a negative code is the signal that ended it."""

    code: int
    out: str
    err: str


def command(
    *arguments: object, kill_at: tuple[Path, int] | None = None, processes: int = 1, **environment: str
) -> Done:
    """`reasonrank ARGUMENTS` in a process of its own, forked from one that has the libraries loaded.

    `kill_at=(log, lines)`: kill -9 as soon as the log holds that many lines; it gets no more, however late that is.
    `processes`: as torchrun runs that many of one command.
    """
    context = multiprocessing.get_context("forkserver")
    given = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *([given] if given else [])])
    context.set_forkserver_preload(["training_preload"])
    with tempfile.TemporaryDirectory() as folder:
        outputs = (Path(folder) / "out", Path(folder) / "err")
        settings = {
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            **environment,
        }
        process = context.Process(
            target=_run, args=([str(a) for a in arguments], outputs, settings, kill_at, processes)
        )
        process.start()
        while kill_at is not None and process.is_alive():
            log, lines = kill_at
            if log.is_file() and log.read_bytes().count(b"\n") >= lines:
                process.kill()
                break
            time.sleep(0.005)
        process.join(800)
        assert process.exitcode is not None
        return Done(process.exitcode, outputs[0].read_text(), outputs[1].read_text())


def _run(
    arguments: list[str],
    outputs: tuple[Path, Path],
    environment: dict[str, str],
    kill_at: tuple[Path, int] | None,
    processes: int,
) -> None:
    os.environ.update(environment)
    if kill_at is not None:
        sys.addaudithook(_waiting_to_be_killed(*kill_at))
    for descriptor, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    import torch

    torch.set_num_threads(1)
    if processes > 1:
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=processes, rdzv_backend="c10d", rdzv_endpoint="localhost:0",
            start_method="fork", max_restarts=0, monitor_interval=0.1,
        )  # fmt: skip
        elastic_launch(config, _one_of_several)(arguments)
        return
    from reasonrank_pyserini.cli import main

    main(arguments)


def _one_of_several(arguments: list[str]) -> None:
    from reasonrank_pyserini.cli import main

    try:
        main(arguments)
    except SystemExit as end:  # torchrun takes a return for success
        if end.code:
            raise RuntimeError(f"it ended with {end.code}") from None


def _waiting_to_be_killed(log: Path, lines: int) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that stops the process where it would add a line to a log that holds that many."""

    def hook(event: str, details: tuple[Any, ...]) -> None:
        while (
            event == "open"
            and (str(details[0]), details[1]) == (str(log), "a")
            and log.is_file()
            and log.read_bytes().count(b"\n") >= lines
        ):
            signal.pause()

    return hook
