from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.engines.journal import Journal, Recorded, Replay, completion_key
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.errors import JournalError, ReplayMissError
from reasonrank_pyserini.types import Completion, Prompt, Sampling

PROMPT = Prompt(token_ids=(1, 2, 3))
KEY = "ab" * 32


def test_a_second_process_reads_what_the_first_wrote(tmp_path: Path) -> None:
    script = (
        "import sys; from reasonrank_pyserini.engines.journal import Journal; "
        "from reasonrank_pyserini.types import Completion; "
        f"Journal(sys.argv[1]).put('{KEY}', Completion('[2] > [1]\\n\\u2028', 5, 7)); import os; os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == 9
    assert Journal(tmp_path).get(KEY) == Completion("[2] > [1]\n\u2028", 5, 7, cached=True)


@given(text=st.text(st.characters(codec=None)), tokens=st.integers(0, 10**9))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, text: str, tokens: int) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)
    journal.put(KEY, Completion(text, tokens))
    found = journal.get(KEY)
    assert found is not None
    assert (found.text, found.prompt_tokens, found.cached) == (text, tokens, True)
    journal.close()
    assert Journal(folder).get(KEY) == found


@pytest.mark.parametrize("cut", [1, 10, 60, 100])
def test_a_torn_last_line_is_counted_and_the_rest_is_kept(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    journal.put("01" * 32, Completion("first"))
    journal.put("02" * 32, Completion("second"))
    journal.close()
    (path,) = tmp_path.glob("*.journal")
    os.truncate(path, path.stat().st_size - cut)
    again = Journal(tmp_path)
    assert (len(again), again.damaged) == (1, 1)
    assert again.get("01" * 32) is not None
    assert again.get("02" * 32) is None


def test_a_flipped_bit_is_never_believed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.put(KEY, Completion("[2] > [1]"))
    journal.close()
    (path,) = tmp_path.glob("*.journal")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"[2] > [1]", b"[1] > [2]"))
    again = Journal(tmp_path)
    assert (again.get(KEY), again.damaged) == (None, 1)


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be written"):
        Journal(tmp_path / "file" / "journal").put(KEY, Completion("x"))


def test_recorded_asks_the_engine_once(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda prompt, sampling: f"answer {engine.calls}")

    async def ask() -> list[Completion]:
        async with Recorded(engine, Journal(tmp_path)) as recorded:
            return [await recorded.complete(PROMPT, Sampling()) for _ in range(3)]

    first = asyncio.run(ask())
    assert [c.text for c in first] == ["answer 1"] * 3
    assert [c.cached for c in first] == [False, True, True]
    assert [c.text for c in asyncio.run(ask())] == ["answer 1"] * 3
    assert engine.calls == 1


def test_an_error_is_not_recorded(tmp_path: Path) -> None:
    def script(prompt: Prompt, sampling: Sampling) -> str:
        if engine.calls == 1:
            raise RuntimeError("down")
        return "up"

    engine = ScriptedEngine(script)

    async def ask() -> str:
        async with Recorded(engine, Journal(tmp_path)) as recorded:
            with pytest.raises(RuntimeError, match="down"):
                await recorded.complete(PROMPT, Sampling())
            return (await recorded.complete(PROMPT, Sampling())).text

    assert asyncio.run(ask()) == "up"


def test_every_part_of_the_key_counts() -> None:
    identity = {"engine": "vllm", "model": "m", "dtype": "bfloat16"}
    keys = {
        completion_key(identity, PROMPT, Sampling()),
        completion_key({**identity, "dtype": "float16"}, PROMPT, Sampling()),
        completion_key(identity, Prompt(token_ids=(1, 2)), Sampling()),
        completion_key(identity, Prompt(messages=({"role": "user", "content": "a"},)), Sampling()),
        completion_key(identity, Prompt(text="a"), Sampling()),
        completion_key(identity, PROMPT, Sampling(seed=1)),
        completion_key(identity, PROMPT, Sampling(answer="bare")),
        completion_key(identity, PROMPT, Sampling(), sample=1),
    }
    assert len(keys) == 8
    assert completion_key(dict(reversed(identity.items())), PROMPT, Sampling()) in keys


def test_replay_needs_no_engine_and_invents_nothing(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda prompt, sampling: "said")

    async def run() -> None:
        async with Recorded(engine, Journal(tmp_path)) as recorded:
            await recorded.complete(PROMPT, Sampling())
        async with Replay(Journal(tmp_path), engine.identity) as replay:
            assert (await replay.complete(PROMPT, Sampling())).text == "said"
            with pytest.raises(ReplayMissError, match="no completion"):
                await replay.complete(PROMPT, Sampling(temperature=1.0))

    asyncio.run(run())
    assert engine.calls == 1
