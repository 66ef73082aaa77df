"""`reasonrank env`: versions and environment of this installation."""

from __future__ import annotations

import json
from typing import Any

import click

from . import VariadicCommand
from .option_names import with_options


@click.command(cls=VariadicCommand)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show versions, Java, GPUs and cache folders, and which versions were not tested: for a bug report.

    \b
    Example:
      reasonrank env
    """
    from ..engines import engine_readiness
    from ..files.caches import cache_root
    from ..first_stages.java.home import find_java
    from ..jobs.manifest import environment
    from ..jobs.tested_versions import installed, untested

    facts: dict[str, Any] = environment()
    found = find_java()
    facts["java"] = f"{found.version} ({found.source}, {found.path})"
    facts["engine vllm"] = with_options(engine_readiness("vllm"))
    facts["cache"] = str(cache_root())
    facts["untested"] = untested(facts["python"], found.version, installed())
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            click.echo(f"{name}:" if value else f"{name:26} none")
            for key, inner in value.items():
                click.echo(f"  {key:24} {inner}")
        elif isinstance(value, list):
            shown = [", ".join(item.values()) for item in value] or ["none seen"]
            click.echo(f"{name:26} {'; '.join(shown)}")
        else:
            click.echo(f"{name:26} {value}")
