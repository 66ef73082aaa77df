"""The collection options of several commands: --dataset, --index, --corpus, --topics, --excluded."""

from __future__ import annotations

import click

from ..jobs.collection import CollectionRequest
from .option_groups import add_options, option_group

COLLECTION_OPTIONS = (
    click.option("--dataset", metavar="ID", help="Test collection: see `reasonrank datasets`."),
    click.option(
        "--index", metavar="NAME|DIR", help="Prebuilt Pyserini index, or a folder with a Lucene index."
    ),
    click.option(
        "--corpus", metavar="FILE", help="JSONL with id and contents, or title and text; a file or a folder."
    ),
    click.option(
        "--topics", metavar="KEY|FILE", help="TSV, JSONL or TREC (also XML) topics, or a Pyserini key (dl20)."
    ),
    click.option("--excluded", metavar="FILE", help="Documents to leave out: lines of 'query docid'."),
)
VARIANT_OPTION = click.option(
    "--query-variant", metavar="V", help="Rewritten queries of the data set, such as gpt4_reason."
)


def collection_request(
    *,
    dataset: str | None = None,
    index: str | None = None,
    corpus: str | None = None,
    topics: str | None = None,
    query_variant: str | None = None,
    excluded: str | None = None,
) -> CollectionRequest:
    """The options' values as a CollectionRequest."""
    return CollectionRequest(
        dataset=dataset,
        index=index,
        corpus=corpus,
        topics=topics,
        query_variant=query_variant,
        excluded=excluded,
    )


corpus_options = add_options(COLLECTION_OPTIONS)
"""Adds the options as arguments of their own."""
collection_options = option_group("collection", COLLECTION_OPTIONS, collection_request)
"""Adds the options and gives the command a CollectionRequest as `collection`."""
