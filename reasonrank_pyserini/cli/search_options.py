"""The search options of several commands: BM25's, dense retrieval's, threads and Java's memory."""

from __future__ import annotations

from typing import Any

import click

from ..errors import InputError
from ..first_stages.encoder_options import EncoderOptions
from ..first_stages.opening import FusionOptions, SearchOptions
from .option_groups import option_group

SEARCH_OPTIONS = (
    click.option("--k1", type=float, default=0.9, show_default=True, help="BM25's k1."),
    click.option("--b", type=float, default=0.4, show_default=True, help="BM25's b."),
    click.option("--heap", metavar="SIZE", help="Java's memory, such as 8g."),
    click.option("--encoder", metavar="NAME|DIR", help="dense: a sentence-transformers or Pyserini model."),
    click.option(
        "--encoder-class",
        metavar="CLASS",
        help="dense: kind of encoder: sentence-transformers, auto, tct_colbert, ...",
    ),
    click.option("--encoder-revision", metavar="R", help="dense: the model's revision on the hub."),
    click.option("--query-encoder", metavar="NAME|DIR", help="dense: a separate model for queries (dpr)."),
    click.option("--query-prefix", metavar="TEXT", help="dense: text put before every query, unchanged."),
    click.option("--passage-prefix", metavar="TEXT", help="dense: text put before every passage, unchanged."),
    click.option("--max-length", type=int, metavar="N", help="dense: longest input, in tokens."),
    click.option(
        "--pooling", metavar="cls|mean", help="dense: how token vectors are pooled (encoder class auto)."
    ),
    click.option("--l2-norm", is_flag=True, help="dense: scale vectors to length 1."),
    click.option("--batch-size", type=int, default=32, show_default=True, help="dense: texts per batch."),
    click.option("--device", metavar="D", help="dense: where the encoder runs: cpu, cuda:0, mps."),
    click.option("--threads", type=int, metavar="N", help="Search threads.  [default: all processors]"),
)
FUSION_OPTIONS = (
    click.option(
        "--fuse",
        metavar="METHOD",
        help="How several runs and methods become one run: rrf, or by scores: min-max (or weighted), "
        "z-score, none.",
    ),
    click.option(
        "--weights",
        multiple=True,
        type=float,
        metavar="W",
        help="--fuse: one weight per run, then one per method.",
    ),
    click.option("--rrf-k", type=float, default=60, show_default=True, help="The constant of rrf."),
    click.option(
        "--depth",
        type=int,
        default=1000,
        show_default=True,
        help="--fuse: candidates taken from each run or method.",
    ),
)


_ENCODER_FIELDS = {
    "encoder_class": "kind",
    "encoder_revision": "revision",
    "query_encoder": "query_model",
    "l2_norm": "normalise",
}
"""The fields of EncoderOptions that have another name than their option."""


def fusion_options(
    *, fuse: Any, weights: tuple[float, ...], rrf_k: float, depth: int
) -> FusionOptions | None:
    """The options' values as FusionOptions; None without --fuse."""
    if fuse is None:
        if weights:
            raise InputError("--weights belongs to --fuse rrf or --fuse weighted")
        return None
    return FusionOptions(method=fuse, weights=weights or None, rrf_k=rrf_k, depth=depth)


def search_options(
    *,
    k1: float = 0.9,
    b: float = 0.4,
    heap: str | None = None,
    threads: int | None = None,
    encoder: str | None = None,
    **dense: Any,
) -> SearchOptions:
    """The options' values as SearchOptions."""
    named = {_ENCODER_FIELDS.get(name, name): value for name, value in dense.items()}
    options = EncoderOptions(encoder, **named) if encoder else None
    return SearchOptions(k1=k1, b=b, heap=heap, threads=threads, encoder=options)


stage_options = option_group("search", SEARCH_OPTIONS, search_options)
"""Adds the options and gives the command SearchOptions as `search`."""
