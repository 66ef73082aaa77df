"""Documents by id: time and peak memory of building the lookup and of 1,000 random documents.

    python eval/bench/documents.py [documents, default 400000]

A corpus of COUNT documents of about 600 characters is made in a temporary folder (seeded). `Corpus` reads
the JSONL file by byte offsets; `StoredDocuments` keeps a compressed copy, as for BRIGHT and R2MED.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reasonrank_pyserini.datasets import Docstore
from reasonrank_pyserini.datasets.docstore import StoredDocuments
from reasonrank_pyserini.files.corpora import Corpus

WORDS = 5_000
WANTED = 1_000


@dataclass(frozen=True)
class LocalFile:
    path: Path
    name: str = "corpus.jsonl"
    size: int | None = None

    def cached(self) -> Path:
        return self.path

    def fetch(self) -> Path:
        return self.path


def make_corpus(path: Path, documents: int) -> None:
    chance = random.Random(0)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 10))) for _ in range(WORDS)]
    with path.open("w") as stream:
        for number in range(documents):
            text = " ".join(chance.choices(words, k=86))
            stream.write(json.dumps({"id": f"folder/page_{number}.txt", "text": text}) + "\n")


def texts(path: Path) -> Iterator[tuple[str, str]]:
    with path.open("rb") as stream:
        for line in stream:
            record = json.loads(line)
            yield record["id"], record["text"]


def opened(kind: str, path: Path) -> Docstore:
    if kind == "Corpus":
        return Corpus(path)
    return StoredDocuments(LocalFile(path), "docstore-bench", {"file": str(path)}, texts)


def measure(kind: str, path: Path, documents: int) -> None:
    """Prints one row: what the first document, then the next thousand, cost in this process."""
    ids = [f"folder/page_{n}.txt" for n in random.Random(1).sample(range(documents), WANTED)]
    start = time.perf_counter()
    store = opened(kind, path)
    store.get_many(ids[:1])
    first = time.perf_counter()
    found = store.get_many(ids)
    end = time.perf_counter()
    assert len(found) == WANTED
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{kind:<16} {first - start:>10.2f} {1000 * (end - first):>14.1f} {peak:>10.0f}", flush=True)


def main(documents: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.jsonl"
        make_corpus(path, documents)
        print(f"{documents:,} documents, {path.stat().st_size / 1e6:.0f} MB; each row is a new process")
        print(f"{'lookup':<16} {'first, s':>10} {'1,000 ids, ms':>14} {'peak, MiB':>10}")
        environment = {**os.environ, "REASONRANK_CACHE": str(Path(folder) / "cache")}
        for kind in ("Corpus", "Corpus", "StoredDocuments", "StoredDocuments"):  # built, then found built
            command = [sys.executable, __file__, str(documents), "--measure", kind, str(path)]
            subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
        (store,) = (Path(folder) / "cache").glob("docstore-bench/*/store")
        print(f"the store holds {sum(file.stat().st_size for file in store.iterdir()) / 1e6:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("documents", type=int, nargs="?", default=400_000)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure is not None:
        measure(asked.measure[0], Path(asked.measure[1]), asked.documents)
    else:
        main(asked.documents)
