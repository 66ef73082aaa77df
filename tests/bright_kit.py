"""A small BRIGHT for tests: the files of one task as the hub lays them out, and the table that makes them known."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

TAIL = "-00000-of-00001.parquet"
FIXED = "0 0 a b.txt 1\n0 0 d.txt 1\n"
EXAMPLE = {
    "id": "0", "query": "original", "reasoning": "human note", "gold_answer": "42", "gold_ids": ["a b.txt", "c", "c"],
    "gold_ids_long": ["long.txt"], "excluded_ids": ["x y", "N/A"],
}  # fmt: skip
BARE = {**EXAMPLE, "id": "1", "gold_ids": ["c"], "gold_ids_long": ["N/A"], "excluded_ids": ["N/A"]}
DOCUMENTS = [("a b.txt", "one"), ("c", "two"), ("p_q", "three"), ("p q", "four"), ("r s t", "five")]


def parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def own_files() -> dict[str, bytes]:
    """A small BRIGHT as the hub lays it out, and a mended file of judgements."""
    rewritten = {**EXAMPLE, "query": "rewritten by GPT-4"}
    tables = {
        "examples/earth_science": [EXAMPLE, BARE],
        "gpt4_reason/earth_science": [rewritten],
        "claude-3-opus_reason/earth_science": [{**EXAMPLE, "query": "rewritten by Claude"}],
        "documents/earth_science": [{"id": id, "content": text} for id, text in DOCUMENTS],
        "long_documents/earth_science": [{"id": "long.txt", "content": "one and two"}],
    }
    files = {f"datasets/xlangai/BRIGHT/{name}{TAIL}": parquet(rows) for name, rows in tables.items()}
    return {**files, "castorini/anserini-tools/qrels/qrels.bright-earth-science.fixed.txt": FIXED.encode()}


def table_of(folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    """The environment under which the sizes and checksums of these files replace the known ones."""
    hub, raw = [], []
    for name, content in files.items():
        _, _, path = name.removeprefix("datasets/").split("/", 2)
        sums = {kind: hashlib.new(kind, content).hexdigest() for kind in ("md5", "sha256")}
        if name.startswith("datasets/"):
            hub.append(f'"{path}" = {{ size = {len(content)}, md5 = "{sums["md5"]}" }}')
        else:
            raw.append(
                f'"{path.rpartition("/")[2]}" = {{ size = {len(content)}, sha256 = "{sums["sha256"]}" }}'
            )
    url = f"https://raw.githubusercontent.com/castorini/anserini-tools/{'5b81' * 10}/qrels"
    lines = ['repository = "xlangai/BRIGHT"', f'revision = "{"3066" * 10}"', "[files]", *hub]
    (folder / "tables").mkdir()
    (folder / "tables" / "bright.toml").write_text(
        "\n".join([*lines, "[qrels]", f'url = "{url}"', "[qrels.files]", *raw])
    )
    return {"REASONRANK_COLLECTIONS": str(folder / "tables")}
