"""Training lists made with a teacher: sources, candidates, two calls a query, filter, output."""

from .candidates import Pool, make_pools
from .outcomes import Histogram, Outcome
from .sources import DOMAINS, Source, read_sources
from .teacher import Teacher, TeacherPrompts
from .work import synthesize

__all__ = [
    "DOMAINS",
    "Histogram",
    "Outcome",
    "Pool",
    "Source",
    "Teacher",
    "TeacherPrompts",
    "make_pools",
    "read_sources",
    "synthesize",
]
