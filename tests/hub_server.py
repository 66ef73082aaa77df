"""A hub and a GitHub of files on loopback, for tests of downloads; it misbehaves on request.

It answers what huggingface_hub asks for single files (HEAD and GET, with Range) and raw GitHub paths:

    with HubServer({"datasets/xlangai/BRIGHT/examples/x.parquet": b"..."}) as server:
        server.fail("examples/x.parquet", "truncate", times=1)
        ...                              # a process with HF_ENDPOINT=server.url
        assert server.asked("examples/x.parquet") == 2

Names of files: `datasets/<owner>/<name>/<path>` for a hub data set, `<owner>/<name>/<path>` for models (which are
listed, too) and raw files; every revision and commit serves the same bytes. Faults: `404`, `500`, `gated`,
`truncate` (half of the body, then the connection ends), `other` (as many bytes, but zeros). With `ranges` False the
whole body is sent whatever range is asked for. `stop()` frees the port, `start()` takes the same one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

COMMIT = "3066d29c9651a576c8aba4832d249807b181ecae"
_HUB = re.compile(r"/(?P<repo>(datasets/)?[^/]+/[^/]+)/resolve/(?P<commit>[^/]+)/(?P<path>.+)")
_MODEL = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?P<kind>/revision/|/tree/)?[^/]*")
_RAW = re.compile(r"/(?P<repo>[^/]+/[^/]+)/(?P<commit>[0-9a-f]{40})/(?P<path>.+)")


def run_python(
    *command: str, folder: Path, server: HubServer | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The finished process of this Python in `folder`; it reaches nothing but that server, and keeps all in `folder`.

    huggingface_hub reads its settings when it is imported, so each use is a process of its own.
    """
    nowhere = "http://127.0.0.1:9"
    address = server.url if server is not None else nowhere
    variables = {
        **os.environ,
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), nowhere),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"),
        "HF_ENDPOINT": address,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_OFFLINE": "0" if server is not None else "1",
        "REASONRANK_GITHUB_RAW": address,
        "REASONRANK_CACHE": str(folder / "cache"),
        "IR_DATASETS_HOME": str(folder / "ir_datasets"),
        "IR_DATASETS_DL_TRIES": "1",
        "PYTHONPATH": str(Path(__file__).parents[1]),
        **(environment or {}),
    }
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_OFFLINE"):
        variables.pop(name, None)
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        env=variables,
        cwd=folder,
        timeout=600,
        check=False,
    )


class HubServer:
    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = dict(files)
        self.requests: list[tuple[str, str]] = []
        self.ranges = True
        self._faults: dict[str, tuple[str, int]] = {}
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def fail(self, ending: str, kind: str, times: int = 1_000) -> None:
        """The next so many requests for names with that ending fail; a truncated or other body counts on GET."""
        self._faults[ending] = (kind, times)

    def asked(self, ending: str, method: str = "GET") -> int:
        return sum(1 for verb, path in self.requests if verb == method and path.endswith(ending))

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = _Server(("127.0.0.1", self._port), handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take_fault(self, path: str, *, body: bool) -> str | None:
        for ending, (kind, times) in self._faults.items():
            if path.endswith(ending) and times > 0 and (body or kind not in ("truncate", "other")):
                self._faults[ending] = (kind, times - 1)
                return kind
        return None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may hang up: a traceback would be on the standard error of a command in this process."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path))
        fault = self.hub.take_fault(path, body=body)
        if (model := _MODEL.fullmatch(path)) and self._list(f"{model['repo']}/", model["kind"] == "/tree/"):
            return
        found = _HUB.fullmatch(path) or _RAW.fullmatch(path)
        content = self.hub.files.get(f"{found['repo']}/{found['path']}") if found else None
        if fault in ("500", "gated") or fault == "404" or found is None or content is None:
            status = {"500": 500, "gated": 403}.get(fault or "", 404)
            code = {403: "GatedRepo", 404: "EntryNotFound"}.get(status)
            self._head(status, {"Content-Length": "0", **({"X-Error-Code": code} if code else {})})
            return
        sent = bytes(len(content)) if fault == "other" else content
        start = self._range_start()
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": found["commit"] if re.fullmatch("[0-9a-f]{40}", found["commit"]) else COMMIT,
            "Accept-Ranges": "bytes",
            "Content-Length": str(len(content) - start),
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._head(206 if start else 200, headers)
        if body:
            end = start + (len(content) - start) // 2 if fault == "truncate" else len(content)
            self.wfile.write(sent[start:end])
            if fault == "truncate":
                self.close_connection = True

    def _list(self, folder: str, tree: bool) -> bool:
        """What the hub reports of a model, or of its files; False if it has none of that name."""
        names = [name for name in self.hub.files if name.startswith(folder)]
        sizes = {name.removeprefix(folder): len(self.hub.files[name]) for name in names}
        if not sizes:
            return False
        files = [{"type": "file", "path": name, "size": size, "oid": COMMIT} for name, size in sizes.items()]
        siblings = [{"rfilename": name, "size": size} for name, size in sizes.items()]
        about = {"id": folder.rstrip("/"), "sha": COMMIT, "siblings": siblings}
        body = json.dumps(files if tree else about).encode()
        self._head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        self.wfile.write(body)
        return True

    def _range_start(self) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(asked[1]) if asked and self.hub.ranges else 0

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
