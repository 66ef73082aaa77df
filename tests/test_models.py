"""A model by its folder or id: its identity and context, and what is none."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.models import identity as models
from reasonrank_pyserini.models.identity import folder_hash, load_tokenizer, model_context, model_identity


@pytest.mark.parametrize(
    "model", ["/no/such/folder", "./nothing", "~/nothing/at/all", "a b", "", "a/b/c", "x\ny"]
)
def test_a_path_where_nothing_is_says_what_to_give(model: str) -> None:
    for use in (load_tokenizer, model_identity):
        with pytest.raises(
            InputError, match=r"give a folder with config\.json and weights, or an id such as"
        ) as caught:
            use(model)
        assert "\n" not in str(caught.value)


def test_a_file_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match="is a file: give the folder"):
        load_tokenizer(str(tmp_path / "model.safetensors"))


def test_equal_weights_have_one_identity_wherever_they_lie(tiny_model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "another-name")
    (tmp_path / "link").symlink_to(copy)
    config = json.loads((copy / "config.json").read_text())
    config |= {"_name_or_path": "/elsewhere", "transformers_version": "5.0"}
    (copy / "config.json").write_text(json.dumps(config, indent=7))
    (copy / "README.md").write_text("notes")
    expected = model_identity(str(tiny_model))
    assert model_identity(str(copy)) == model_identity(str(tmp_path / "link")) == expected
    assert json.loads(json.dumps(expected)) == expected


@pytest.mark.parametrize("what", ["a bit", "config", "generation", "more weights", "another name"])
def test_a_change_of_the_model_is_another_identity(tiny_model: Path, tmp_path: Path, what: str) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    before = model_identity(str(copy))
    weights = copy / "model.safetensors"
    if what == "a bit":
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        os.utime(weights, ns=(1, 1))
    elif what == "config":
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    elif what == "generation":
        (copy / "generation_config.json").write_text('{"eos_token_id": [1]}')
    elif what == "more weights":
        (copy / "more.bin").write_bytes(b"1")
    else:
        weights.rename(copy / "model-00001-of-00001.safetensors")
    assert model_identity(str(copy)) != before


def test_large_weights_are_sampled_from_end_to_end(tmp_path: Path) -> None:
    size = 3 * 2**30  # a sparse file: it takes no room
    with open(tmp_path / "model.safetensors", "wb") as stream:
        stream.truncate(size)
    seen = {folder_hash(tmp_path)}
    assert next(iter(seen)).startswith("sampled-sha256:")
    for number, place in enumerate((0, (size - models.SAMPLE_BYTES) * 128 // 255, size - 1)):
        with open(tmp_path / "model.safetensors", "r+b") as stream:
            stream.seek(place)
            stream.write(b"x")
        os.utime(tmp_path / "model.safetensors", ns=(number, number))
        seen.add(folder_hash(tmp_path))
    assert len(seen) == 4


def test_a_folder_without_a_model_has_no_identity(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no model"):
        model_identity(str(tmp_path))


def test_a_hub_model_is_its_name_and_revision() -> None:
    commit = "f" * 40
    assert model_identity("o/not-cached", commit) == {"model": "o/not-cached", "revision": commit}
    assert model_identity("o/not-cached", "v1") == {"model": "o/not-cached", "revision": "v1"}
    assert model_identity("o/not-cached") == {"model": "o/not-cached", "revision": None}


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ({"max_position_embeddings": 32768}, 32768),
        ({"n_positions": 1024}, 1024),
        ({"text_config": {"max_position_embeddings": 8192}}, 8192),
        ({"max_position_embeddings": None}, None),
        ({}, None),
    ],
)
def test_the_context_is_read_from_the_configuration(tmp_path: Path, config: Any, context: int | None) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert model_context(str(tmp_path)) == context


def test_the_context_of_what_is_not_here_is_unknown(tmp_path: Path) -> None:
    assert model_context("o/not-cached") is None
    assert model_context("a served name: 7b") is None
    assert model_context(str(tmp_path)) is None
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not readable JSON"):
        model_context(str(tmp_path))
