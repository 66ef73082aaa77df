"""The collection options of several commands: --dataset, --index, --corpus, --topics, --excluded."""

from __future__ import annotations

import click

from ..jobs.collection import CollectionRequest
from .option_groups import option_group

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
FIRST_STAGE_URL_OPTION = click.option(
    "--first-stage-url",
    metavar="URL",
    help="Candidates from an index of Pyserini's REST server (2.1 or newer): http://HOST:8081/v1/INDEX.",
)


collection_options = option_group("collection", COLLECTION_OPTIONS, CollectionRequest)
"""Adds the options and gives the command a CollectionRequest as `collection`."""
