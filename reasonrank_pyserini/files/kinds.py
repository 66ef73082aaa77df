"""What a file seems to be, by its start: for the message when it is not of the kind that was asked for."""

from __future__ import annotations

import re

_FORMATS = (
    (rb"BZh[1-9](?:1AY&SY|\x17rE8P)", "is compressed by bzip2"),
    (rb"\x28\xb5\x2f\xfd", "is compressed by zstd"),
    (rb"\xfd7zXZ", "is compressed by xz"),
    (rb"\x04\x22\x4d\x18", "is compressed by lz4"),
    (rb"\x1f\x8b", "is compressed by gzip twice"),
    (rb"PK\x03\x04", "is a zip archive"),
    (rb"7z\xbc\xaf", "is a 7z archive"),
    (rb"(?s:.{257})ustar", "is a tar archive"),
    (rb"PAR1\x15", "is a Parquet file"),
    (rb"ARROW1\0", "is an Arrow file"),
    (rb"SQLite format 3\0", "is an SQLite database"),
    (rb"\x80[\x02-\x05]", "is a Python pickle"),
    (rb"\x93NUMPY", "is a NumPy file"),
    (rb"\xff\xfe|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]", "is UTF-16 text, not UTF-8"),
    (rb"\0\0", "starts with NUL bytes"),
)
_KNOWN = tuple((re.compile(pattern), what) for pattern, what in _FORMATS)
HEAD = 512
"""Bytes that `other_format` looks at."""

_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NAMES = {
    *(b"qid", b"query", b"query_id", b"query-id", b"queryid", b"topic", b"q0", b"iter", b"iteration"),
    *(b"docid", b"docno", b"doc_id", b"doc-id", b"corpus-id", b"pid", b"document", b"id"),
    *(b"rank", b"score", b"tag", b"rel", b"relevance", b"grade", b"label", b"text"),
}


def other_format(head: bytes) -> str:
    """`is ...` for packed and binary formats and for UTF-16; empty for other text."""
    return next((what for pattern, what in _KNOWN if pattern.match(head)), "")


def resemblance(line: bytes, expected: str = "") -> str:
    """`; this looks like ...` for the first line of another kind of file than the expected; empty where none fits."""
    what = _seems(line.removeprefix(b"\xef\xbb\xbf").strip())
    return f"; this looks like {what}" if what and what != expected else ""


def _seems(line: bytes) -> str:
    fields = line.split()
    starts = {
        b"<!doctype html": "an HTML page: was the download refused?",
        b"<html": "an HTML page: was the download refused?",
        b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull`",
        b"<": "XML",
        b"{": "JSON",
        b"[": "JSON",
    }
    if known := next((what for start, what in starts.items() if line.lower().startswith(start)), None):
        return known
    if b"\r" in line:
        return "text whose lines end with CR alone: convert it to LF"
    if b"\0" in line:
        return "a binary file"
    if line.count(b",") >= max(1, len(fields) - 1) and b"\t" not in line:
        return "CSV"
    if len(_NAMES.intersection(line.lower().split())) > len(fields) / 2:
        return "a header: delete that line"
    return _columns(line, fields)


def _columns(line: bytes, fields: list[bytes]) -> str:
    if len(fields) in (5, 6) and all(_NUMBER.fullmatch(one) for one in fields[3:5]):
        return "a TREC run" if len(fields) == 6 else "a run without its last column, the tag"
    if len(fields) in (3, 4) and _NUMBER.fullmatch(fields[-1]):
        return "qrels" if len(fields) == 4 else "qrels, or a run with query, document and rank alone"
    return "topics (id<TAB>text)" if line.count(b"\t") == 1 else ""
