"""Model files: from a local folder, or from the Hugging Face hub through its cache."""

from __future__ import annotations

import difflib
import errno
import os
import re
from pathlib import Path

from ..errors import InputError, one_line
from .web_environment import check_hub, check_hub_numbers

TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
                   "chat_template*", "additional_chat_templates/*", "config.json")  # fmt: skip
MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "additional_chat_templates/*")
PICKLED_FILES = ("*.json", "*.bin")
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_HTTP_PACKAGES = ("httpx", "httpx2", "httpcore", "requests", "huggingface_hub")
_COMMIT = re.compile(r"[0-9a-f]{40}")


SHIPPED = {"nano": Path(__file__).parents[1] / "models" / "nano"}
"""Models that come with the package, by name."""


def local_folder(model: str) -> Path | None:
    """The folder if `model` is a folder or a shipped model's name, else None (a hub id, or neither).

    A user's folder takes precedence over a shipped model of the same name.
    """
    path = os.path.expanduser(model)
    if model.strip() and os.path.isdir(path):
        return Path(path)
    return SHIPPED.get(model)


def check_model(model: str) -> None:
    """InputError unless `model` is a folder or could be a hub id."""
    check_hub_numbers()
    if local_folder(model) is not None:
        return
    if os.path.isfile(os.path.expanduser(model)):
        raise InputError(
            f"the model {model!r} is a file: give the folder that holds it, with its config.json"
        )
    if not _ID.fullmatch(model):
        raise InputError(
            f"there is no folder {model!r}, and it is not a hub id: give a folder with config.json and "
            "weights, or an id such as liuwenhan/reasonrank-7B"
        )


def folder_of(model: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """The folder with the files that match `patterns`: local, cached, or downloaded now.

    InputError, in one line, for all failures (no such repository or revision, gated, no network, no space).
    """
    check_model(model)
    folder = local_folder(model)
    if folder is not None:
        return folder
    if not is_offline():
        check_hub()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(patterns)))
    except (OSError, UnicodeError, HFValidationError, LocalEntryNotFoundError) as error:
        raise InputError(_explain(model, revision, error)) from error
    except Exception as error:
        if not from_http_library(error):
            raise
        raise InputError(_explain(model, revision, error)) from error


def cached_file(model: str, revision: str | None, name: str) -> Path | None:
    """That file in a local folder or in the hub's cache; None when it is missing. Never downloads."""
    folder = local_folder(model)
    if folder is not None:
        return folder / name if (folder / name).is_file() else None
    if not _ID.fullmatch(model):
        return None
    check_hub_numbers()
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def cached_commit(model: str, revision: str | None) -> str | None:
    """The commit of a hub model: the revision if that is a commit, else the cached one, else None."""
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    config = cached_file(model, revision, "config.json") or cached_file(model, revision, "tokenizer.json")
    if config is None or config.parent.parent.name != "snapshots":
        return None
    return config.parent.name


def is_offline() -> bool:
    """Whether the environment disables the hub (HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE)."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)


def cache_folder() -> Path:
    """The hub's cache folder: HF_HUB_CACHE, else `hub` under HF_HOME, else under ~/.cache/huggingface."""
    if chosen := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(os.path.expanduser(chosen))
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.path.expanduser(home)) / "hub"


def _explain(model: str, revision: str | None, error: Exception) -> str:
    near = difflib.get_close_matches(model.lower(), SHIPPED, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    at = f"{model!r}{meant}" + (f" at revision {revision!r}" if revision else "")
    cache = cache_folder()
    page = f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}/{model}"
    if is_offline():
        return (
            f"the model {at} is not in the cache {cache}, and HF_HUB_OFFLINE is set: unset it, or run "
            f"`hf download {model}` where there is a network and give the folder"
        )
    names = {kind.__name__ for cause in causes(error) for kind in type(cause).__mro__}
    if "GatedRepoError" in names:
        return f"the model {at} is gated: accept its terms at {page}, then type `hf auth login`"
    if "RevisionNotFoundError" in names:
        return f"the model {model!r} has no revision {revision!r}: give a branch, tag or commit of {page}"
    if "RepositoryNotFoundError" in names:
        return (
            f"there is no model {at} on the hub and no folder of that name: check the spelling, or type "
            "`hf auth login` if it is private"
        )
    if no_space(error):
        return f"no space left in {cache} for {at}: set HF_HOME to a larger disk"
    return (
        f"the model {at} is not in the cache {cache} and could not be fetched ({one_line(error, 160)}): "
        "check the network, or give a local folder"
    )


def from_http_library(error: BaseException) -> bool:
    """Whether an error comes from the hub client's HTTP library, which means that the hub did not answer."""
    return type(error).__module__.partition(".")[0] in _HTTP_PACKAGES


def no_space(error: BaseException) -> bool:
    """Whether an error means a full disk or quota."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def causes(error: BaseException) -> list[BaseException]:
    """The error and its causes, at most ten."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < 10:
        chain.append(cause)
    return chain
