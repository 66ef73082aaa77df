"""The collection options of several commands: --dataset, --index, --corpus, --topics, --excluded."""

from __future__ import annotations

import click

from ..jobs.collection import CollectionRequest
from .option_groups import option_group

COLLECTION_OPTIONS = (
    click.option("--dataset", metavar="ID", help="Test collection: see `reasonrank datasets`."),
    click.option("--index", metavar="NAME|DIR", help="Prebuilt Pyserini index or an index folder."),
    click.option("--corpus", metavar="FILE", help="JSONL with id and contents, or title and text."),
    click.option("--topics", metavar="KEY|FILE", help="TSV or JSONL topics, or a Pyserini key (dl20)."),
    click.option("--excluded", metavar="FILE", help="Lines 'query docid': documents to leave out."),
)
VARIANT_OPTION = click.option(
    "--query-variant", metavar="V", help="Another text of the queries, such as gpt4_reason."
)


collection_options = option_group("collection", COLLECTION_OPTIONS, CollectionRequest)
"""Adds the options and gives the command a CollectionRequest as `collection`."""
