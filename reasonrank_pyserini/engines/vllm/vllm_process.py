"""Starts vLLM's engine process without the main script, quietly, in its own session, and ends it with its parent.

vLLM starts its EngineCore with multiprocessing, which re-imports the caller's main script (an endless loop if the
script is not guarded), shares the terminal (output goes to stdout, Ctrl-C reaches it before an orderly stop) and
leaves it running when the parent is killed. The process class here differs in these points only.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from multiprocessing import connection, context, parent_process, popen_spawn_posix, reduction
from multiprocessing import spawn as multiprocessing_spawn
from multiprocessing import util as multiprocessing_util
from multiprocessing.process import BaseProcess
from typing import Any

PATCHED_MODULES = ("vllm.v1.engine.utils", "vllm.v1.engine.coordinator")
"""Where vLLM calls `get_mp_context()` before it starts a child of this process."""

_patching = threading.Lock()


class EngineLog:
    """The stdout and stderr of the engine's processes, in an unnamed file that vanishes when it is closed.

    With `shown`, they write to this process's stderr instead, because the user wants vLLM's log.
    """

    def __init__(self, *, shown: bool = False) -> None:
        self._file = None if shown else tempfile.TemporaryFile(prefix="reasonrank-vllm-")  # noqa: SIM115

    @property
    def descriptor(self) -> int:
        return 2 if self._file is None else self._file.fileno()

    def text(self, limit: int = 1 << 20) -> str | None:
        """The last `limit` bytes written, decoded; None when they went to stderr."""
        if self._file is None:
            return None
        if self._file.closed:
            return ""
        size = os.fstat(self._file.fileno()).st_size
        return os.pread(self._file.fileno(), limit, max(0, size - limit)).decode("utf-8", "replace")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class EngineProcesses:
    """The processes started for one engine; each leads a process group with its workers."""

    def __init__(self, log: EngineLog) -> None:
        self.log = log
        self.environment: dict[str, str] = {}
        self.started: list[int] = []
        self.ended = False
        self._tracker: subprocess.Popen[bytes] | None = None
        self._tracker_pipe = -1

    def tracker(self) -> int:
        """The pipe to the engine's own resource tracker, which removes the shared memory of a killed engine at once
        and whose warnings go to the log."""
        if self._tracker is None:
            read, self._tracker_pipe = os.pipe()
            self._tracker = subprocess.Popen(
                [sys.executable, "-c", f"from multiprocessing.resource_tracker import main; main({read})"],
                pass_fds=[read],
                stdin=subprocess.DEVNULL,
                stdout=self.log.descriptor,
                stderr=self.log.descriptor,
                start_new_session=True,
            )
            os.close(read)
        return self._tracker_pipe

    def close(self) -> None:
        """End all processes and close the log."""
        self.kill()
        if self._tracker is not None:
            os.close(self._tracker_pipe)
            self._tracker.wait()
            self._tracker = None
        self.log.close()

    def kill(self) -> None:
        """Kill every process of every group; processes that have ended are ignored. No process can start afterwards."""
        self.ended = True
        for leader in self.started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)

    @contextlib.contextmanager
    def adopt(self) -> Iterator[None]:
        """In the block, vLLM starts its engine processes as defined here; one engine at a time."""
        import importlib

        modules = [importlib.import_module(name) for name in PATCHED_MODULES]
        with _patching:
            originals = [module.get_mp_context for module in modules]
            for module in modules:
                module.get_mp_context = lambda: _EngineContext(self)  # type: ignore[attr-defined]
            try:
                yield
            finally:
                for module, original in zip(modules, originals, strict=True):
                    module.get_mp_context = original  # type: ignore[attr-defined]


class EngineProcess(context.SpawnProcess):
    """A spawned process that does not import the caller's main script and ends with its parent."""

    processes: EngineProcesses | None = None

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 (multiprocessing's name)
        return _EnginePopen(process_obj)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "processes"}

    def run(self) -> None:
        threading.Thread(target=_die_with_parent, name="reasonrank-parent-watch", daemon=True).start()
        super().run()


class _EngineContext(context.SpawnContext):
    def __init__(self, processes: EngineProcesses) -> None:
        super().__init__()
        self._processes = processes

    def Process(self, *args: Any, **kwargs: Any) -> EngineProcess:  # type: ignore[override]  # noqa: N802
        process = EngineProcess(*args, **kwargs)
        process.processes = self._processes
        return process


class _EnginePopen(popen_spawn_posix.Popen):
    """multiprocessing's spawn without the main module, with output to the log and in its own session."""

    def __init__(self, process_obj: BaseProcess) -> None:
        self._handed_over: list[int] = []
        super().__init__(process_obj)

    def duplicate_for_child(self, fd: int) -> int:
        self._handed_over.append(fd)
        return fd

    def _launch(self, process_obj: EngineProcess) -> None:
        processes = process_obj.processes
        assert processes is not None
        if processes.ended:
            raise InterruptedError("the start of the engine was cancelled")
        tracker = processes.tracker()
        payload = self._payload(process_obj)
        parent_read, child_write = os.pipe()
        child_read, parent_write = os.pipe()
        try:
            command = multiprocessing_spawn.get_command_line(tracker_fd=tracker, pipe_handle=child_read)
            executable = os.fsdecode(multiprocessing_spawn.get_executable())
            child = subprocess.Popen(
                [executable, *command[1:]],
                pass_fds=[*self._handed_over, tracker, child_read, child_write],
                stdin=subprocess.DEVNULL,
                stdout=processes.log.descriptor,
                stderr=processes.log.descriptor,
                env={**os.environ, **processes.environment},
                start_new_session=True,
            )
            self.pid, self.sentinel = child.pid, parent_read
            processes.started.append(child.pid)
            child.returncode = 0  # multiprocessing waits for this pid; subprocess must not
            with open(parent_write, "wb", closefd=False) as pipe:
                pipe.write(payload)
        finally:
            self.finalizer = multiprocessing_util.Finalize(self, _close, (parent_read, parent_write))
            os.close(child_read)
            os.close(child_write)

    def _payload(self, process_obj: EngineProcess) -> bytes:
        preparation = multiprocessing_spawn.get_preparation_data(process_obj.name)
        preparation.pop("init_main_from_path", None)
        preparation.pop("init_main_from_name", None)
        stream = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump(preparation, stream)
            reduction.dump(process_obj, stream)
        finally:
            context.set_spawning_popen(None)
        return stream.getvalue()


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _die_with_parent() -> None:
    """In the engine's process: wait until the parent has ended, then kill this process and its workers."""
    parent = parent_process()
    assert parent is not None
    while os.getppid() == parent.pid:
        if connection.wait([parent.sentinel], timeout=1.0):
            break
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
