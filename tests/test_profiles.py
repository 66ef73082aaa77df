from __future__ import annotations

from dataclasses import asdict
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.errors import FileFormatError, InputError, UnknownNameError
from reasonrank_pyserini.models.profiles import (
    Profile,
    find_profile,
    load_profile,
    parse_profile,
    profile_names,
    shipped_profile,
)
from reasonrank_pyserini.types import Sampling

GREEDY = {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}
COMMON = {
    "window": 20,
    "step": 10,
    "passes": 1,
    "passage_tokens": 512,
    "reasoning_tokens": 3072,
    "answer_tokens": 100,
}
PUBLISHED = {
    "generic": {"style": "reasonrank", **GREEDY, "context": 32768},
    "reasonrank-7b": {"style": "reasonrank", **GREEDY, "context": 32768},
    "reasonrank-32b": {"style": "reasonrank", **GREEDY, "context": 32768},
    "reasonrank-8b": {
        "style": "reasonrank-qwen3", "temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.0, "context": 32768,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_shipped_profile_holds_the_published_values(name: str) -> None:
    profile = shipped_profile(name)
    expected = {"name": name, **COMMON, **PUBLISHED[name]}
    assert {key: value for key, value in asdict(profile).items() if key in expected} == expected


def test_the_shipped_profiles_are_these_and_lie_in_the_package() -> None:
    assert {*PUBLISHED, "nano"} <= set(profile_names())
    files = {file.name for file in resources.files("reasonrank_pyserini.models.profiles").iterdir()}
    assert {f"{name}.toml" for name in PUBLISHED} <= files


@pytest.mark.parametrize(
    ("name", "billions", "layers", "kv_heads", "kilobytes"),
    [
        ("reasonrank-7b", 7.6, 28, 4, 57.344),  # 57 KB of KV a token
        ("reasonrank-8b", 8.2, 36, 8, 147.456),
        ("reasonrank-32b", 32.8, 64, 8, 262.144),
    ],
)
def test_the_sizes_are_those_of_the_base_models(
    name: str, billions: float, layers: int, kv_heads: int, kilobytes: float
) -> None:
    size = shipped_profile(name).size
    assert size.parameters is not None
    assert round(size.parameters / 1e9, 1) == billions
    assert size.weights_bytes == 2 * size.parameters
    assert size.kv_bytes_per_token == kilobytes * 1000 == 2 * layers * kv_heads * 128 * 2


def test_sampling_carries_every_field() -> None:
    assert shipped_profile("reasonrank-8b").sampling(seed=5) == Sampling(
        temperature=0.6, top_p=0.95, top_k=20, min_p=0.0, seed=5, max_tokens=3072 + 100, reasoning_tokens=3072
    )
    bare = parse_profile("reasoning_tokens = 0", "my.toml").sampling(answer="bare")
    assert (bare.max_tokens, bare.reasoning_tokens, bare.answer) == (100, None, "bare")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("liuwenhan/reasonrank-7B", "reasonrank-7b"),
        ("liuwenhan/reasonrank-32B", "reasonrank-32b"),
        ("liuwenhan/ReasonRank-8B", "reasonrank-8b"),
        ("someone/reasonrank-7b-awq", "reasonrank-7b"),
        ("/models/reasonrank-32b-gptq/", "reasonrank-32b"),
        ("/cache/hub/models--liuwenhan--reasonrank-7B/snapshots/0123abcd", "reasonrank-7b"),
    ],
)
def test_a_model_is_found_by_its_id_or_folder_whatever_the_case(model: str, name: str) -> None:
    profile, known = find_profile(model)
    assert (profile.name, known) == (name, True)


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-7B-Instruct", "reasonrank-70b", "reasonrank", ".", "", "/"])
def test_an_unknown_model_takes_the_generic_profile_and_says_so(model: str) -> None:
    profile, known = find_profile(model)
    assert (profile.name, known) == ("generic", False)


def test_a_folder_is_known_by_its_real_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ReasonRank-8B").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "ReasonRank-8B")
    monkeypatch.chdir(tmp_path / "ReasonRank-8B")
    assert find_profile(".")[0].name == find_profile(str(tmp_path / "link"))[0].name == "reasonrank-8b"


