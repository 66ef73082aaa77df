"""The files behind a BRIGHT data set: fetched when needed, kept, made a store once, and what is said of damage."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bright_kit import TAIL, own_files, table_of
from hub_server import HubServer, run_python

from reasonrank_pyserini import load_dataset
from reasonrank_pyserini.errors import InputError

KEPT = """
import json
from reasonrank_pyserini import load_dataset
dataset = load_dataset("bright/earth-science")
print(json.dumps([[q.id for q in dataset.queries()], len(dataset.documents.get_many(["c", "p q"]))]))
"""


def test_queries_take_one_download_and_the_store_is_built_once(tmp_path: Path) -> None:
    files = own_files()
    environment = table_of(tmp_path, files)
    with HubServer(files) as server:
        line = 'from reasonrank_pyserini import load_dataset; load_dataset("bright/earth-science").queries()'
        assert run_python("-c", line, folder=tmp_path, server=server, environment=environment).returncode == 0
        assert [path for verb, path in server.requests if verb == "GET" and "/resolve/" in path] == [
            f"/datasets/xlangai/BRIGHT/resolve/{'3066' * 10}/examples/earth_science{TAIL}"
        ]
        assert run_python("-c", KEPT, folder=tmp_path, server=server, environment=environment).returncode == 0
        assert server.asked(f"/documents/earth_science{TAIL}") == 1
    for path in (tmp_path / "hf").rglob(f"documents/earth_science{TAIL}"):
        path.unlink()
    done = run_python("-c", KEPT, folder=tmp_path, environment=environment)
    assert json.loads(done.stdout) == [["0", "1"], 2], done.stderr


def test_two_processes_at_once_build_one_store(tmp_path: Path) -> None:
    files = own_files()
    environment = table_of(tmp_path, files)
    with HubServer(files) as server, ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(run_python, "-c", KEPT, folder=tmp_path, server=server, environment=environment)
            for _ in range(2)
        ]
        found = [done.result().stdout for done in both]
    assert [json.loads(text) for text in found] == [[["0", "1"], 2]] * 2
    assert len(list((tmp_path / "cache").glob("docstore-*/*/store"))) == 1


def test_a_table_of_ones_own_must_be_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONRANK_COLLECTIONS", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"REASONRANK_COLLECTIONS: there is no folder .*none"):
        load_dataset("bright/pony").queries()
    monkeypatch.setenv("REASONRANK_COLLECTIONS", str(tmp_path))
    assert load_dataset("r2med/biology").id == "r2med/biology"
    (tmp_path / "bright.toml").write_text("repository = ")
    with pytest.raises(InputError, match=r"bright\.toml: not TOML"):
        load_dataset("bright/pony").queries()


def test_damage_is_reported_in_one_line(tmp_path: Path) -> None:
    files = {
        name: b"PAR1 no parquet" if "examples" in name else content for name, content in own_files().items()
    }
    with HubServer(files) as server:
        done = run_python("-c", SHOWN, folder=tmp_path, server=server, environment=table_of(tmp_path, files))
    assert done.returncode == 0, done.stderr
    bad, damaged = json.loads(done.stdout)
    assert f"examples/earth_science{TAIL} cannot be read (" in bad
    assert bad.endswith("delete it and try again")
    assert damaged.startswith(f"the documents in {tmp_path}/cache/docstore-bright-earth-science-")
    assert [len(line.splitlines()) for line in (bad, damaged)] == [1, 1]


SHOWN = """
import json
from reasonrank_pyserini import load_dataset
from reasonrank_pyserini.errors import InputError
def refused(call):
    try: call()
    except InputError as error: return str(error)
dataset = load_dataset("bright/earth-science")
bad = refused(dataset.queries)
dataset.documents.get_many(["c"])
(dataset.documents.folder / "store" / "bin").write_bytes(b"")
print(json.dumps([bad, refused(lambda: load_dataset("bright/earth-science").documents.get_many(["c"]))]))
"""
