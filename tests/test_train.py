"""Training end to end on a CPU: a network of two layers, a task that it can learn, processes that are killed."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import training_kit as kit

from reasonrank_pyserini import training
from reasonrank_pyserini.cli import main
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.training.checkpoints import StageFolder, mark_complete
from reasonrank_pyserini.training.data import read_examples
from reasonrank_pyserini.training.grpo import trainer_arguments
from reasonrank_pyserini.training.recipe_loading import load_recipe

trl = pytest.importorskip("trl", reason="pip install 'reasonrank-pyserini[train]'")


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The untrained network, once the libraries are loaded."""
    assert kit.command("--version").code == 0
    return kit.build_model(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory, fresh: Path) -> Path:
    """The network after recipe tiny's fine-tuning by a teacher that mistakes the best two passages more often
    than not: it answers in the right form, and ranks as its teacher does."""
    folder = tmp_path_factory.mktemp("tuned")
    data = kit.write(folder / "sft.jsonl", range(200 * 16), errs=0.6)
    done = kit.command(
        "train", "sft", "--recipe", "tiny", "--data", data, "--model", fresh, "-o", folder / "model"
    )
    assert done.code == 0, done.err
    return folder / "model"


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def same(one: Path, other: Path) -> bool:
    return all((one / n).read_bytes() == (other / n).read_bytes() for n in ("log.jsonl", "model.safetensors"))


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, out, err


@pytest.mark.parametrize("stage", ["sft", "grpo", "score"])
def test_every_stage_has_help_with_an_example(capsys: pytest.CaptureFixture[str], stage: str) -> None:
    code, out, err = said(capsys, "train", stage, "--help")
    assert (code, err) == (0, "")
    assert f"reasonrank train {stage}" in out or "train sft" in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["sfd"], "unknown stage 'sfd': did you mean 'sft'?"),
        (["sft", "--recipe", "7bb", "--data", "x", "-o", "y"], "unknown recipe '7bb': did you mean '7b'?"),
        (["sft", "--recipe", "tiny", "--data", "x", "-o", "y"], "there is no data file x"),
        (
            ["sft", "--recipe", "tiny", "--data", "DATA", "-o", "y"],
            "recipe 'tiny' names no model: give --model",
        ),
        (
            ["sft", "--recipe", "tiny", "--data", "DATA", "--model", "MODEL"],
            "give -o, the folder for the model",
        ),
        (["grpo", "--recipe", "tiny", "--data", "DATA", "-o", "y"], "Missing option '--model'"),
        (
            ["sft", "--recipe", "7b", "--data", "DATA", "--model", "no/such/x", "--dry-run"],
            "it is not a hub id",
        ),
        (
            [
                "sft",
                "--recipe",
                "tiny",
                "--data",
                "DATA",
                "--model",
                "MODEL",
                "--dry-run",
                "--set",
                "cutoff=9",
            ],
            "no example is left of 20: 20 are longer than 9 tokens",
        ),
        (
            [
                "grpo",
                "--recipe",
                "7b",
                "--data",
                "DATA",
                "--model",
                "MODEL",
                "--dry-run",
                "--set",
                "prompts=40",
                "batch=320",
            ],
            "a round takes 40 prompts and",
        ),
        (
            ["sft", "--recipe", "7b", "--data", "DATA", "--model", "MODEL", "--dry-run", "--gpus", "3"],
            "a batch of 64 cannot be spread over 3 processes",
        ),
        (
            ["sft", "--recipe", "tiny", "--data", "DATA", "--model", "MODEL", "-o", "EMPTY", "--resume"],
            "holds no checkpoint: leave --resume out to start",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], line: str
) -> None:
    model, data = kit.build_tokenizer(tmp_path / "model"), kit.write(tmp_path / "data.jsonl", range(20))
    (model / "config.json").write_text("{}")
    places = {"DATA": str(data), "MODEL": str(model), "EMPTY": str(tmp_path / "empty")}
    code, out, err = said(capsys, "train", *(places.get(a, a) for a in arguments))
    assert (code, out) == (2, "")
    assert line in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "empty").exists()


