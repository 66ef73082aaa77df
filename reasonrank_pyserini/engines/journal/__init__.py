"""Completions kept on disk, so that a killed run continues without paying for an answer twice.

A journal is a folder of append-only files, one per process, read together: no shared writes, no memory maps,
and no lock that anything depends on, so it works on network file systems. What is guaranteed:

- a completion is in the file before anybody sees it, so it survives the death of the process (`kill -9`);
- a crash of the machine loses at most the last `store.SYNC_SECONDS` seconds, and nothing of a finished run;
- a torn, zeroed or damaged record is skipped and counted, never believed: its question is asked again.

The lock that keeps two commands out of one folder (`claims.hold`) is for their results. Where a file system has no
locks that is said in a line and the work goes on; only `upkeep.prune`, which has to be alone, refuses.
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
