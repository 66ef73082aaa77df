"""The leaderboard in one command: conditions' first stages, all tasks in one queue, the table."""

from __future__ import annotations

from .condition_runs import FIRST_STAGES, FirstRun, first_run, prebuilt_index, task_file
from .leaderboard_results import TaskRuns, collect, per_query, write_tables
from .leaderboard_run import LeaderboardRun, TaskRepeat
from .shards import Shard, merge_shards, parse_shard, shard_folder

__all__ = [
    "FIRST_STAGES",
    "FirstRun",
    "LeaderboardRun",
    "Shard",
    "TaskRepeat",
    "TaskRuns",
    "collect",
    "first_run",
    "merge_shards",
    "parse_shard",
    "per_query",
    "prebuilt_index",
    "shard_folder",
    "task_file",
    "write_tables",
]
