"""Single files from the Hugging Face hub and from GitHub: pinned, verified once, cached."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from ..errors import InputError, one_line
from .caches import cache_root
from .checksums import CHECKSUMS, problem_with
from .hub import cache_folder, causes, from_http_library, is_offline, no_space
from .web_environment import check_certificates, check_hub, check_hub_numbers, check_proxies, is_loopback

GITHUB_RAW = "https://raw.githubusercontent.com"
TIMEOUT = 30.0
RESUMES = 4
"""How often the rest of a file is asked for when its connection ends early."""


class RemoteFile(Protocol):
    """A remote file that never changes; `size` is in bytes, None when unknown."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int | None: ...

    def cached(self) -> Path | None:
        """The file if it is in the cache and valid, else None. Never downloads."""
        ...

    def fetch(self) -> Path:
        """The file, downloaded if it is not in the cache; InputError in one line when that fails."""
        ...


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a hub repository at one commit, in the hub client's cache (HF_HOME, HF_ENDPOINT, HF_TOKEN).

    Size and checksums, if given, are verified once, also for a file that was put there by hand.
    """

    repo: str
    path: str
    revision: str
    repo_type: str = "dataset"
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        return f"{self.repo}/{self.path}"

    def cached(self) -> Path | None:
        check_hub_numbers()
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repo, self.path, revision=self.revision, repo_type=self.repo_type)
        path = Path(found) if isinstance(found, str) else None
        return path if path is not None and _right(path, self) else None

    def fetch(self) -> Path:
        (check_hub_numbers if is_offline() else check_hub)()
        from huggingface_hub import hf_hub_download

        try:
            path = Path(
                hf_hub_download(self.repo, self.path, revision=self.revision, repo_type=self.repo_type)
            )
        except Exception as error:
            if not isinstance(error, OSError | ValueError) and not from_http_library(error):
                raise
            raise InputError(_hub_advice(self, error)) from error
        try:
            problem = _problem(path, self)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        if problem is not None:
            _forget(path)
            raise InputError(
                f"{self.name} at {self.revision} is not the expected file ({problem}); it has been removed "
                "from the cache: try again, or check what HF_ENDPOINT serves"
            )
        return path


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file of a public GitHub repository at one commit; `$REASONRANK_GITHUB_RAW` is the address of a mirror.

    It is cached under its sha256, or else its git blob id, and gets its name only after verification. A git blob id
    (the SHA-1 of `blob SIZE`, a NUL and the content) is what `git ls-tree` shows.
    """

    url: str
    sha256: str | None = None
    size: int | None = None
    git_blob: str | None = None

    def __post_init__(self) -> None:
        if not self._checksum:
            raise ValueError(f"{self.url}: give its sha256 or its git_blob")

    @property
    def _checksum(self) -> str:
        return self.sha256 or self.git_blob or ""

    @property
    def name(self) -> str:
        return self.url.removeprefix(f"{GITHUB_RAW}/")

    @property
    def address(self) -> str:
        """The URL from which the file is downloaded."""
        mirror = os.environ.get("REASONRANK_GITHUB_RAW", "").rstrip("/")
        return f"{mirror}/{self.name}" if mirror and self.name != self.url else self.url

    @property
    def place(self) -> Path:
        """The path of the cached file, where it can also be put by hand."""
        return cache_root() / "files" / self._checksum[:32] / self.url.rpartition("/")[2]

    def cached(self) -> Path | None:
        return self.place if _right(self.place, self) else None

    def fetch(self) -> Path:
        if (here := self.cached()) is not None:
            return here
        if is_offline():
            raise InputError(self._advice("is not in the cache, and HF_HUB_OFFLINE is set"))
        if not is_loopback(self.address):
            check_proxies()
            check_certificates()
        part = self.place.with_name(f".{self.place.name[:40]}.part-{secrets.token_hex(6)}")
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            _download(self.address, part)
            if problem := _problem(part, self, remember=False):
                raise InputError(self._advice(f"is not the expected file ({problem})"))
            os.replace(part, self.place)
        except _failures() as error:
            raise InputError(self._advice(f"could not be fetched ({one_line(error, 160)})")) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return self.place

    def _advice(self, what: str) -> str:
        return (
            f"{self.name} {what}: try again with a network connection, or download {self.address} elsewhere and "
            f"save it as {self.place}"
        )


