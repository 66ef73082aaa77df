"""Models of the hub: each refusal has its own line, and without a network the cache is enough."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from models_kit import run_python


@pytest.fixture
def hub() -> Iterator[str]:
    """A hub on loopback that refuses: the repository's name says how."""
    answers = {
        "gated": (403, "GatedRepo"),
        "missing": (401, "RepoNotFound"),
        "other": (404, "RevisionNotFound"),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, code = next((found for name, found in answers.items() if name in self.path), (500, ""))
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_args: Any) -> None:
            """Nothing on the screen."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


LOAD = """if True:
    import json, sys
    from reasonrank_pyserini.errors import InputError
    from reasonrank_pyserini.models.identity import load_tokenizer, model_context, model_identity
    found = {}
    for model, revision in MODELS:
        try:
            eos = load_tokenizer(model, revision).eos_token
            found[model] = [eos, model_identity(model, revision), model_context(model)]
        except InputError as error:
            found[model] = str(error)
    print(json.dumps(found))
"""


def test_each_refusal_of_the_hub_has_its_own_line(hub: str, tmp_path: Path) -> None:
    script = LOAD.replace(
        "MODELS", "[('o/gated', None), ('o/missing', None), ('o/other', 'v9'), ('o/broken', None)]"
    )
    found = run_python(
        script, HF_HOME=str(tmp_path), HF_ENDPOINT=hub, HF_HUB_OFFLINE="0", HF_HUB_DISABLE_XET="1"
    )
    assert (
        found["o/gated"]
        == f"the model 'o/gated' is gated: accept its terms at {hub}/o/gated, then type `hf auth login`"
    )
    assert (
        "there is no model 'o/missing' on the hub and no folder of that name: check the spelling"
        in found["o/missing"]
    )
    assert "has no revision 'v9': give a branch, tag or commit" in found["o/other"]
    assert "could not be fetched" in found["o/broken"]
    assert "check the network, or give a local folder" in found["o/broken"]
    assert not any("\n" in line for line in found.values())


def test_without_a_network_the_cache_is_enough_and_else_one_line_says_so(
    tiny_model: Path, tmp_path: Path
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--o--cached"
    shutil.copytree(tiny_model, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    script = LOAD.replace("MODELS", "[('o/cached', None), ('o/absent', None)]")
    found = run_python(script, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert found["o/cached"] == ["<|im_end|>", {"model": "o/cached", "revision": commit}, 16384]
    assert "'o/absent' is not in the cache" in found["o/absent"]
    assert "HF_HUB_OFFLINE is set: unset it, or run `hf download o/absent`" in found["o/absent"]
    found = run_python(script, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9")
    assert found["o/cached"][1]["revision"] == commit
    assert "could not be fetched" in found["o/absent"]
