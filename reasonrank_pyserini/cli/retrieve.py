"""`reasonrank retrieve`: a first stage, or several fused, as a TREC run."""

from __future__ import annotations

import time

import click

from ..datasets.docids import DOCID_STYLES
from ..errors import InputError
from ..files.outputs import check_output, clean_stdout
from ..first_stages.opening import FusionOptions, SearchOptions
from ..jobs.collection import CollectionRequest
from ..jobs.retrieval import RetrieveRequest, RetrieveResult, retrieve
from . import VariadicCommand
from .collection_options import COLLECTION_OPTIONS, FIRST_STAGE_URL_OPTION, VARIANT_OPTION
from .option_groups import option_group
from .search_options import FUSION_OPTIONS, fusion_options, stage_options
from .terminal import StepBars, say


@click.command(cls=VariadicCommand)
@option_group("collection", (*COLLECTION_OPTIONS, VARIANT_OPTION), CollectionRequest)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="M",
    help="bm25, bm25q (query-side BM25), dense or module:attribute; one or several.",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    metavar="FILE",
    help="Runs to fuse (TREC or score JSON), with each other or with a search.",
)
@FIRST_STAGE_URL_OPTION
@click.option("-k", "--k", "k", type=int, default=100, show_default=True, help="Candidates per query.")
@option_group("fuse", FUSION_OPTIONS, fusion_options)
@stage_options
@click.option("--tag", metavar="WORD", help="Last column of the run.  [default: the methods]")
@click.option("--docid-style", type=click.Choice(list(DOCID_STYLES)), default="hub", show_default=True,
              help="hub: the collection's own docids; castorini: with _ for spaces.")  # fmt: skip
@click.option(
    "-o", "--output", required=True, metavar="FILE|-", help="The run to write; - is standard output."
)
def command(
    collection: CollectionRequest,
    methods: tuple[str, ...],
    runs: tuple[str, ...],
    first_stage_url: str | None,
    k: int,
    fuse: FusionOptions | None,
    search: SearchOptions,
    tag: str | None,
    docid_style: str,
    output: str,
) -> None:
    """Retrieve candidates and write them as a TREC run.

    An index is built once, from a corpus or a data set, and kept in the cache. Excluded documents are removed
    before the list is cut at K. Several methods or runs become one run by --fuse.

    \b
    Examples:
      reasonrank retrieve --corpus corpus.jsonl --topics topics.tsv --method bm25 -o bm25.trec
      reasonrank retrieve --index bright-biology --topics bright-biology --method bm25q -k 10 -o -
      reasonrank retrieve --corpus corpus.jsonl --topics topics.tsv --method bm25 dense \\
          --encoder sentence-transformers/all-MiniLM-L6-v2 --fuse rrf -o hybrid.trec
      reasonrank retrieve --run bm25.trec dense.trec --fuse weighted --weights 0.3 0.7 -o fused.trec
    """
    begin = time.monotonic()
    if not methods and not runs and first_stage_url is None:
        raise InputError(
            "no first stage: give --method bm25, bm25q or dense, --run FILE or --first-stage-url URL"
        )
    request = RetrieveRequest(
        collection=collection, methods=methods, runs=runs, first_stage_url=first_stage_url, k=k, search=search,
        fuse=fuse, tag=tag, docid_style=docid_style,
    )  # fmt: skip
    request.check()
    check_output(output)
    with clean_stdout(), StepBars() as bars:
        result = retrieve(request, say=say, steps=bars.step)
    result.write(output)
    say(f"{counts(result)}; {time.monotonic() - begin:.1f} s")


def counts(result: RetrieveResult) -> str:
    """How many candidates were found."""
    found, k = result.run.values(), result.request.k
    empty, short = sum(not hits for hits in found), sum(0 < len(hits) < k for hits in found)
    return (
        f"{len(result.queries)} queries, {sum(map(len, found))} candidates; {empty} queries empty, {short} with "
        f"fewer than {k}"
    )
