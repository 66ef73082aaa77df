"""Proxy and certificate variables: named when they are at fault, never in the way of this machine's own servers."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.files.no_proxy import leaves_out
from reasonrank_pyserini.files.web_environment import (
    check_certificates,
    check_hub,
    check_proxies,
    is_loopback,
    proxy_for,
)

NAMES = ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT", "SSLKEYLOGFILE",
         "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
         "CURL_CA_BUNDLE", "REQUEST_METHOD")  # fmt: skip


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("a.localhost", True), ("0.0.0.0", True),
     ("[::1]", True), ("[::]", True), ("192.168.1.7", False), ("gpu01", False), ("localhost.example", False),
     ("127.1", True), ("0", True), ("2130706433", True), ("[::ffff:127.0.0.1]", True), ("LOCALHOST.", True),
     ("1", False), ("ip6-localhost", True), (socket.gethostname(), True), ("deadbeef", False), ("face.example", False)],
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


@pytest.mark.parametrize(
    ("no_proxy", "host", "out"),
    [("*", "a.b", True), (" a.b ", "a.b", True), ("a.b c.d", "c.d", True), (".b", "a.b", True), ("*.b", "a.b", True),
     (".b", "b", True), ("b", "ab", False), ("GPU01", "gpu01", True), ("'gpu01'", "gpu01", True),
     ("10.0.0.0/8", "10.1.2.3", True), ("10.0.0.0/8", "11.1.2.3", False), ("::1/128", "::1", True),
     ("[fe80::1]", "fe80::1", True), ("[fe80::1]:80", "fe80::1", True), ("fe80::/10", "fe80::2", True),
     ("gpu01:80", "gpu01", True), ("gpu01:8000", "gpu01", False), ("http://gpu01", "gpu01", True), ("*:80", "x", True),
         ("http://[bad", "gpu01", False), ("", "gpu01", False),
     (",,", "gpu01", False), ("300.1.1.1/99", "10.0.0.3", False)],
)  # fmt: skip
def test_no_proxy_in_the_forms_of_other_tools(no_proxy: str, host: str, out: bool) -> None:
    assert leaves_out(no_proxy, host, 80) is out


def test_only_the_proxy_that_is_used_must_be_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks://h")
    monkeypatch.setenv("NO_PROXY", "[::1],::1/128")
    assert proxy_for("http://gpu01/v1") is None
    assert proxy_for("https://localhost/v1") is None
    with pytest.raises(InputError, match="HTTPS_PROXY"):
        proxy_for("https://gpu01/v1")
    monkeypatch.setenv("HTTPS_PROXY", " http://user:p@ss@h:3128 ")
    found = proxy_for("https://gpu01/v1")
    assert found is not None
    assert (found.address, found.full_address) == ("http://h:3128", "http://user:p@ss@h:3128")
    assert "ss@" not in repr(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [("HF_HUB_DOWNLOAD_TIMEOUT", "10s"), ("HF_HUB_ETAG_TIMEOUT", "1.5"), ("HF_ENDPOINT", "hf-mirror.com"),
     ("HF_ENDPOINT", ""), ("HF_ENDPOINT", '"https://hub.example"'), ("HF_TOKEN", "hf_\u00e9"), ("HF_TOKEN", "hf_a\nb"),
     ("NO_PROXY", "::1/128"), ("NO_PROXY", "a,[::1]"), ("ALL_PROXY", "socks://h"), ("SSLKEYLOGFILE", "/gone/keys"),
     ("SSL_CERT_FILE", "/gone")],
)  # fmt: skip
def test_what_the_hub_cannot_use_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    check_hub()
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=name):
        check_hub()


def test_a_hub_on_this_machine_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:8080/")
    monkeypatch.setenv("SSL_CERT_FILE", "/gone")
    monkeypatch.setenv("HTTP_PROXY", "http://h:3128")
    monkeypatch.setenv("no_proxy", "a.example")
    check_hub()
    assert os.environ["no_proxy"] == "a.example,127.0.0.1"