def _failures() -> tuple[type[Exception], ...]:
    from http.client import HTTPException

    return OSError, HTTPException, ValueError


def _download(address: str, path: Path) -> None:
    """The body as a file; where its connection ends early, the rest is asked for as long as some of it comes."""
    with path.open("wb") as stream:
        for _ in range(1 + RESUMES):
            before = stream.tell()
            problem = _receive(address, stream)
            if not problem:
                return
            if stream.tell() <= before:
                break
    raise OSError(f"the connection ended early: {problem}")


def _receive(address: str, stream: IO[bytes]) -> str:
    """Append what the stream lacks of the body; why that ended early, empty where it did not.

    A server that does not know ranges sends the whole body again.
    """
    from http import HTTPStatus
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    start = stream.tell()
    headers = {"User-Agent": "reasonrank-pyserini", "Accept-Encoding": "identity"}
    request = Request(address, headers=headers | ({"Range": f"bytes={start}-"} if start else {}))
    with urlopen(request, timeout=TIMEOUT) as answer:
        if start and answer.status != HTTPStatus.PARTIAL_CONTENT:
            stream.seek(0)
            stream.truncate()
        missing: int | None = answer.length
        while True:
            try:
                block = answer.read(1 << 16)
            except (OSError, HTTPException) as error:
                return one_line(error, 160)
            if not block:
                return f"{missing} bytes are missing" if missing else ""
            stream.write(block)
            missing = None if missing is None else missing - len(block)


def _problem(path: Path, expected: HubFile | WebFile, *, remember: bool = True) -> str | None:
    return problem_with(path, expected.size, _checksums(expected), remember=remember)


def _right(path: Path, expected: HubFile | WebFile) -> bool:
    """Whether a file exists, can be read and is the expected one."""
    try:
        return path.is_file() and _problem(path, expected) is None
    except OSError:
        return False


def _checksums(file: HubFile | WebFile) -> dict[str, str]:
    return {name: checksum for name in CHECKSUMS if (checksum := getattr(file, name, None))}


def _forget(pointer: Path) -> None:
    """Remove a file from the hub's cache, both the link in `snapshots` and its target."""
    blob = pointer.resolve()
    for path in (pointer, blob):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _hub_advice(file: HubFile, error: Exception) -> str:
    at = f"file {file.path} of {file.repo!r} at revision {file.revision!r}"
    kind = f"--repo-type {file.repo_type} " if file.repo_type != "model" else ""
    command = f"`hf download {kind}{file.repo} {file.path} --revision {file.revision}`"
    by_hand = f"run {command} where there is a network, and point HF_HOME to that cache"
    if is_offline():
        return f"the {at} is not in the cache {cache_folder()}, and HF_HUB_OFFLINE is set: unset it, or {by_hand}"
    names = {type_.__name__ for cause in causes(error) for type_ in type(cause).__mro__}
    folder = "" if file.repo_type == "model" else f"{file.repo_type}s/"
    page = f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}/{folder}{file.repo}"
    if "GatedRepoError" in names:
        return f"the {at} is gated: accept its terms at {page}, then type `hf auth login`"
    if names & {"RevisionNotFoundError", "RepositoryNotFoundError", "RemoteEntryNotFoundError"}:
        return f"there is no {at}: look at {page}, or type `hf auth login` if it is private"
    if no_space(error):
        return f"no space left in {cache_folder()} for the {at}: set HF_HOME to a larger disk"
    reason = one_line(error.__cause__ or error, 160)
    return f"the {at} could not be fetched ({reason}): check the network and try again, or {by_hand}"