def test_an_explicit_profile_decides(tmp_path: Path) -> None:
    assert find_profile("liuwenhan/reasonrank-7B", "generic") == (shipped_profile("generic"), True)
    file = tmp_path / "mine.toml"
    file.write_text('extends = "reasonrank-8b"\nwindow = 10\nstep = 5\n[size]\nlayers = 2\n')
    profile, known = find_profile("liuwenhan/reasonrank-7B", file)
    assert (profile.name, profile.window, profile.step, profile.top_k, known) == ("mine", 10, 5, 20, True)
    assert (profile.size.layers, profile.size.kv_heads, profile.match) == (2, 8, ())


def test_what_a_file_leaves_out_is_generic(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("temperature = 1\n")
    values, generic = asdict(load_profile(file)), asdict(shipped_profile("generic"))
    assert values == {**generic, "name": "mine", "temperature": 1.0}
    assert type(values["temperature"]) is float


def test_a_profile_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'reasonrank-8b'"):
        find_profile("x", "reasonrank-8")
    with pytest.raises(InputError, match=r"none\.toml.*cannot be read"):
        find_profile("x", "none.toml")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("window = 10\nwindwo = 20", 2, "unknown key 'windwo': did you mean 'window'?"),
        ("style = 3", 1, "style is 3: it must be a text"),
        ("window = '20'", 1, "window is '20': it must be a whole number"),
        ("window = true", 1, "window is True"),
        ("window = 20.0", 1, "window is 20.0"),
        ("window = 1\nstep = 1", 1, "window is 1: it must be a whole number from 2"),
        ("step = 0", 1, "step is 0"),
        ("window = 10\nstep = 11", 2, "step 11 is larger than window 10"),
        ("temperature = -0.1", 1, "a number from 0 to 2"),
        ("temperature = nan", 1, "temperature is nan"),
        ("top_p = 0", 1, "not 0"),
        ("min_p = 1.5", 1, "min_p is 1.5"),
        ("top_k = -1", 1, "top_k is -1"),
        ("dtype = 'int8'", 1, "one of auto, bfloat16, float16, float32"),
        ("match = 'x*'", 1, "a list of name patterns"),
        ("match = ['*']", 1, "a list of name patterns"),
        ("size = 7", 1, "a table"),
        ("\n[size]\nlayers = 0", 3, "layers is 0"),
        ("[size]\nlayer = 1", 2, "did you mean 'layers'?"),
        ("extends = 'reasonrank-7'", 1, "did you mean 'reasonrank-7b'?"),
        ("extends = ['generic']", 1, "a text"),
        ("context = 3000", 1, "leaves no room for a prompt and 3172 new tokens"),
        ("window == 2", 1, "not TOML"),
    ],
)
def test_a_bad_profile_is_one_line_with_its_place(tmp_path: Path, text: str, line: int, words: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(FileFormatError) as caught:
        load_profile(file)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (caught.value.path, caught.value.line) == (str(file), line)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        load_profile(tmp_path / "bad.toml")
    with pytest.raises(InputError, match="cannot be read"):
        load_profile(tmp_path)


VALUES = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.text(max_size=5), st.lists(st.text(max_size=3), max_size=2)
)


@given(
    st.dictionaries(
        st.sampled_from(["window", "step", "top_p", "top_k", "style", "match", "size", "context"]), VALUES
    )
)
def test_any_value_gives_a_usable_profile_or_one_line(record: dict[str, object]) -> None:
    def shown(value: object) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, list):
            return f"[{', '.join(shown(item) for item in value)}]"
        if isinstance(value, str):
            return '"' + "".join(f"\\U{ord(char):08X}" for char in value) + '"'
        return repr(value)

    text = "\n".join(f"{key} = {shown(value)}" for key, value in record.items())
    profile = outcome(text)
    if isinstance(profile, Profile):
        assert profile.step <= profile.window
        assert 0 < profile.top_p <= 1
    else:
        assert str(profile).startswith("any.toml:")


@given(st.text())
def test_any_text_gives_a_profile_or_one_line(text: str) -> None:
    assert "\n" not in str(outcome(text))


def outcome(text: str) -> Profile | FileFormatError:
    try:
        return parse_profile(text, "any.toml")
    except FileFormatError as error:
        return error
