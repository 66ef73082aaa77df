from __future__ import annotations

from pathlib import Path

import pytest

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.training.memory import GIB, estimate_memory, lora_parameters, size_of
from reasonrank_pyserini.training.recipe import Size
from reasonrank_pyserini.training.recipe_loading import load_recipe, parse_settings, recipe_names


def test_the_shipped_recipes_are_the_models_of_the_paper_and_two_toys() -> None:
    assert recipe_names() == ("32b", "7b", "8b", "nano", "tiny")


def test_the_7b_has_the_papers_hyper_parameters() -> None:
    sft, grpo = load_recipe("7b").sft, load_recipe("7b").grpo
    assert (sft.method, sft.learning_rate, sft.epochs, sft.cutoff) == ("full", 5e-6, 5.0, 23552)
    assert (sft.batch, sft.scheduler, sft.warmup, sft.precision) == (1 * 8 * 8, "cosine", 0.1, "bfloat16")
    assert (grpo.learning_rate, grpo.beta, grpo.max_prompt, grpo.max_completion) == (1e-6, 0.001, 20480, 3072)
    assert (grpo.prompts, grpo.rollouts, grpo.batch) == (16, 8, 8 * 8)
    assert (grpo.rounds, grpo.steps, grpo.rounds_updates) == (200, 400, 2)
    assert (grpo.scheduler, grpo.warmup, grpo.weight_decay) == ("constant", 0.0, 0.01)


def test_the_32b_is_lora_with_its_own_rates_and_the_rest_of_the_7b() -> None:
    sft, grpo = load_recipe("32b").sft, load_recipe("32b").grpo
    assert (sft.method, sft.lora_rank, sft.lora_alpha, sft.learning_rate, sft.epochs) == (
        "lora",
        32,
        32,
        1e-4,
        4.0,
    )
    assert (grpo.method, grpo.lora_rank, grpo.lora_alpha, grpo.learning_rate) == ("lora", 32, 32, 1e-5)
    assert (sft.cutoff, grpo.prompts, grpo.rounds) == (23552, 16, 200)