def test_a_dry_run_tells_data_steps_and_memory_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model, data = kit.build_tokenizer(tmp_path / "model"), kit.write(tmp_path / "data.jsonl", range(130))
    (model / "config.json").write_text("{}")
    with data.open("a") as stream:
        stream.write(json.dumps(kit.example(1000, passages=5)) + "\n")
    shared = ["--data", data, "--model", model, "--dry-run", "-o", tmp_path / "out"]
    code, out, err = said(
        capsys, "train", "sft", "--recipe", "7b", *shared, "--set", "cutoff=80", "epochs=2.5"
    )
    assert (code, err) == (0, "")
    facts = {line[:19].strip(): line[19:].strip() for line in out.splitlines()}
    assert facts["examples"] == "130 of 131"
    assert facts["overlong"] == "1 left out"
    assert int(facts["optimizer steps"]) == -(-3 * 5 // 2)  # 3 batches of at most 64 an epoch, 2.5 epochs
    assert facts["batch"] == "64 = 1 at a time x 8 accumulated x 8 GPUs"
    assert facts["parameters"] == "7,615,616,512"
    assert "modelled, not measured" in out
    assert "differs: newline after the end token" in out
    code, out, _ = said(
        capsys, "train", "grpo", "--recipe", "7b", *shared, "--gpus", "4", "--sharding", "zero3"
    )
    assert "200 of 16 prompts x 8 rollouts, 2 updates each" in out
    assert "over 4 GPUs with zero3" in out
    assert "differs: KL form" in out
    assert not (tmp_path / "out").exists()


def test_an_estimate_from_python_takes_examples_and_values(tmp_path: Path) -> None:
    model, data = kit.build_tokenizer(tmp_path / "model"), kit.write(tmp_path / "data.jsonl", range(30))
    (model / "config.json").write_text("{}")
    found = [
        training.estimate(
            training.TrainRequest(
                stage="sft",
                recipe=load_recipe("tiny"),
                data=given,
                model=str(model),
                overrides={"steps": 0, "sft.epochs": 2},
            ),
            gpus=1,
        )
        for given in (data, read_examples(data))
    ]
    for estimate in found:
        assert (estimate.counts.kept, estimate.steps, estimate.memory) == (30, 2 * -(-30 // 16), None)
        assert (estimate.at_once, estimate.accumulated) == (16, 1)
    assert found[0].prompts == found[1].prompts


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"output": None}, "give `output`"),
        ({"resume": True}, "leave `resume` out"),
        ({"overrides": {"batch": 0}}, "setting 'batch': batch is 0"),
        ({"overrides": {"dpo.beta": 1}}, "unknown stage 'dpo'"),
        ({"data": []}, "`data` holds no example"),
    ],
)
def test_a_wrong_request_names_its_setting(
    fresh: Path, tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    request = training.TrainRequest(
        stage="sft", recipe="tiny", data=tmp_path / "x.jsonl", model=str(fresh), output=tmp_path / "out"
    )
    with pytest.raises(InputError, match=problem):
        training.run(dataclasses.replace(request, **change))
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_the_models_context_is_left_out_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model, data = kit.build_tokenizer(tmp_path / "model"), kit.write(tmp_path / "data.jsonl", range(20))
    with data.open("a") as stream:
        stream.write(json.dumps(kit.example(1000, passages=5)) + "\n")
    (model / "config.json").write_text('{"max_position_embeddings": 80}')
    shared = ["--recipe", "tiny", "--data", data, "--model", model, "--dry-run", "--gpus", "1"]
    code, out, _ = said(capsys, "train", "sft", *shared)
    assert "overlong           1 left out" in out
    code, out, _ = said(capsys, "train", "grpo", *shared, "--set", "max_completion=40")
    assert "overlong           1 left out" in out
    code, out, err = said(capsys, "train", "grpo", *shared, "--set", "max_completion=80")
    assert (code, out) == (2, "")
    assert "answers of 80 tokens leave no room in the model's context of 80" in err


def test_fine_tuning_killed_in_the_middle_ends_bit_for_bit_the_same(fresh: Path, tmp_path: Path) -> None:
    data = kit.write(tmp_path / "sft.jsonl", range(200))
    settings = ["--set", "steps=14", "save_steps=4"]  # more than one epoch of 200 / 16
    ask = ["train", "sft", "--recipe", "tiny", "--data", data, "--model", fresh, *settings]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert kit.command(*ask, "-o", whole).code == 0
    assert kit.command(*ask, "-o", killed, kill_at=(killed / "log.jsonl", 7)).code == -9
    assert not (killed / "manifest.json").exists()
    assert not (killed / "model.safetensors").exists()
    half = killed / "checkpoints" / "checkpoint-12"
    half.mkdir()  # as if the kill had come while a checkpoint was written
    again = kit.command(*ask, "-o", killed)
    assert again.code == 0
    assert "sft continues from step 4" in again.err
    assert same(whole, killed)
    assert [line["step"] for line in log(whole)] == list(range(1, 15))


def test_reinforcement_killed_in_the_middle_ends_bit_for_bit_the_same(tuned: Path, tmp_path: Path) -> None:
    data = kit.write(tmp_path / "rl.jsonl", range(10_000, 10_100))
    settings = ["--set", "rounds=4", "save_steps=2", "batch=32"]  # two updates a round
    ask = ["train", "grpo", "--recipe", "tiny", "--data", data, "--model", tuned, *settings]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert kit.command(*ask, "-o", whole).code == 0
    assert kit.command(*ask, "-o", killed, kill_at=(killed / "log.jsonl", 5)).code == -9
    again = kit.command(*ask, "-o", killed)
    assert again.code == 0
    assert "grpo continues from step 4" in again.err
    assert same(whole, killed)
    first, second = log(whole)[:2]
    assert {"reward", "ndcg", "recall", "rbo", "format", "length", "kl", "loss", "lr"} <= first.keys()
    assert "reward" not in second  # the second update of the same round
    assert first["reward"] == pytest.approx(
        first["ndcg"] + 0.2 * first["recall"] + 0.1 * first["rbo"] - tagless(first)
    )


def tagless(line: dict[str, Any]) -> float:
    """What answers without the tags cost on average: -1 each, where the format counts well-formed ones as 1."""
    formed = line["recall"]  # three passages: every well-formed ranking recalls the relevant one
    return float(formed - line["format"])


def test_a_finished_folder_says_so_and_another_configuration_is_refused(fresh: Path, tmp_path: Path) -> None:
    data = kit.write(tmp_path / "sft.jsonl", range(40))
    out = tmp_path / "out"
    ask = ["train", "sft", "--recipe", "tiny", "--data", data, "--model", fresh, "-o", out]
    first = kit.command(*ask, "--set", "steps=2")
    assert first.code == 0
    files = {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "chat_template.jinja",
        "log.jsonl",
        "curves.png",
    }
    assert files <= {path.name for path in out.iterdir()}
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["examples"] == {"read": 40, "kept": 40, "overlong": 0, "without_answer": 0}
    assert (manifest["seed"], manifest["steps"], manifest["recipe"]["sft"]["steps"]) == (42, 2, 2)
    assert {"torch", "transformers", "trl"} <= manifest["versions"].keys()
    again = kit.command(*ask, "--set", "steps=2")
    assert (again.code, json.loads(again.out)) == (0, json.loads(first.out))
    assert "finished: nothing to do" in again.err
    other = kit.command(*ask, "--set", "steps=3")
    assert other.code == 2
    assert "settings.steps: 2 there, 3 now" in other.err
    assert len(other.err.splitlines()) == 1
    replaced = kit.command(*ask, "--set", "steps=3", "--overwrite")
    assert (replaced.code, len(log(out))) == (0, 3)


def test_a_folder_is_for_one_training_at_a_time(tmp_path: Path) -> None:
    with StageFolder(tmp_path / "out", {"stage": "sft"}) as folder:
        with (
            pytest.raises(InputError, match="is being written by another process"),
            StageFolder(tmp_path / "out", {"stage": "sft"}),
        ):
            pass
        checkpoints = [folder.checkpoints / f"checkpoint-{step}" for step in (9, 10, 11)]
        for checkpoint in checkpoints:
            checkpoint.mkdir()
            (checkpoint / "rng_state_0.pth").touch()
        mark_complete(checkpoints[0], 1)
        mark_complete(checkpoints[1], 2)  # the second process has not written its random state
        assert folder.resume_from == checkpoints[0]
    with StageFolder(tmp_path / "out", {"stage": "sft"}) as folder:
        assert [path.exists() for path in checkpoints] == [True, False, False]
    with (
        pytest.raises(InputError, match='stage: "sft" there, "grpo" now'),
        StageFolder(tmp_path / "out", {"stage": "grpo"}),
    ):
        pass
    with StageFolder(tmp_path / "out", {"stage": "grpo"}, overwrite=True) as folder:
        assert (folder.resume_from, folder.finished) == (None, False)
        folder.finish({"steps": 1})
        assert folder.finished


def test_a_training_that_never_saved_does_not_stand_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), StageFolder(tmp_path / "out", {"stage": "sft"}):
        raise KeyboardInterrupt
    with StageFolder(tmp_path / "out", {"stage": "grpo"}) as folder:
        assert folder.resume_from is None


