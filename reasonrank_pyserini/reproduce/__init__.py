"""Published results made again and compared: leaderboards, verification, and downloading what they need."""

from __future__ import annotations

from ..ranking.model_request import SettingOverrides
from .condition_runs import FIRST_STAGES
from .fetching import FetchRequest, FetchResult, fetch, needed
from .leaderboard import Leaderboard, Row
from .leaderboard_tables import latex_rows, leaderboard_record, markdown_table, text_table
from .reproduce_estimate import ReproduceEstimate, estimate
from .reproduce_job import run
from .reproduce_request import ModelOverrides, ReproduceRequest, ReproduceResult
from .verification import VerifyRequest, VerifyResult, verify

__all__ = [
    "FIRST_STAGES",
    "FetchRequest",
    "FetchResult",
    "Leaderboard",
    "ModelOverrides",
    "ReproduceEstimate",
    "ReproduceRequest",
    "ReproduceResult",
    "Row",
    "SettingOverrides",
    "VerifyRequest",
    "VerifyResult",
    "estimate",
    "fetch",
    "latex_rows",
    "leaderboard_record",
    "markdown_table",
    "needed",
    "run",
    "text_table",
    "verify",
]
