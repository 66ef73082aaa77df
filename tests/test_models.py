from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny

from reasonrank_pyserini import models
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.machine import (
    Gpu,
    MachineFacts,
    disk_free,
    memory_available,
    memory_total,
    parse_cards,
)
from reasonrank_pyserini.models import (
    chat_template_hash,
    folder_hash,
    load_tokenizer,
    model_context,
    model_identity,
    tokenizer_hash,
)
from reasonrank_pyserini.preflight import Findings, ModelFacts, Plan, judge_machine, model_facts, preflight
from reasonrank_pyserini.profiles import shipped_profile

GB = 10**9


def run_python(script: str, **environment: str) -> Any:
    """What a fresh Python prints as JSON for `script`, with these variables set."""
    env = {**os.environ, "PYTHONPATH": str(Path(models.__file__).parents[1]), **environment}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Tokenizers


def test_a_tokenizer_loads_encodes_and_templates_without_torch(tiny_tokenizer: Path) -> None:
    script = f"""if True:
        import json, sys
        from reasonrank_pyserini.models import load_tokenizer
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
        ({}, "holds no tokenizer"),
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


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match="is a file: give the folder"):
        load_tokenizer(str(tmp_path / "model.safetensors"))


@pytest.fixture
def hub() -> Iterator[str]:
    """A hub on loopback that refuses: the repository's name says how."""
    answers = {
        "gated": (403, "GatedRepo"),
        "missing": (401, "RepoNotFound"),
        "other": (404, "RevisionNotFound"),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, code = next((found for name, found in answers.items() if name in self.path), (500, ""))
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_args: Any) -> None:
            """Nothing on the screen."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


LOAD = """if True:
    import json, sys
    from reasonrank_pyserini.errors import InputError
    from reasonrank_pyserini.models import load_tokenizer, model_context, model_identity
    found = {}
    for model, revision in MODELS:
        try:
            eos = load_tokenizer(model, revision).eos_token
            found[model] = [eos, model_identity(model, revision), model_context(model)]
        except InputError as error:
            found[model] = str(error)
    print(json.dumps(found))
