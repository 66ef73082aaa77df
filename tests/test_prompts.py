"""What a prompt says, byte for byte, and that it fits the model."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import prompts_kit as kit
import pytest

from reasonrank_pyserini.errors import InputError, UnknownNameError
from reasonrank_pyserini.prompts import STYLES, PromptBuilder, encode, get_style, render
from reasonrank_pyserini.prompts.cache import BoundedCache
from reasonrank_pyserini.types import Document, Sampling

MODES = {"rank_GPT_reasoning": "reasonrank", "rank_GPT_qwen3": "reasonrank-qwen3", "rank_GPT": "rankgpt"}
OWN_CASES = Path(__file__).parent / "data" / "prompts.jsonl"


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return kit.byte_tokenizer()


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def passages_of(case: dict[str, Any]) -> list[Document]:
    return [Document.from_record(passage["docid"], passage) for passage in case["passages"]]


def docs(*texts: str) -> list[Document]:
    return [Document(str(number), text) for number, text in enumerate(texts)]


@pytest.mark.parametrize("case", read(OWN_CASES), ids=lambda case: case["id"])
def test_cases_of_our_own(case: dict[str, Any], tokenizer: Any) -> None:
    arguments = (MODES[case["prompt_mode"]], tokenizer, case["query"], passages_of(case))
    assert render(*arguments, passage_tokens=case["max_passage_tokens"]) == case["prompt"]
    ids = encode(*arguments, passage_tokens=case["max_passage_tokens"])
    assert (len(ids), tokenizer.decode(ids) == case["prompt"]) == (case["num_tokens"], True)


def test_golden_prompts(shared: Path) -> None:
    from transformers import AutoTokenizer

    qwen = AutoTokenizer.from_pretrained(shared / "golden" / "qwen2.5-tokenizer")
    plain = kit.without_added_tokens(qwen)
    added = set(qwen.get_added_vocab().values())
    counts: Counter[str] = Counter()
    for case in read(shared / "golden" / "prompts.jsonl"):
        documents, limit = passages_of(case), case["max_passage_tokens"]
        arguments = (MODES[case["prompt_mode"]], qwen, case["query"], documents)
        text, ids = render(*arguments, passage_tokens=limit), encode(*arguments, passage_tokens=limit)
        assert text == case["prompt"], case["id"]
        counts["texts"] += 1
        kept = kit.kept_added_ids(qwen, plain, text, ids)
        assert [qwen.convert_ids_to_tokens(id) for id in kept] == [
            *("<|im_start|>", "<|im_end|>", "<|im_start|>", "<|im_end|>", "<|im_start|>")
        ]
        ordinary = qwen(text).input_ids
        if sum(id in added for id in ordinary) == len(kept):
            assert ids == ordinary
            assert len(ids) == case["num_tokens"]
            counts["ids"] += 1
    assert counts == {"texts": 62, "ids": 59}


def test_styles() -> None:
    assert list(STYLES) == ["reasonrank", "reasonrank-qwen3", "rankgpt"]
    assert STYLES["reasonrank"].sampling == Sampling(max_tokens=3072 + 100, reasoning_tokens=3072)
    warm = STYLES["reasonrank-qwen3"].sampling
    assert (warm.temperature, warm.top_p, warm.top_k, warm.min_p) == (0.6, 0.95, 20, 0.0)
    assert [style.answer for style in STYLES.values()] == ["tagged", "tagged", "bare"]
    assert [style.sampling.answer for style in STYLES.values()] == ["tagged", "tagged", "bare"]
    assert {style.passage_tokens for style in STYLES.values()} == {512}
    with pytest.raises(UnknownNameError, match="did you mean 'reasonrank'"):
        get_style("reasonrnk")


def test_style_by_name_or_itself(tokenizer: Any) -> None:
    by_name = render("rankgpt", tokenizer, "q", docs("a"))
    assert render(STYLES["rankgpt"], tokenizer, "q", docs("a")) == by_name


def test_braces_are_ordinary_text(tokenizer: Any) -> None:
    text = render("rankgpt", tokenizer, "{num} {query}", docs("{text} {i} {0}"))
    assert text.count("{num} {query}.") == 2
    assert "\n[1] {text} {i} {0}\n" in text


def test_control_strings_become_plain_and_are_counted(tokenizer: Any) -> None:
    builder = PromptBuilder("reasonrank", tokenizer)
    harmless = builder.build("qqqqqqqqqq", docs("dddddddddd" * 2), answer_tokens=1)
    built = builder.build("<|im_end|>", docs("<|im_end|>" * 2), answer_tokens=1)
    assert (harmless.neutralised, built.neutralised) == (0, 2 + 2)  # the query stands in a prompt twice
    assert built.tokens == harmless.tokens  # 10 bytes each time
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert (built.prompt.token_ids or ()).count(end) == 2
    assert tokenizer.decode(built.prompt.token_ids) == built.prompt.text


def test_the_styles_own_control_strings_stay() -> None:
    qwen3 = kit.byte_tokenizer(added=(*kit.CONTROL, "<think>", "</think>"))
    think = qwen3.convert_tokens_to_ids("<think>")
    assert STYLES["reasonrank"].system.count("<think>") == 2
    assert encode("reasonrank", qwen3, "<think>", docs("<think>")).count(think) == 2


def test_a_changed_tokenizer_is_seen() -> None:
    changing = kit.byte_tokenizer()
    before = render("rankgpt", changing, "q", docs("a"))
    changing.chat_template = kit.TEMPLATES["no-markup"]
    after = render("rankgpt", changing, "q", docs("a"))
    assert (before.startswith("<|im_start|>system\n"), after.startswith("system: You are")) == (True, True)
    changing.add_tokens(["moth"])
    assert changing.convert_tokens_to_ids("moth") not in encode("rankgpt", changing, "moth", docs("a"))


def test_messages_give_the_same_prompt_again(tokenizer: Any) -> None:
    prompt = PromptBuilder("reasonrank", tokenizer).build("a &lt; b", docs("x\r\ny"), answer_tokens=1).prompt
    again = tokenizer.apply_chat_template(list(prompt.messages), tokenize=False, add_generation_prompt=True)
    assert again == prompt.text
    assert [message["role"] for message in prompt.messages] == ["system", "user"]


@pytest.mark.parametrize("template", sorted(kit.FOLDED))
def test_without_a_system_role_the_system_text_leads_the_users(template: str) -> None:
    tokenizer = kit.byte_tokenizer(kit.TEMPLATES[template])
    prompt = PromptBuilder("rankgpt", tokenizer).build("q", docs("a"), answer_tokens=1).prompt
    (message,) = prompt.messages
    assert message["content"].startswith(STYLES["rankgpt"].system + "\n\nI will provide you with 1 passages")
    assert prompt.text.startswith("<|im_start|>user\nYou are RankLLM")


def test_without_a_tokenizer_there_are_messages_only() -> None:
    builder = PromptBuilder("rankgpt", None, passage_tokens=8)
    built = builder.build(
        "why [3]", docs("one two three four five six seven eight", "x" * 99), answer_tokens=1
    )
    assert (built.prompt.token_ids, builder.piecewise) == (None, False)
    user = built.prompt.messages[1]["content"]
    assert "\n[1] one two three four five six\n[2] " + "x" * 48 + "\nSearch Query: why (3).\n" in user


def test_without_a_tokenizer_lengths_are_estimated() -> None:
    builder = PromptBuilder("rankgpt", None, context=400)
    built = builder.build("q", docs("word " * 1000, "short"), answer_tokens=100)
    assert built.tokens <= 300
    assert built.shrunk_passages == 1
    assert "[2] short\n" in built.prompt.messages[1]["content"]


@pytest.mark.parametrize(
    "template", [None, "", "{{ raise_exception('no luck') }}", "{% for %}", "always the same"]
)
def test_a_tokenizer_without_a_working_chat_template(template: str | None) -> None:
    with pytest.raises(InputError, match="chat template") as caught:
        render("rankgpt", kit.byte_tokenizer(template), "q", docs("a"))
    assert "\n" not in str(caught.value)


def test_a_tokenizer_that_is_not_fast() -> None:
    class Slow:
        chat_template = "{{ messages }}"

        def apply_chat_template(self, messages: list[dict[str, str]], **_: object) -> str:
            return "".join(message["content"] for message in messages)

    with pytest.raises(InputError, match="not a fast tokenizer"):
        PromptBuilder("rankgpt", Slow())


def test_which_tokenizers_allow_pieces() -> None:
    template = kit.TEMPLATES["chatml"]
    kinds = {
        "bytes": kit.byte_tokenizer(),
        "qwen-like": kit.bpe_tokenizer(template),
        "gpt2": kit.bpe_tokenizer(template, split=None),
        "looks-behind": kit.bpe_tokenizer(template, split=r"(?<=a)b|\s+(?!\S)|."),
        "unigram": kit.unigram_tokenizer(template),
        "edge": kit.byte_tokenizer(added=(*kit.CONTROL, "\n[")),
    }
    piecewise = {name: PromptBuilder("reasonrank", found).piecewise for name, found in kinds.items()}
    assert piecewise == {
        **dict.fromkeys(("bytes", "qwen-like", "gpt2"), True),
        **dict.fromkeys(("looks-behind", "unigram", "edge"), False),
    }


def test_threads_get_what_one_gets(tokenizer: Any) -> None:
    windows = [
        docs(*(f"{number} passage {number * number}" for number in range(n, n + 5))) for n in range(30)
    ]
    alone = [encode("reasonrank", tokenizer, "q", window) for window in windows]
    builder = PromptBuilder("reasonrank", tokenizer, cache_bytes=20_000)
    results: dict[int, list[list[int]]] = {}

    def work(worker: int) -> None:
        built = [builder.build("q", window, answer_tokens=1) for window in windows]
        results[worker] = [list(one.prompt.token_ids or ()) for one in built]

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(4), alone)


def test_a_template_that_changes_meanwhile() -> None:
    dated = kit.byte_tokenizer("Monday. " + kit.TEMPLATES["chatml"])
    builder = PromptBuilder("rankgpt", dated)
    monday = builder.build("q", docs("a <|im_end|>"), answer_tokens=1)
    dated.chat_template = "Tuesday. " + kit.TEMPLATES["chatml"]
    tuesday = builder.build("q", docs("a <|im_end|>"), answer_tokens=1)
    assert tuesday.prompt.text == monday.prompt.text.replace("Monday", "Tuesday")
    assert (tuesday.tokens, tuesday.neutralised) == (monday.tokens + 1, 1)


def test_the_cache_stays_within_its_bound() -> None:
    class Five:
        size = 5

    cache = BoundedCache(17)
    kept = [cache.get(number, Five) for number in range(10)]
    assert (cache.size, cache.get(9, Five) is kept[9], cache.get(0, Five) is kept[0]) == (15, True, False)


def test_no_tokenizer_no_text() -> None:
    for front in (render, encode):
        with pytest.raises(InputError, match="need the model's tokenizer"):
            front("rankgpt", None, "q", docs("a"))
