"""Training lists made with a teacher: sources, candidates, two calls a query, filter, output."""

from __future__ import annotations

from .list_making import ListOptions, synthesize
from .outcomes import Histogram, QueryOutcome
from .pools import Pool, make_pools
from .sources import DOMAINS, Source, read_sources
from .synthesis_estimate import SynthesisEstimate, estimate, paper_estimate
from .synthesis_request import (
    CandidateOptions,
    StudentOptions,
    SynthesisRequest,
    SynthesisResult,
    TeacherOptions,
)
from .synthesis_run import run
from .synthesis_tally import SynthesisTally
from .teacher import Teacher, TeacherPrompts

__all__ = [
    "DOMAINS",
    "CandidateOptions",
    "Histogram",
    "ListOptions",
    "Pool",
    "QueryOutcome",
    "Source",
    "StudentOptions",
    "SynthesisEstimate",
    "SynthesisRequest",
    "SynthesisResult",
    "SynthesisTally",
    "Teacher",
    "TeacherOptions",
    "TeacherPrompts",
    "estimate",
    "make_pools",
    "paper_estimate",
    "read_sources",
    "run",
    "synthesize",
]
