"""Training without a model to start from: the recipe's network, untrained, with a tokenizer learnt from the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import training_kit as kit

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.training.grpo import reward_functions
from reasonrank_pyserini.training.network import Network, learn_tokenizer, write_network
from reasonrank_pyserini.training.recipe_loading import load_recipe
from reasonrank_pyserini.training.rewards import Weights

pytest.importorskip("trl", reason="pip install 'reasonrank-pyserini[train]'")

RECIPE = """\
extends = "nano"
[network]
vocabulary = 400
layers = 1
width = 64
intermediate = 64
heads = 2
context = 512
[sft]
batch = 4
per_device_batch = 4
save_steps = 2
steps = 4
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return path


def test_the_same_seed_makes_the_same_model_and_a_killed_training_continues(
    recipe: Path, tmp_path: Path
) -> None:
    data = kit.write(tmp_path / "data.jsonl", range(16))
    start = ("train", "sft", "--recipe", recipe, "--data", data, "-o")
    assert kit.command(*start, tmp_path / "one").code == 0
    kit.command(*start, tmp_path / "two", kill_at=(tmp_path / "two" / "log.jsonl", 3))
    done = kit.command(*start, tmp_path / "two")
    assert done.code == 0, done.err
    for name in ("model.safetensors", "log.jsonl", "initial/model.safetensors", "tokenizer.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    other = kit.command(*start, tmp_path / "three", "--set", "seed=7")
    assert other.code == 0, other.err
    weights = [(tmp_path / n / "initial" / "model.safetensors").read_bytes() for n in ("one", "three")]
    assert weights[0] != weights[1]
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert manifest["model"] == "initial"
    assert manifest["configuration"]["model"]["untrained"]["width"] == 64


def test_a_recipe_without_a_network_needs_a_model(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = kit.write(tmp_path / "data.jsonl", range(16))
    with pytest.raises(SystemExit) as caught:
        main(["train", "sft", "--recipe", "tiny", "--data", str(data), "-o", str(tmp_path / "x")])
    assert caught.value.code == 2
    assert "names no model: give --model" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("widht = 64", "did you mean 'width'"),
        ("width = 'a'", "width is 'a': it must be a whole number"),
        ("layers = 0", "network: layers is 0: it must be a whole number from 1 up"),
        ("embedding_std = nan", "network: embedding_std is nan: it must be a number from 0 up, not 0"),
        ("weight_std = inf", "network: weight_std is inf: it must be a number from 0 up, not 0"),
        ("heads = 3", "network.width is 128: 3 heads need a multiple of 6"),
    ],
)
def test_a_wrong_network_is_one_line(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "nano"\n[network]\n{line}\n')
    with pytest.raises(InputError, match=problem):
        load_recipe(str(path))


def test_a_drawn_network_attends_to_equal_tokens_and_repeats_them(tmp_path: Path) -> None:
    """Before any training: the next token is more likely one that the text already holds."""
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    texts = ["red blue green tall small old", "a b c d e f g h"] * 4
    tokenizer = learn_tokenizer(texts, 300)
    chances = {}
    for copying in (0.0, 0.5):
        write_network(Network(vocabulary=300, copying=copying), tokenizer, tmp_path / str(copying), seed=1)
        model = AutoModelForCausalLM.from_pretrained(tmp_path / str(copying)).eval()
        ids = tokenizer(" tall red small blue tall red small blue", return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            chance = model(ids).logits[0, -1].softmax(-1)
        chances[copying] = float(chance[ids[0].unique()].sum())
    assert chances[0.5] > 2 * chances[0.0]


def test_the_views_of_the_reward_can_be_switched_off(tmp_path: Path) -> None:
    tokenizer = learn_tokenizer(["<think> x </think> <answer> [1] > [2] </answer>"], 400)
    answer = tokenizer("<think> x </think>\n<answer> [2] > [1] </answer>")["input_ids"]
    row = {
        "completion_ids": [answer],
        "label": ["[1] > [2]"],
        "initial_list": [["a", "b"]],
        "relevant": [["b"]],
    }
    all_views, ndcg_alone = (
        reward_functions(tokenizer, opened=False, weights=weights)[0](**row)
        for weights in (None, Weights(1.0, 0.0, 0.0))
    )
    assert ndcg_alone == [1.0]
    assert all_views == pytest.approx([1.0 + 0.2 * 1.0 + 0.1 * (0 / 1 + 2 / 2) / 2])
