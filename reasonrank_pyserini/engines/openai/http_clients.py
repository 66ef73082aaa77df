"""HTTP clients for one address: connections, certificates, no proxy for this machine, no redirect that loses a body."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any

from ...files.web_environment import READ_BY_HTTPX, Proxy, check_certificates
from .http_failures import RedirectedError
from .http_options import Options

if TYPE_CHECKING:
    import httpx
    import openai

CLIENT_CONNECTIONS = 16
"""Connections per client: the cost of httpcore's pool grows with the square of its connections (20 ms a request at
256), so a server gets as many small clients as it needs."""


def certificates(url: str) -> ssl.SSLContext:
    """The certificates for a server, from the environment; for plain http no variable is read."""
    import httpx

    if url.startswith("https:"):
        check_certificates(READ_BY_HTTPX)
        return httpx.create_ssl_context()
    if "SSLKEYLOGFILE" not in os.environ:
        return httpx.create_ssl_context(trust_env=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # does not open that file
    context.load_default_certs()
    return context


def connect(url: str, options: Options, security: ssl.SSLContext, proxy: Proxy | None) -> openai.AsyncOpenAI:
    """A client that never retries by itself; of the environment it uses nothing but this proxy and the account."""
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
        proxy=proxy.full_address if proxy else None,
        trust_env=False,
    )
    key = options.key or "none"
    client = openai.AsyncOpenAI(api_key=key, base_url=url, http_client=http, max_retries=0)
    if options.own_key is not None:  # what the environment holds for other servers is not for own ones
        client.organization = client.project = None
        client._custom_headers = {}
    client.organization = (client.organization or "").strip() or None
    client.project = (client.project or "").strip() or None
    return client
