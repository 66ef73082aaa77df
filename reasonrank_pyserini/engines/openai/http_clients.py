"""HTTP clients for one address: connections, certificates, no proxy for this machine, no redirect that loses a body."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from ...files.web_environment import check_certificates, is_loopback
from .http_failures import RedirectedError
from .http_options import Options

if TYPE_CHECKING:
    import httpx
    import openai

CLIENT_CONNECTIONS = 16
"""Connections per client: the cost of httpcore's pool grows with the square of its connections (20 ms a request at
256), so a server gets as many small clients as it needs."""


def certificates(url: str) -> ssl.SSLContext:
    """The certificates for a server, from the environment; not read for plain http."""
    import httpx

    if url.startswith("https:"):
        check_certificates()
        return httpx.create_ssl_context()
    return httpx.create_ssl_context(trust_env=False)


def connect(url: str, options: Options, security: ssl.SSLContext) -> openai.AsyncOpenAI:
    """A client that never retries by itself, and uses no proxy for loopback addresses."""
    import httpx
    import openai

    async def refuse_redirect(response: httpx.Response) -> None:
        if response.status_code in (301, 302, 303):  # the client would go on with a GET and without the body
            where = RedirectedError(response.status_code, response.headers.get("location", ""))
            raise httpx.RequestError(str(where)) from where  # openai 3 wraps no other errors

    http: Any = httpx.AsyncClient(  # openai 3 makes its own clients with httpx2, and takes this one too
        follow_redirects=True,
        event_hooks={"response": [refuse_redirect]},
        limits=httpx.Limits(max_connections=CLIENT_CONNECTIONS, max_keepalive_connections=CLIENT_CONNECTIONS),
        timeout=httpx.Timeout(None, connect=options.connect_timeout),
        verify=security,
        trust_env=not is_loopback(url),
    )
    key = options.key or "none"
    return openai.AsyncOpenAI(api_key=key, base_url=url, http_client=http, max_retries=0)
