"""The folder of one training stage: model, log.jsonl, curves.png, manifest.json; checkpoints/ during training."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..jobs.held_folder import HeldFolder, disk_errors

COMPLETE = "complete"
"""The last file of a checkpoint; it holds the number of processes, each of which saves its random state."""


class StageFolder(HeldFolder):
    """A folder that one training holds; of several processes the first one (`leader`) holds it for all.

    Entering raises InputError for a folder that another process writes to, or that holds a training with another
    configuration, which `overwrite` removes. `finished`: this training is complete here. `resume_from`: its newest
    complete checkpoint. Incomplete checkpoints are removed.
    """

    def __init__(
        self,
        path: str | Path,
        configuration: Mapping[str, Any],
        *,
        overwrite: bool = False,
        leader: bool = True,
    ) -> None:
        super().__init__(path, configuration, notes="checkpoints", overwrite=overwrite)
        self.leader = leader

    @property
    def checkpoints(self) -> Path:
        return self.notes

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def finished(self) -> bool:
        return self.complete(self.manifest)

    @property
    def resume_from(self) -> Path | None:
        complete = [folder for folder in _numbered(self.checkpoints) if _is_complete(folder)]
        return complete[-1] if complete else None

    def __enter__(self) -> Self:
        if not self.leader:
            return self
        self._acquire()
        return self

    def _claim(self) -> None:
        advice = "choose another `output`, or `overwrite` to remove it"
        other = self.holds_other("another training", advice)
        if self.overwrite and (other or self.finished):
            self._clear()
        if not self.finished:
            for folder in _numbered(self.checkpoints):
                if not _is_complete(folder):
                    shutil.rmtree(folder)
            self.write_configuration()

    def _clear(self) -> None:
        for item in [*self.path.iterdir(), *self.checkpoints.iterdir()]:
            if item == self.checkpoints or item.name == "lock":
                continue
            if item.is_dir():
                shutil.rmtree(item)
            else:
                item.unlink()

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, which makes the stage complete."""
        with disk_errors(self.path):
            self.write_manifest(manifest)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.leader:
            return
        if (
            kind is not None and self.resume_from is None
        ):  # no checkpoint that another configuration could continue
            (self.checkpoints / "configuration.json").unlink(missing_ok=True)
        self._lock.release()


def mark_complete(checkpoint: Path, processes: int) -> None:
    """Mark a checkpoint as completely written by the first process."""
    (checkpoint / COMPLETE).write_text(str(processes))


def _is_complete(checkpoint: Path) -> bool:
    """Whether the first process has finished it and every process has saved its random state."""
    try:
        processes = int((checkpoint / COMPLETE).read_text())
    except (OSError, ValueError):
        return False
    return len([*checkpoint.glob("rng_state*.pth")]) >= processes


def publish(trained: Path, base: Path | None, folder: Path, tokenizer: Any, dtype: str) -> None:
    """Write the model of `trained` into `folder` as safetensors in that dtype, with its tokenizer.

    With a `base`, `trained` is a LoRA adapter: it is merged into the base and kept in `folder/adapter`.
    """
    import torch
    from transformers import AutoModelForCausalLM

    source = trained if base is None else base
    model = AutoModelForCausalLM.from_pretrained(
        str(source), dtype=getattr(torch, dtype), trust_remote_code=False, local_files_only=True
    )
    if base is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(trained)).merge_and_unload()
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            (folder / "adapter").mkdir(exist_ok=True)
            shutil.copyfile(trained / name, folder / "adapter" / name)
    model.save_pretrained(str(folder), safe_serialization=True)
    tokenizer.save_pretrained(str(folder))


def _numbered(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal()]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))
