"""From the options of `retrieve` to first stages: methods and runs, fused where there are several."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import InputError
from ..lazy import resolve
from .base import METHODS, FirstStage
from .fusion import ReciprocalRankFusion, WeightedFusion

if TYPE_CHECKING:
    from ..jobs.collection import Collection

_F = TypeVar("_F", bound=Callable[..., Any])

_DENSE = {
    "encoder": "encoder",
    "encoder_class": "kind",
    "encoder_revision": "revision",
    "query_encoder": "query_model",
    "query_prefix": "query_prefix",
    "passage_prefix": "passage_prefix",
    "max_length": "max_length",
    "pooling": "pooling",
    "l2_norm": "normalise",
    "batch_size": "batch_size",
    "device": "device",
}
"""The options of dense retrieval and what they are called in an EncoderSpec."""

_OPTIONS = (
    click.option("--k1", type=float, default=0.9, show_default=True, help="BM25's k1."),
    click.option("--b", type=float, default=0.4, show_default=True, help="BM25's b."),
    click.option("--heap", metavar="SIZE", help="Java's memory, such as 8g."),
    click.option("--encoder", metavar="NAME|DIR", help="dense: a sentence-transformers or Pyserini model."),
    click.option(
        "--encoder-class", metavar="CLASS", help="dense: sentence-transformers, auto, tct_colbert, ..."
    ),
    click.option("--encoder-revision", metavar="R", help="dense: the model's revision on the hub."),
    click.option("--query-encoder", metavar="NAME|DIR", help="dense: the queries' own model (dpr)."),
    click.option("--query-prefix", metavar="TEXT", help="dense: put before every query, as it is."),
    click.option("--passage-prefix", metavar="TEXT", help="dense: put before every passage, as it is."),
    click.option("--max-length", type=int, metavar="N", help="dense: tokens of a text that are read."),
    click.option("--pooling", metavar="cls|mean", help="dense: for encoder class auto."),
    click.option("--l2-norm", is_flag=True, help="dense: scale vectors to length 1."),
    click.option("--batch-size", type=int, default=32, show_default=True, help="dense: texts at once."),
    click.option("--device", metavar="D", help="dense: cpu, cuda:0, mps."),
    click.option("--threads", type=int, metavar="N", help="Searching threads.  [default: all processors]"),
)


def stage_options(command: _F) -> _F:
    """Adds what the single first stages can be told; `open_stage` reads it."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def open_stage(method: str, collection: Collection, flags: Mapping[str, Any]) -> FirstStage:
    """The first stage of that method over the collection; its index is built if there is none yet."""
    where: dict[str, Any] = {"index": collection.index_flag}
    if collection.index_flag is None:
        where = {"corpus": collection.documents(), "identity": collection.identity}
    make = resolve("method", method, METHODS)
    with _cache_errors():
        return _opened(make, method, where, flags)


def _opened(make: Any, method: str, where: dict[str, Any], flags: Mapping[str, Any]) -> FirstStage:
    if method == "dense":
        with _progress("passages encoded") as progress:
            settings = {name: flags[flag] for flag, name in _DENSE.items()}
            return _stage(make(**where, threads=flags["threads"], progress=progress, **settings))
    if method in METHODS:
        return _stage(make(**where, method=method, k1=flags["k1"], b=flags["b"], threads=flags["threads"]))
    return _stage(make(**where))


def fused(stages: Sequence[FirstStage], flags: Mapping[str, Any]) -> FirstStage:
    """The only stage, or all of them under --fuse."""
    weights = list(flags["weights"]) or None
    if flags["fuse"] == "rrf":
        return ReciprocalRankFusion(stages, flags["rrf_k"], weights, flags["depth"])
    if flags["fuse"] == "weighted":
        return WeightedFusion(stages, weights, depth=flags["depth"])
    (stage,) = stages
    return stage


def cached_indexes() -> frozenset[Path]:
    """The index folders in the cache."""
    from ..files.caches import cache_root

    return frozenset(path for kind in ("lucene", "dense") for path in (cache_root() / kind).glob("*"))


def index_note(stage: FirstStage, before: frozenset[Path]) -> str | None:
    """Where a stage's index is, and whether it was there before; None for a stage without one."""
    folder: Path | None = getattr(stage, "folder", None)
    if folder is None:
        return None
    cached = {folder, folder.parent} & cached_indexes()
    return f"index {folder}{' (built now)' if cached - before else ' (reused)' if cached else ''}"


def _stage(found: Any) -> FirstStage:
    stage: FirstStage = found
    return stage


@contextmanager
def _cache_errors() -> Iterator[None]:
    """A cache that is full or closed as one line."""
    from ..files.caches import cache_root

    try:
        yield
    except OSError as error:
        where = f"{cache_root()}: {error.strerror or error}"
        raise InputError(
            f"the index cannot be kept in the cache ({where}): name another folder in REASONRANK_CACHE"
        ) from error


@contextmanager
def _progress(unit: str) -> Iterator[Callable[[int], object]]:
    """A counter on standard error when that is a terminal."""
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
        yield bar.update
