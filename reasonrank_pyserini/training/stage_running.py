"""Runs a prepared training stage: resumed, logged, its model written."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..jobs.saying import Say
from ..lazy import installed_versions, require
from . import curves
from .checkpoints import StageFolder, mark_complete, publish
from .stage import Prepared, has_gpu, optimizer_steps, prepare, rank, spread, starting_folder, world
from .train_request import StageRequest, TrainResult

PACKAGES = (
    "accelerate",
    "datasets",
    "deepspeed",
    "peft",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "vllm",
)
Build = Callable[[Prepared, StageFolder, Path, list[Any]], Any]
"""Makes a stage's trainer from the prepared stage, its folder, the model's files and the callbacks."""


def train(
    request: StageRequest, output: Path, build: Build, *, overwrite: bool, command: Sequence[str], say: Say
) -> TrainResult:
    """Train in `output`, from the last complete checkpoint; a finished training is read from its manifest."""
    require("trl", "training")
    quiet()
    prepared = prepare(request)
    spread(request.settings, world())
    leader = rank() == 0
    with StageFolder(output, prepared.configuration, overwrite=overwrite, leader=leader) as folder:
        _together()
        if folder.finished:
            say(f"{folder.path} already holds this training, finished: nothing to do")
            return result(folder, folder.manifest)
        say(_opening(prepared, folder.resume_from))
        base = starting_folder(prepared, folder)
        _together()
        begun = time.monotonic()
        trainer = build(prepared, folder, base, [recorder(folder, optimizer_steps(prepared), say)])
        trainer.remove_callback(require("transformers", "training").PrinterCallback)
        trainer.train(resume_from_checkpoint=str(folder.resume_from) if folder.resume_from else None)
        return conclude(prepared, folder, trainer, base, command, time.monotonic() - begun)


def _together() -> None:
    """Wait for the other processes, so that the first one has prepared the folder before they read it."""
    if world() > 1:
        require("accelerate", "training").PartialState(cpu=not has_gpu()).wait_for_everyone()


def _opening(prepared: Prepared, resumed: Path | None) -> str:
    counts, kind = prepared.counts, prepared.request.kind
    start = f"continues from step {resumed.name.rpartition('-')[2]}" if resumed else "starts"
    left = f", {counts.overlong} overlong left out" if counts.overlong else ""
    left += f", {counts.without_answer} without answer left out" if counts.without_answer else ""
    machine = "GPU" if has_gpu() else "CPU, float32"
    return f"{kind} {start}: {counts.kept} examples{left}, {optimizer_steps(prepared)} steps, {machine}"


def recorder(folder: StageFolder, steps: int, say: Say) -> Any:
    """The trainer's callback that writes log.jsonl, marks complete checkpoints and reports progress."""
    from transformers import TrainerCallback

    class Recorder(TrainerCallback):  # type: ignore[misc, unused-ignore]
        reported = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                lines = [curves.log_line(entry["step"], entry) for entry in state.log_history]
                curves.write_log(folder.log, [line for line in lines if line])

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            line = curves.log_line(state.global_step, logs or {})
            if line is None or not state.is_world_process_zero:
                return
            curves.append_log(folder.log, line)
            if time.monotonic() - self.reported > 15 or state.global_step == steps:
                self.reported = time.monotonic()
                say(curves.short(line, steps))

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                mark_complete(folder.checkpoints / f"checkpoint-{state.global_step}", world())

    return Recorder()


def quiet() -> None:
    """Switch off the libraries' progress bars and messages; progress goes through `say`."""
    require("datasets", "training").disable_progress_bars()
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def conclude(
    prepared: Prepared, folder: StageFolder, trainer: Any, base: Path, command: Sequence[str], seconds: float
) -> TrainResult:
    """Write the model, the curves and, last, the manifest, which marks the folder as complete."""
    final = folder.checkpoints / "final"
    trainer.save_model(str(final))
    trainer.accelerator.wait_for_everyone()
    if not folder.leader:
        steps, examples = trainer.state.global_step, prepared.counts.as_dict()
        return TrainResult(folder.path, steps, examples, round(seconds, 1), {}, leader=False)
    settings = prepared.request.settings
    dtype = settings.precision if has_gpu() else "float32"
    publish(final, base if settings.method == "lora" else None, folder.path, prepared.tokenizer, dtype)
    shutil.rmtree(final)
    lines = curves.read_log(folder.log)
    title = f"{prepared.request.kind}, recipe {prepared.request.recipe.name}: {len(lines)} steps"
    curves.draw(lines, folder.path / "curves.png", title)
    manifest = {
        "version": __version__,
        "command": ["reasonrank", *command],
        "recipe": prepared.request.recipe.as_dict(),
        "seed": settings.seed,
        "model": prepared.request.model or str(base.name),
        "template_opens_reasoning": prepared.encoder.opened,
        "inputs": {"data": prepared.configuration["data"]},
        "examples": prepared.counts.as_dict(),
        "steps": len(lines),
        "processes": world(),
        "gpu": has_gpu(),
        "versions": versions(),
        "seconds": round(seconds, 1),
        "last": {name: value for line in lines for name, value in line.items()},
    }
    folder.finish(manifest)
    return result(folder, manifest)


def versions() -> dict[str, str]:
    """Installed versions of the packages that a training depends on."""
    return installed_versions(PACKAGES)


def result(folder: StageFolder, manifest: Mapping[str, Any]) -> TrainResult:
    """The key figures of a finished training."""
    return TrainResult(
        folder.path,
        manifest["steps"],
        manifest["examples"],
        manifest["seconds"],
        manifest["last"],
        leader=folder.leader,
    )
