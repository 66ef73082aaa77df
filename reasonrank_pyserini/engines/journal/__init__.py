"""Completions kept on disk, so that a killed run continues without paying for an answer twice.

A journal is a folder of append-only files, one per process, read together. It uses no shared writes, no memory
maps, and depends on no lock, so it works on network file systems. It guarantees:

- a completion is in the file before any caller sees it, so it survives `kill -9` of the process;
- a crash of the machine loses at most the last `store.SYNC_SECONDS` seconds, and nothing of a finished run;
- a torn, zeroed or damaged record is skipped and counted, never used: its completion is generated again.

The lock that keeps two commands out of one output folder (`files.locks.acquire_lock`) protects their results.
Where a file system has no locks, a warning is logged and the work goes on; only `upkeep.prune` refuses.
"""

from .engine_record import EngineRecord, find_record, write_record
from .recorded import Recorded, Replay, completion_key, damage_line, recorder
from .store import Journal

__all__ = [
    "EngineRecord",
    "Journal",
    "Recorded",
    "Replay",
    "completion_key",
    "damage_line",
    "find_record",
    "recorder",
    "write_record",
]
