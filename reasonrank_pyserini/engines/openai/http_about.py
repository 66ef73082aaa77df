"""What servers report about themselves: version and models; advice after HTTP 404."""

from __future__ import annotations

import difflib
import logging
import re
from typing import Any

from ...errors import one_line
from .http_failures import server_text
from .http_options import Options
from .http_servers import Server

log = logging.getLogger(__name__)

MODEL_FACTS = ("id", "root", "parent", "max_model_len", "owned_by")


async def ask_about(server: Server, model: str, options: Options) -> None:
    """Fill `server.about`: `models` (at most 100 names), `model` (root, context, ... of the one in use), `version`."""
    listed = await _get(server, "/models", options)
    rows = listed.get("data") if isinstance(listed, dict) else None
    named = [row for row in (rows if isinstance(rows, list) else ()) if isinstance(row, dict) and "id" in row]
    server.about["models"] = [one_line(str(row["id"]), limit=200) for row in named[:100]]
    for row in named:
        if row["id"] == model:
            server.about["model"] = {name: row[name] for name in MODEL_FACTS if row.get(name) is not None}
    version = await _get(server, f"{server.url.removesuffix('/v1')}/version", options)
    if isinstance(version, dict) and isinstance(version.get("version"), str):
        server.about["version"] = one_line(version["version"], limit=80)


async def _get(server: Server, path: str, options: Options) -> Any:
    import openai

    try:
        with server.client() as client:
            return await client.get(path, cast_to=object, options={"timeout": options.connect_timeout})
    except (openai.OpenAIError, ValueError) as error:
        log.info("%s does not answer %s: %s", server.url, path, server_text(error, options.key))
        return None


def after_404(server: Server, model: str, api: str, status: int) -> str:
    """What to type next when the server does not have the page (404, 405) or the model; call `ask_about` first."""
    known = server.about.get("models")
    if not known:
        return f"there is no OpenAI API at this address, or it lists no models: {_address_advice(server.url)}"
    if model in known:
        other = "chat" if api == "completions" else "completions"
        if status not in (404, 405):
            return f"the server lists the model {model!r}, but does not serve it: ask who runs it"
        return f"the server has the model {model!r}, but not this endpoint: try `api` {other}"
    close = difflib.get_close_matches(model, known, n=1, cutoff=0.3) or known[:1]
    return one_line(
        f"the server has no model {model!r}: did you mean {close[0]!r}? it has {', '.join(known[:12])}"
    )


def _address_advice(url: str) -> str:
    base = re.sub(r"(/v1){2,}$", "/v1", url)
    if base != url:
        return f"give `base_urls` {base}"
    return "does `base_urls` end in /v1?" if not url.endswith("/v1") else "is `base_urls` right?"
