"""Proxy and certificate variables: named when they are at fault, never in the way of this machine's own servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.files.web_environment import (
    check_certificates,
    check_proxies,
    is_loopback,
    proxy_for,
)

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
         "CURL_CA_BUNDLE", "REQUEST_METHOD")  # fmt: skip


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("a.localhost", True), ("0.0.0.0", True),
     ("[::1]", True), ("[::]", True), ("192.168.1.7", False), ("gpu01", False), ("localhost.example", False)],
)  # fmt: skip
def test_own_addresses(host: str, own: bool) -> None:
    assert is_loopback(f"http://{host}:8000/v1") is own


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "http_proxy"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("socks://h:1080", "scheme 'socks'"),
        ("ftp://h", "scheme 'ftp'"),
        ("http://h:port", "Port"),
        ("http://", "no host"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=why) as raised:
        check_proxies()
    assert name in str(raised.value)


@pytest.mark.parametrize("value", ["http://h:3128", "h:3128", "https://user:secret@h"])
def test_usual_proxies_pass(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    check_proxies()
    found = proxy_for("https://api.example/v1")
    assert found is not None
    assert found.variable == "HTTPS_PROXY"
    assert "secret" not in found.address
    assert proxy_for("http://api.example/v1") is None
    assert proxy_for("https://127.0.0.1/v1") is None
    monkeypatch.setenv("NO_PROXY", "api.example")
    assert proxy_for("https://api.example/v1") is None


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_are_gone_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    check_certificates()
    monkeypatch.setenv(name, str(tmp_path / "gone"))
    with pytest.raises(InputError, match=name):
        check_certificates()


def test_a_file_that_holds_no_certificate_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(InputError, match="cannot be read"):
        check_certificates()