"""


def test_each_refusal_of_the_hub_has_its_own_line(hub: str, tmp_path: Path) -> None:
    script = LOAD.replace(
        "MODELS", "[('o/gated', None), ('o/missing', None), ('o/other', 'v9'), ('o/broken', None)]"
    )
    found = run_python(
        script, HF_HOME=str(tmp_path), HF_ENDPOINT=hub, HF_HUB_OFFLINE="0", HF_HUB_DISABLE_XET="1"
    )
    assert (
        found["o/gated"]
        == f"the model 'o/gated' is gated: accept its terms at {hub}/o/gated, then type `hf auth login`"
    )
    assert (
        "there is no model 'o/missing' on the hub and no folder of that name: check the spelling"
        in found["o/missing"]
    )
    assert "has no revision 'v9': give a branch, tag or commit" in found["o/other"]
    assert "could not be fetched" in found["o/broken"]
    assert "check the network, or give a local folder" in found["o/broken"]
    assert not any("\n" in line for line in found.values())


def test_without_a_network_the_cache_is_enough_and_else_one_line_says_so(
    tiny_model: Path, tmp_path: Path
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--o--cached"
    shutil.copytree(tiny_model, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    script = LOAD.replace("MODELS", "[('o/cached', None), ('o/absent', None)]")
    found = run_python(script, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert found["o/cached"] == ["<|im_end|>", {"model": "o/cached", "revision": commit}, 16384]
    assert "'o/absent' is not in the cache" in found["o/absent"]
    assert "HF_HUB_OFFLINE is set: unset it, or run `hf download o/absent`" in found["o/absent"]
    found = run_python(script, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9")
    assert found["o/cached"][1]["revision"] == commit
    assert "could not be fetched" in found["o/absent"]


def test_the_chat_template_has_a_hash(tiny_tokenizer: Path, tmp_path: Path) -> None:
    plain = load_tokenizer(str(tiny_tokenizer))
    other = load_tokenizer(str(tiny.build_tokenizer(tmp_path / "other", chat_template="{{ messages }}")))
    none = load_tokenizer(str(tiny.build_tokenizer(tmp_path / "none", chat_template=None)))
    assert chat_template_hash(plain) == chat_template_hash(load_tokenizer(str(tiny_tokenizer)))
    assert chat_template_hash(plain) != chat_template_hash(other)
    assert chat_template_hash(none) is None


# Identity


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
    with pytest.raises(InputError, match="holds no model"):
        model_identity(str(tmp_path))


def test_a_hub_model_is_its_name_and_revision() -> None:
    commit = "f" * 40
    assert model_identity("o/not-cached", commit) == {"model": "o/not-cached", "revision": commit}
    assert model_identity("o/not-cached", "v1") == {"model": "o/not-cached", "revision": "v1"}
    assert model_identity("o/not-cached") == {"model": "o/not-cached", "revision": None}


def test_a_tokenizer_is_named_by_its_content(tiny_model: Path, tiny_tokenizer: Path, tmp_path: Path) -> None:
    assert tokenizer_hash(str(tiny_model)) == tokenizer_hash(str(tiny_tokenizer))
    other = byte_fallback_tokenizer(tmp_path / "other")
    assert tokenizer_hash(str(other)) != tokenizer_hash(str(tiny_model))
    assert tokenizer_hash("o/not-cached", "v1") == "o/not-cached@v1"


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


# Preflight

SEVEN = ModelFacts("m", here=True, weights_bytes=15 * GB, kv_bytes_per_token=57_344, context=32768)
A100 = Gpu("A100", 80 * GB, 80 * GB, (8, 0))
T4 = Gpu("T4", 16 * GB, 16 * GB, (7, 5))
SERVER = MachineFacts(memory=100 * GB, memory_free=90 * GB, disk_free=100 * GB, gpus=(A100,))
LAPTOP = MachineFacts(memory=16 * GB, memory_free=10 * GB, disk_free=100 * GB)
VLLM, LOCAL = Plan("vllm", 14000), Plan("transformers", 14000)


def test_all_is_well() -> None:
    assert judge_machine(SERVER, SEVEN, VLLM) == Findings()
    assert judge_machine(SERVER, SEVEN, LOCAL) == Findings()


@pytest.mark.parametrize(
    ("machine", "model", "plan", "words"),
    [
        (replace(SERVER, offline=True), replace(SEVEN, here=False), VLLM, "HF_HUB_OFFLINE is set: unset it"),
        (replace(SERVER, disk_free=14 * GB), replace(SEVEN, here=False), VLLM,
         "a download of 15.0 GB, .* has 14.0 GB free: set HF_HOME"),
        (SERVER, replace(SEVEN, context=4096), VLLM, "takes 4096 tokens, 14000 are needed: lower --window"),
        # 65 GB of weights and 14,000 x 262,144 B = 3.7 GB of cache do not go into 24 GB
        (replace(SERVER, gpus=(replace(A100, memory=24 * GB),) * 2),
         replace(SEVEN, weights_bytes=65 * GB, kv_bytes_per_token=262_144), VLLM,
         "needs 65.0 GB and 3.7 GB .* has 24.0 GB: .*tensor_parallel_size=2"),
        (SERVER, SEVEN, replace(VLLM, cards=4), "4 GPUs are asked for, 1 are here"),
        (replace(SERVER, gpus=(replace(T4, memory=32 * GB),)), SEVEN, VLLM,
         "T4 has no bfloat16: add --engine-arg dtype=float16"),
        # float32 on a CPU: 2 x 15 GB
        (LAPTOP, SEVEN, LOCAL, "needs 30.8 GB of memory, this machine has 16.0 GB and no GPU: "
         "--engine-arg dtype=bfloat16 halves it"),
        (LAPTOP, SEVEN, replace(LOCAL, dtype="float32"), "dtype=bfloat16 halves it"),
        (SERVER, replace(SEVEN, weights_bytes=60 * GB), replace(LOCAL, device="cpu"), "needs 120.8 GB of memory"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_a_problem(
    machine: MachineFacts, model: ModelFacts, plan: Plan, words: str
) -> None:
    import re

    problems = judge_machine(machine, model, plan).problems
    assert len(problems) == 1
    assert re.search(words, problems[0])
    assert "\n" not in problems[0]


@pytest.mark.parametrize(
    ("machine", "model", "plan", "words"),
    [
        (SERVER, replace(SEVEN, here=False), VLLM, "will be downloaded to .*: 15.0 GB"),
        (SERVER, ModelFacts("m", here=False), VLLM, "its size is not known"),
        (
            replace(SERVER, gpus=(replace(A100, free=10 * GB),)),
            SEVEN,
            VLLM,
            "10.0 GB of 80.0 GB free, 15.8 GB",
        ),
        (replace(SERVER, gpus=(replace(T4, memory=32 * GB, free=32 * GB),)), SEVEN, LOCAL, "float16 is used"),
        (
            replace(LAPTOP, memory=64 * GB, memory_free=64 * GB),
            SEVEN,
            LOCAL,
            "on a CPU takes minutes a window",
        ),
        (
            replace(LAPTOP, memory_free=5 * GB),
            replace(SEVEN, weights_bytes=GB * 5 // 2),
            LOCAL,
            "5.8 GB are needed",
        ),
    ],
)
def test_what_is_doubtful_is_a_note(machine: MachineFacts, model: ModelFacts, plan: Plan, words: str) -> None:
    import re

    found = judge_machine(machine, model, plan)
    assert found.problems == ()
    assert any(re.search(words, note) for note in found.notes)


def test_what_avoids_the_problem_is_accepted() -> None:
    two = replace(SERVER, gpus=(replace(A100, memory=48 * GB, free=48 * GB),) * 2)
    large = replace(SEVEN, weights_bytes=65 * GB, kv_bytes_per_token=262_144)
    assert judge_machine(two, large, replace(VLLM, cards=2)).problems == ()
    old = replace(SERVER, gpus=(replace(T4, memory=32 * GB, free=32 * GB),))
    assert judge_machine(old, SEVEN, replace(VLLM, dtype="float16")).problems == ()
    assert judge_machine(old, replace(SEVEN, prefers_bfloat16=False), VLLM).problems == ()
    roomy = replace(LAPTOP, memory=20 * GB)
    assert judge_machine(roomy, SEVEN, replace(LOCAL, dtype="bfloat16")).problems == ()
    assert judge_machine(roomy, replace(SEVEN, quantised=True), LOCAL).problems == ()


def test_an_apple_chip_works_in_main_memory_at_16_bits() -> None:
    found = judge_machine(replace(LAPTOP, memory=24 * GB, memory_free=20 * GB, unified=True), SEVEN, LOCAL)
    assert found == Findings()
    assert "--engine-arg dtype" not in judge_machine(replace(LAPTOP, unified=True), SEVEN, LOCAL).notes[0]


def test_unknown_facts_are_no_problem() -> None:
    nothing = MachineFacts(None, None, None)
    assert judge_machine(nothing, ModelFacts("m", here=False), LOCAL).problems == ()
    assert judge_machine(nothing, SEVEN, VLLM).problems == ()


def test_the_facts_of_a_folder_are_read_from_its_files(tiny_model: Path, tmp_path: Path) -> None:
    facts = model_facts(str(tiny_model), None, shipped_profile("reasonrank-7b"))
    assert facts.here
    assert facts.weights_bytes == (tiny_model / "model.safetensors").stat().st_size
    assert (
        facts.kv_bytes_per_token == 2 * 2 * 2 * (64 // 4) * 2
    )  # keys and values, layers, heads, width, 16 bits
    assert (facts.width, facts.context, facts.quantised) == (4, 16384, False)
    absent = model_facts("o/not-cached", None, shipped_profile("reasonrank-7b"))
    assert (absent.here, absent.weights_bytes, absent.kv_bytes_per_token) == (False, 15_231_233_024, 57_344)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"half")
    assert not model_facts(str(tmp_path), None, shipped_profile("generic")).here


def test_preflight_of_a_small_model_passes_and_of_nothing_says_so(tiny_model: Path) -> None:
    generic = shipped_profile("generic")
    assert preflight(str(tiny_model), None, "transformers", generic, 4096, {"device": "cpu"}) == ()
    assert preflight("any served name", None, "openai", generic, 4096) == ()
    with pytest.raises(InputError, match="takes 16384 tokens, 20000 are needed"):
        preflight(str(tiny_model), None, "transformers", generic, 20000, {"device": "cpu"})
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        preflight("o/not-cached", None, "vllm", generic, 4096)
    with pytest.raises(InputError, match="tensor_parallel_size=two: it must be a whole number"):
        preflight(str(tiny_model), None, "vllm", generic, 4096, {"tensor_parallel_size": "two"})
    with pytest.raises(InputError, match="there is no folder"):
        preflight("./nothing", None, "vllm", generic, 4096)


def test_cards_are_those_that_cuda_shows() -> None:
    shown = (
        "0, GPU-aaaa1, NVIDIA A100-SXM4-80GB, 81920, 81000, 8.0\n"
        "1, GPU-bbbb2, Tesla T4, 15360, 100, 7.5\nNo devices were found\n"
    )
    first = Gpu("NVIDIA A100-SXM4-80GB", 81920 << 20, 81000 << 20, (8, 0))
    second = Gpu("Tesla T4", 15360 << 20, 100 << 20, (7, 5))
    assert parse_cards(shown) == (first, second)
    assert parse_cards(shown, "1") == parse_cards(shown, "GPU-bbbb") == (second,)
    assert parse_cards(shown, "") == parse_cards(shown, "-1") == ()
    assert parse_cards("0, GPU-c, Old, [N/A], [N/A], [N/A]\n") == ()


def test_this_machine_has_memory_and_disk(tmp_path: Path) -> None:
    total, free, disk = memory_total(), memory_available(), disk_free(tmp_path / "not" / "there")
    assert total is not None
    assert free is not None
    assert 0 < free <= total
    assert disk is not None
    assert disk > 0
