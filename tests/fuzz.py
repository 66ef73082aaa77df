"""Fuzzes one target for some seconds, guided by coverage: python tests/fuzz.py TARGET SECONDS [FOLDER].

Needs the package `atheris` (pip install atheris). FOLDER keeps the inputs that reached new code; an input that fails is
written to the current folder, and the exit status is not 0.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["reasonrank_pyserini"]):
    from fuzz_targets import PIECES, TARGETS


def main() -> None:
    name, seconds = sys.argv[1], int(sys.argv[2])
    target = TARGETS[name]
    folder = Path(sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp()) / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    words = folder.with_name(f"{name}.dict")
    pieces = ["".join(map("\\x{:02x}".format, piece)) for piece in PIECES if len(piece) < 60]
    words.write_text("".join(f'"{piece}"\n' for piece in pieces))
    options = [
        f"-max_total_time={seconds}",
        "-timeout=20",
        "-max_len=4096",
        "-len_control=0",
        f"-artifact_prefix={name}-",
        f"-dict={words}",
    ]
    atheris.Setup([sys.argv[0], str(folder), *options], target.check)
    atheris.Fuzz()


main()
