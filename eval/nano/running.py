"""Steps that are command lines: side by side, each once, each timed, each with a log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reasonrank_pyserini.errors import ReasonRankError

COMMAND = (sys.executable, "-c", "from reasonrank_pyserini.cli import main; main()")
ALLOCATION = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296"
}
"""Memory of large tensors is kept, not given back at every step: a third of a training's time otherwise."""
_LOOK = 0.2
"""Seconds between two looks at what runs."""


@dataclass(frozen=True, slots=True)
class Step:
    """Arguments of `reasonrank`, the file that they make last, and the files that they read.

    With `printed` that file is what the command prints.
    """

    name: str
    arguments: tuple[str, ...]
    makes: Path
    needs: tuple[Path, ...] = ()
    printed: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A step that runs."""

    step: Step
    process: subprocess.Popen[bytes]
    begun: float = field(default_factory=time.monotonic)


def fresh(makes: Path, needs: Sequence[Path]) -> bool:
    """Whether a file is there and none that it is made from is newer or missing."""
    if not makes.exists() or not all(need.exists() for need in needs):
        return False
    return all(need.stat().st_mtime_ns <= makes.stat().st_mtime_ns for need in needs)


class Runner:
    """Runs steps in `folder`, at most `jobs` at a time, each with one thread: others would add in another order.

    `seconds.jsonl` gets a line for every step that ended, `logs/` what each said.
    """

    def __init__(self, folder: Path, jobs: int, say: Callable[[str], None]) -> None:
        self._folder, self._jobs, self._say = folder, jobs, say
        self._environment = {
            **ALLOCATION,
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }

    def run(self, steps: Sequence[Step]) -> None:
        """Run what is not fresh, in the order given as far as needs allow.

        What does not need a step that failed still runs; then ReasonRankError names the failed ones.
        """
        waiting, running, failed = list(steps), list[Job](), list[str]()
        try:
            while waiting or running:
                while len(running) < self._jobs and (step := _ready(waiting, running)):
                    waiting.remove(step)
                    if not fresh(step.makes, step.needs):
                        running.append(Job(step, self._start(step)))
                if not running:
                    break
                time.sleep(_LOOK)
                for job in [job for job in running if job.process.poll() is not None]:
                    running.remove(job)
                    failed += self._ended(job)
        finally:
            for job in running:
                job.process.terminate()
            for job in running:
                job.process.wait()
                self._count(job)
        if failed or waiting:
            left = f"; {len(waiting)} steps that need them were left out" if waiting else ""
            raise ReasonRankError(f"failed: {', '.join(failed)}{left}: the same command again continues")

    def _start(self, step: Step) -> subprocess.Popen[bytes]:
        step.makes.parent.mkdir(parents=True, exist_ok=True)
        log = self._log(step.name)
        with log.open("ab") as said, _part(step).open("wb") if step.printed else log.open("ab") as printed:
            return subprocess.Popen(
                [*COMMAND, *step.arguments], env=self._environment, stdin=subprocess.DEVNULL,
                stdout=printed, stderr=said,
            )  # fmt: skip

    def _ended(self, job: Job) -> list[str]:
        """Say how a step ended, and put what it printed in place; its name, if it failed."""
        step, status, seconds = job.step, job.process.returncode, self._count(job)
        if status == 0 and step.printed:
            _part(step).replace(step.makes)
        _part(step).unlink(missing_ok=True)
        if status == 0:
            self._say(f"{step.name:<32} {seconds:>7.1f} s")
            return []
        said = self._log(step.name).read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        self._say(f"{step.name:<32} exit {status}: {said[-1]} (all of it: {self._log(step.name)})")
        return [step.name]

    def _count(self, job: Job) -> float:
        """Write down how long a job took, and return it."""
        seconds = time.monotonic() - job.begun
        with (self._folder / "seconds.jsonl").open("a", encoding="utf-8") as stream:
            row = {"step": job.step.name, "seconds": round(seconds, 1), "exit": job.process.returncode}
            stream.write(json.dumps(row) + "\n")
        return seconds

    def _log(self, name: str) -> Path:
        path = self._folder / "logs" / f"{name.replace('/', '.')}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def teacher(self, noise: float, pick_noise: float) -> Iterator[str]:
        """The base URL of a nano teacher that runs meanwhile."""
        arguments = ["nano", "teacher", "--noise", str(noise), "--pick-noise", str(pick_noise), "--port", "0"]
        with self._log("teacher").open("ab") as log:
            process = subprocess.Popen(
                [*COMMAND, *arguments], env=self._environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                raise ReasonRankError(f"the teacher does not start: see {self._log('teacher')}")
            yield url
        finally:
            process.terminate()
            process.communicate()


def _ready(waiting: Sequence[Step], running: Sequence[Job]) -> Step | None:
    """The first step that waits for nothing."""
    coming = {step.makes for step in (*waiting, *(job.step for job in running))}
    return next(
        (s for s in waiting if coming.isdisjoint(s.needs) and all(need.exists() for need in s.needs)), None
    )


def _part(step: Step) -> Path:
    return step.makes.with_name(f"{step.makes.name}.part")


def total_seconds(folder: Path) -> Mapping[str, float]:
    """By step, the seconds of all its attempts, as `seconds.jsonl` has them."""
    totals: dict[str, float] = {}
    path = folder / "seconds.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        row = json.loads(line)
        totals[row["step"]] = totals.get(row["step"], 0.0) + row["seconds"]
    return totals