def test_an_adapter_is_merged_and_kept(fresh: Path, tmp_path: Path) -> None:
    data = kit.write(tmp_path / "sft.jsonl", range(40))
    out = tmp_path / "out"
    settings = ["--set", "steps=3", "method=lora", "lora_rank=4"]
    done = kit.command(
        "train", "sft", "--recipe", "tiny", "--data", data, "--model", fresh, "-o", out, *settings
    )
    assert done.code == 0, done.err
    from safetensors.torch import load_file

    before, after = (load_file(folder / "model.safetensors") for folder in (fresh, out))
    adapter = load_file(out / "adapter" / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    linear = [name for name in before if name.endswith("_proj.weight")]
    assert changed == set(linear)
    (a,) = (value for name, value in adapter.items() if "layers.0.self_attn.q_proj.lora_A" in name)
    (b,) = (value for name, value in adapter.items() if "layers.0.self_attn.q_proj.lora_B" in name)
    name = "model.layers.0.self_attn.q_proj.weight"
    assert a.shape[0] == 4
    assert (after[name] - before[name]).allclose(b @ a * (32 / 4), atol=1e-6)


def test_the_7b_recipe_in_the_words_of_trl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    grpo = load_recipe("7b").grpo
    asked = trainer_arguments(grpo, StageFolder(tmp_path, {}), vllm=True)
    assert (asked["generation_batch_size"], asked["num_generations"]) == (16 * 8, 8)
    at_once, accumulated = asked["per_device_train_batch_size"], asked["gradient_accumulation_steps"]
    assert (at_once, accumulated) == (1, 8 * 8 // 8)
    assert asked["max_steps"] == 200 * (16 * 8) // (at_once * accumulated * 8)
    assert (asked["beta"], asked["use_bias_correction_kl"], asked["loss_type"]) == (0.001, False, "grpo")
    assert (asked["delta"], asked["lr_scheduler_type"], asked["scale_rewards"]) == (3.0, "constant", "group")
    assert asked["reward_weights"] == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert (asked["vllm_mode"], asked["vllm_max_model_length"]) == ("colocate", 20480 + 3072)
    assert asked["model_init_kwargs"]["trust_remote_code"] is False
    assert not {"vllm_mode"} & trainer_arguments(grpo, StageFolder(tmp_path, {}), vllm=False).keys()
    assert set(asked) <= {field.name for field in dataclasses.fields(trl.GRPOConfig)}


CLUSTER = Path(__file__).parents[1] / "eval" / "training"


@pytest.mark.parametrize("name", ["fsdp", "zero3", "zero3-offload"])
def test_accelerate_takes_the_configurations(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(CLUSTER / f"{name}.yaml"))
    kind = "FSDP" if name == "fsdp" else "DEEPSPEED"
    assert (str(config.distributed_type.value), config.mixed_precision, config.num_processes) == (
        kind,
        "bf16",
        8,
    )


def test_the_recipe_for_one_machine_runs_both_stages_and_stops_at_a_failure(tmp_path: Path) -> None:
    for name, status in (("reasonrank", 0), ("accelerate", 0)):
        (tmp_path / name).write_text(
            f'#!/bin/sh\necho "{name} $@" >> {tmp_path}/said\nexit ${{FAIL:-{status}}}\n'
        )
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "GPUS": "4"}
    ask = ["bash", str(CLUSTER / "train.sh"), "7b", "sft.jsonl", "rl.jsonl", "out"]
    subprocess.run(ask, env=environment, check=True)
    dry, sft, grpo = (tmp_path / "said").read_text().splitlines()
    assert "--dry-run --gpus 4" in dry
    assert "--num_processes 4" in sft
    assert sft.endswith("train sft --recipe 7b --data sft.jsonl -o out/sft")
    assert grpo.endswith("train grpo --recipe 7b --data rl.jsonl --model out/sft --vllm -o out/model")
    (tmp_path / "said").unlink()
    assert subprocess.run(ask, env={**environment, "FAIL": "2"}, check=False).returncode == 2
    assert len((tmp_path / "said").read_text().splitlines()) == 1


@pytest.mark.slow
def test_both_stages_raise_the_reward_on_lists_not_trained_on(
    fresh: Path, tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = kit.write(tmp_path / "held-out.jsonl", range(50_000, 50_200))
    data = kit.write(tmp_path / "rl.jsonl", range(10_000, 11_000))
    out = tmp_path / "reinforced"
    done = kit.command(
        "train", "grpo", "--recipe", "tiny", "--data", data, "--model", tuned, "-o", out, "--set", "rounds=30"
    )
    assert done.code == 0, done.err
    before, sft, grpo = (
        training.score(str(folder), held_out, max_completion=40, batch=200) for folder in (fresh, tuned, out)
    )
    with capsys.disabled():
        sys.stderr.write(f"\nheld-out reward {before['total']:.2f} {sft['total']:.2f} {grpo['total']:.2f}\n")
    shown = kit.command(
        "train", "score", "--model", out, "--data", held_out, "--max-completion", 40, "--limit", 20
    )
    assert json.loads(shown.out)["examples"] == 20
    assert before["total"] < sft["total"] < grpo["total"]
    assert sft["total"] - before["total"] > 1.5
    assert grpo["total"] - sft["total"] > 0.1
    assert grpo["ndcg"] - sft["ndcg"] > 0.1  # not by form alone


@pytest.mark.slow
def test_two_processes_see_the_rewards_of_one(tuned: Path, tmp_path: Path) -> None:
    """The likeliest token each time and a learning rate of 0: only the spreading could make a difference."""
    data = kit.write(tmp_path / "rl.jsonl", range(10_000, 10_050))
    still = ["--set", "rounds=3", "top_k=1", "learning_rate=0.0", "rollouts=4", "batch=32"]
    ask = ["train", "grpo", "--recipe", "tiny", "--data", data, "--model", tuned, *still]
    alone, both = tmp_path / "alone", tmp_path / "both"
    assert kit.command(*ask, "-o", alone).code == 0
    done = kit.command(*ask, "-o", both, processes=2, ACCELERATE_USE_CPU="true")
    assert done.code == 0, done.err
    assert json.loads((both / "manifest.json").read_text())["processes"] == 2
    assert len(done.out.splitlines()) == 1  # the first process speaks for both
    names = ("reward", "ndcg", "recall", "rbo", "format", "length", "length_min", "length_max")
    one, two = ([[line[name] for name in names] for line in log(folder)] for folder in (alone, both))
    assert two == [pytest.approx(line, abs=1e-6) for line in one]
    assert len({line[0] for line in one}) == 3  # three rounds, three different rewards
