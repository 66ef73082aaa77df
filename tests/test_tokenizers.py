"""Tokenizers: loaded without torch, of whatever family, refused in one line, and their hashes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from models_kit import run_python

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.models.identity import chat_template_hash, load_tokenizer, tokenizer_hash


def test_a_tokenizer_loads_encodes_and_templates_without_torch(tiny_tokenizer: Path) -> None:
    script = f"""if True:
        import json, sys
        from reasonrank_pyserini.models.identity import load_tokenizer
        tokenizer = load_tokenizer({str(tiny_tokenizer)!r})
        text = tokenizer.apply_chat_template(
            [{{"role": "user", "content": "hi"}}], tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text)["input_ids"]
        heavy = sorted({{"torch", "pandas", "scipy", "pyserini"}} & set(sys.modules))
        print(json.dumps([text, tokenizer.decode(ids), tokenizer.is_fast, heavy]))
    """
    text = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert run_python(script) == [text, text, True, []]


def test_the_published_tokenizer_gives_the_published_counts(shared: Path) -> None:
    tokenizer = load_tokenizer(str(shared / "golden" / "qwen2.5-tokenizer"))
    assert tokenizer("hello world")["input_ids"] == [14990, 1879]
    lines = (shared / "golden" / "prompts.jsonl").read_text().splitlines()
    for record in map(json.loads, lines[::6]):
        assert len(tokenizer(record["prompt"])["input_ids"]) == record["num_tokens"]


def byte_fallback_tokenizer(folder: Path) -> Path:
    """A tokenizer.json in the manner of Llama 2 and Mistral: word boundary marks, bytes for what is unknown."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        "a",
        "b",
        "▁a",
        "ab",
        "▁ab",
    ]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    model = models.BPE(
        vocabulary, [("▁", "a"), ("a", "b"), ("▁a", "b")], unk_token="<unk>", byte_fallback=True
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_a_tokenizer_of_another_family_is_read_as_its_file_says(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(byte_fallback_tokenizer(tmp_path / "llama")))
    assert tokenizer.convert_ids_to_tokens(tokenizer("ab a é")["input_ids"]) == [
        "<s>", "▁ab", "▁a", "▁", "<0xC3>", "<0xA9>",
    ]  # fmt: skip
    assert tokenizer.decode(tokenizer("ab a é")["input_ids"], skip_special_tokens=True) == "ab a é"
    assert tokenizer.eos_token_id == 2


def test_older_files_are_converted(tiny_tokenizer: Path, tmp_path: Path) -> None:
    state = json.loads((tiny_tokenizer / "tokenizer.json").read_text())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(state["vocab"]))
    (tmp_path / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in state["merges"])
    )
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Qwen2Tokenizer"}))
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer.is_fast
    assert tokenizer.decode(tokenizer("Rank the passages")["input_ids"]) == "Rank the passages"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "has no tokenizer"),
        ({"tokenizer.json": "{"}, "cannot be read"),
        ({"tokenizer.json": "[]"}, "cannot be read"),
        ({"tokenizer.json": '{"model": {"type": "BPE"}}'}, "cannot be read"),
        ({"vocab.json": "{"}, "no fast tokenizer"),
        ({"tokenizer_config.json": '{"auto_map": {"AutoTokenizer": ["mine.Mine", null]}}',
          "mine.py": "raise SystemExit('run')", "config.json": '{"model_type": "mine"}'}, "no fast tokenizer"),
    ],
)  # fmt: skip
def test_a_tokenizer_that_cannot_be_used_is_one_line(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_the_chat_template_has_a_hash(tiny_tokenizer: Path, tmp_path: Path) -> None:
    plain = load_tokenizer(str(tiny_tokenizer))
    other = load_tokenizer(str(tiny.build_tokenizer(tmp_path / "other", chat_template="{{ messages }}")))
    none = load_tokenizer(str(tiny.build_tokenizer(tmp_path / "none", chat_template=None)))
    assert chat_template_hash(plain) == chat_template_hash(load_tokenizer(str(tiny_tokenizer)))
    assert chat_template_hash(plain) != chat_template_hash(other)
    assert chat_template_hash(none) is None


def test_a_tokenizer_is_named_by_its_content(tiny_model: Path, tiny_tokenizer: Path, tmp_path: Path) -> None:
    assert tokenizer_hash(str(tiny_model)) == tokenizer_hash(str(tiny_tokenizer))
    other = byte_fallback_tokenizer(tmp_path / "other")
    assert tokenizer_hash(str(other)) != tokenizer_hash(str(tiny_model))
    assert tokenizer_hash("o/not-cached", "v1") == "o/not-cached@v1"
