"""eval/serving and docs/serve-clients.md: files parse, commands and addresses exist, the small install serves."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from client_table import SNIPPETS, built
from docs_kit import ROOT, blocks, parse
from http_server import Server
from serve_kit import serve_command

SERVING = ROOT / "eval" / "serving"
PAGE = ROOT / "docs" / "serve-clients.md"
PATHS = ("/v2/rerank", "/v1/rerank", "/rerank", "/v1", "/health", "/ready")
REQUIREMENTS = SERVING / "requirements.txt"
EXTRA_REQUIREMENTS = {"jinja2"}
"""What only transformers imports, for chat templates: the package itself does not name it."""


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((SERVING / "compose.yaml").read_text())
    return found


def kubernetes() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((SERVING / "kubernetes.yaml").read_text()))


def unit_command() -> list[str]:
    text = (SERVING / "reasonrank-serve.service").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    return shlex.split(line)[1:]


def test_snippets_on_the_page_are_the_files() -> None:
    files = {path.read_text().partition('"""\n\n')[2]: path for path in SNIPPETS.glob("*.py")}
    shown = [files[block.code] for block in blocks(PAGE) if block.language == "python"]
    linked = {
        SNIPPETS / Path(link).name for link in re.findall(r"\(\S*clients/(\w+\.py)\)", PAGE.read_text())
    }
    assert len(shown) == len(set(shown)) > 0
    assert {*shown, *linked} | {SNIPPETS / "cohere_v1.py"} == set(files.values())


def test_addresses_on_the_page_are_those_of_the_server() -> None:
    found = re.findall(r"http://127\.0\.0\.1:8000[^\s`|)]*", PAGE.read_text())
    assert found
    for address in found:
        assert urlsplit(address).path.rstrip(".,") in ("", *PATHS), address


def test_commands_of_the_recipes_exist() -> None:
    (container,) = kubernetes()[0]["spec"]["template"]["spec"]["containers"]
    service = compose()["services"]["reasonrank"]
    for words in (["serve", *container["args"]], ["serve", *service["command"]], unit_command()):
        parse(["reasonrank", *words])


def test_the_containers_reach_each_other() -> None:
    services = compose()["services"]
    command, vllm = services["reasonrank"]["command"], services["vllm"]["command"]
    address = urlsplit(command[command.index("--base-url") + 1])
    assert address.hostname in services
    assert str(address.port) == vllm[vllm.index("--port") + 1]
    assert command[command.index("--model") + 1] == vllm[0]
    assert all(port.startswith("127.0.0.1:") for port in services["reasonrank"]["ports"])
    assert "ports" not in services["vllm"]
    assert {volume.partition(":")[0] for of in services.values() for volume in of["volumes"]} == set(
        compose()["volumes"]
    )
    assert (ROOT / services["reasonrank"]["build"]["dockerfile"]).is_file()


def test_the_parts_of_the_deployment_fit() -> None:
    deployment, service = kubernetes()
    spec = deployment["spec"]["template"]
    labels = spec["metadata"]["labels"]
    assert labels == deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    (container,) = spec["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] in PATHS
        assert container[probe]["httpGet"]["port"] in ports
    assert [port["targetPort"] for port in service["spec"]["ports"]] == list(ports)
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        v["name"] for v in spec["spec"]["volumes"]
    }


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = (SERVING / "reasonrank-serve.service").read_text()
    unit = tmp_path / "reasonrank-serve.service"
    unit.write_text(text.replace("ExecStart=/opt/reasonrank/bin/reasonrank", f"ExecStart={sys.executable}"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, "reasonrank-serve" in done.stderr) == (0, False), done.stderr


def test_requirements_have_the_bounds_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {*project["dependencies"], *project["optional-dependencies"]["serve"]}
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]
    assert {line for line in lines if name_of(line) not in EXTRA_REQUIREMENTS} <= declared
    assert not {"torch", "pyserini"} & {name_of(line) for line in lines}
    assert set(project["optional-dependencies"]["serve"]) <= set(lines)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("api", ["completions", "chat"])
def test_the_small_install_serves(api: str) -> None:
    python = built("without-torch", ("-r", str(REQUIREMENTS)), REQUIREMENTS.read_text())
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    with Server() as engine:
        options = ("--model", "nano", "--base-url", engine.url, "--api", api)
        with serve_command(*options, environment=environment, python=python) as command:
            asked = {"query": "lamp", "documents": ["moth", "lamp", "glass", "brass"]}
            reply = httpx.post(f"{command.url}/v2/rerank", json=asked, timeout=600)
            assert command.end() == 0
    assert [result["index"] for result in reply.json()["results"]] == [3, 2, 1, 0]
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True).stdout
    assert "torch" not in listed