@pytest.mark.parametrize("name", ["7b", "8b", "32b"])
def test_every_difference_from_the_authors_tools_has_a_reason(name: str) -> None:
    differences = load_recipe(name).differences
    settings = {item.setting for item in differences}
    assert {"loss aggregation", "KL form", "prompt filtering", "newline after the end token"} <= settings
    assert all(
        item.stage in ("sft", "grpo") and item.authors and item.here and item.reason for item in differences
    )


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("learnin_rate=1", "unknown key 'learnin_rate': did you mean 'learning_rate'?"),
        ("grpo.rolouts=4", "unknown key 'rolouts': did you mean 'rollouts'?"),
        ("learning_rate=fast", "learning_rate is 'fast': it must be a number"),
        ("batch=1.5", "batch is 1.5: it must be a whole number"),
        ("gradient_checkpointing=1", "gradient_checkpointing is 1: it must be true or false"),
        ("method=lorra", "method is 'lorra': it must be one of full, lora: did you mean 'lora'?"),
        ("learning_rate", "setting 'learning_rate': write key=value"),
        ("dpo.beta=1", "setting 'dpo.beta': unknown stage 'dpo': known: grpo, sft"),
        ("batch=0", "batch is 0: it must be a whole number from 1 up"),
        ("learning_rate=nan", "learning_rate is nan: it must be a number from 0 up"),
        ("grpo.rollouts=1", "rollouts is 1: it must be a whole number from 2 up"),
        ("grpo.rollouts=7", f"grpo.batch 64 does not divide a round's {16 * 7} sequences"),
        ("grpo.save_steps=25", "so it must be a multiple of 2"),
    ],
)
def test_a_wrong_setting_is_one_line(override: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        load_recipe("7b", parse_settings([override]))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_are_laid_over_the_stage_that_runs() -> None:
    recipe = load_recipe("7b", {"learning_rate": 1e-7, "sft.epochs": 2}, stage="grpo")
    assert (recipe.grpo.learning_rate, recipe.sft.learning_rate, recipe.sft.epochs) == (1e-7, 5e-6, 2.0)


def test_a_recipe_of_ones_own_says_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('extends = "7b"\nmodel = "my/model"\n[grpo]\nrounds = 10\n')
    recipe = load_recipe(str(file))
    assert (recipe.name, recipe.model, recipe.grpo.rounds, recipe.grpo.rollouts) == (
        "mine",
        "my/model",
        10,
        8,
    )
    assert recipe.sft == load_recipe("7b").sft


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("[sfft]\n", "unknown key 'sfft': did you mean 'sft'?"),
        ("[sft]\nepoch = 3\n", ":2: sft: unknown key 'epoch': did you mean 'epochs'?"),
        ("[sft\n", ":1: not TOML"),
        ("[size]\nlayers = 4\n", ":1: size: parameters is missing"),
        (
            "[sft]\nbatch = 8\n[grpo]\nbatch = 0\n",
            ":4: grpo: batch is 0: it must be a whole number from 1 up",
        ),
        ("model = 7\n", ":1: model is 7: it must be a text"),
        ('extends = "7c"\n', "unknown recipe '7c'"),
    ],
)
def test_a_wrong_recipe_file_is_one_line_with_its_name(tmp_path: Path, content: str, line: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(content)
    with pytest.raises(InputError) as caught:
        load_recipe(str(file))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_an_unknown_name() -> None:
    with pytest.raises(InputError, match=r"the recipe 'no-such\.toml' cannot be read"):
        load_recipe("no-such.toml")
    with pytest.raises(InputError, match="unknown recipe '7bb': did you mean '7b'"):
        load_recipe("7bb")


QWEN25_7B = {
    "model_type": "qwen2", "num_hidden_layers": 28, "hidden_size": 3584, "intermediate_size": 18944,
    "vocab_size": 152064, "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False,
}  # fmt: skip
QWEN3_8B = {
    "model_type": "qwen3", "num_hidden_layers": 36, "hidden_size": 4096, "intermediate_size": 12288,
    "vocab_size": 151936, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
}  # fmt: skip


def test_a_networks_size_is_read_off_its_configuration() -> None:
    assert size_of(QWEN25_7B) == load_recipe("7b").size  # 7,615,616,512 weights, as published
    assert size_of(QWEN3_8B) == load_recipe("8b").size
    assert size_of({"hidden_size": 3584}) is None


SIZE = Size(parameters=1000, layers=4, hidden=8, intermediate=16, vocabulary=10, kv_width=4)


def test_full_training_keeps_16_bytes_a_weight_over_the_gpus_that_share_them() -> None:
    sft = load_recipe("7b").sft
    for sharding, weights, gradients, optimizer in [("fsdp", 4, 4, 8), ("zero3", 2, 2, 12)]:
        memory = estimate_memory(sft, SIZE, gpus=2, sharding=sharding)
        assert (memory.weights, memory.gradients, memory.optimizer) == (
            1000 * weights // 2, 1000 * gradients // 2, 1000 * optimizer // 2,
        )  # fmt: skip
    alone = estimate_memory(sft, SIZE, gpus=2, sharding="none")
    assert alone.weights + alone.gradients + alone.optimizer == 16 * 1000
    assert alone.reference == 0


def test_lora_keeps_the_frozen_network_and_16_bytes_an_adapters_weight() -> None:
    sft = load_recipe("32b").sft
    adapters = 4 * 32 * (2 * (8 + 8) + 2 * (8 + 4) + 3 * (8 + 16))
    assert lora_parameters(SIZE, 32) == adapters
    memory = estimate_memory(sft, SIZE, gpus=1, sharding="none")
    assert memory.weights == 1000 * 2 + adapters * 4
    assert (memory.gradients, memory.optimizer) == (adapters * 4, adapters * 8)


def test_activations_grow_with_length_and_shrink_with_checkpointing() -> None:
    short, long = (estimate_memory(load_recipe("7b", {"cutoff": n}).sft, SIZE, gpus=1) for n in (1000, 2000))
    assert long.activations == 2 * short.activations
    inside = 1000 * (8 * 8 + 2 * 4 + 4 * 16) * 2
    assert short.activations == 4 * 1000 * 8 * 2 + inside
    whole = estimate_memory(
        load_recipe("7b", {"cutoff": 1000, "gradient_checkpointing": False}).sft, SIZE, gpus=1
    )
    assert whole.activations == 4 * inside


def test_grpo_adds_the_reference_model_unless_an_adapter_can_be_switched_off() -> None:
    assert estimate_memory(load_recipe("7b").grpo, SIZE, gpus=4).reference == 1000 * 4 // 4
    assert estimate_memory(load_recipe("7b", {"grpo.beta": 0}).grpo, SIZE, gpus=4).reference == 0
    assert estimate_memory(load_recipe("32b").grpo, SIZE, gpus=4).reference == 0


def test_the_lines_add_up_and_say_that_they_are_modelled() -> None:
    size = load_recipe("7b").size
    assert size is not None
    memory = estimate_memory(load_recipe("7b").sft, size, gpus=8)
    lines = memory.lines(8, "fsdp")
    assert "8 GPUs" in lines[0]
    assert "modelled, not measured" in lines[0]
    parts = [float(line.split()[-1]) for line in lines[1:-1]]
    assert float(lines[-1].split()[-1]) == pytest.approx(sum(parts), abs=0.5)
    assert memory.total / GIB == pytest.approx(sum(parts), abs=0.5)
