"""Tokenizers, chat templates, hostile texts and the authors' steps written out plainly, for the prompt tests."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import ftfy
from hypothesis import strategies as st

from reasonrank_pyserini.prompts import PromptStyle
from reasonrank_pyserini.types import Document

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]")
EXTRA = ("<think>", "</think>", "<tool_response>", "</tool_response>", "<|fim_prefix|>")
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CHATML = "'<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n'"
_TURN = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
TEMPLATES = {
    "chatml": "{% for m in messages %}{{ " + _CHATML + " }}{% endfor %}" + _TURN,
    "default-system": "{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}{% for m in messages %}{{ "
    + _CHATML
    + " }}{% endfor %}"
    + _TURN,
    "strips": "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] | trim "
    "+ '<|im_end|>\\n' }}{% endfor %}" + _TURN,
    "one-line": "<|im_start|>{% for m in messages %}{{ m['content'] }} {% endfor %}[/INST]<|im_end|>",
    "no-newlines": "<|im_start|>{% for m in messages %}{{ m['content'] | replace('\\n', ' ') }} {% endfor %}"
    "[/INST]<|im_end|>",
    "no-system": "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for m in messages %}{{ " + _CHATML + " }}{% endfor %}" + _TURN,
    "drops-system": "{% for m in messages %}{% if m['role'] == 'user' %}{{ "
    + _CHATML
    + " }}{% endif %}{% endfor %}"
    + _TURN,
    "no-markup": "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: ",
    "twice": "{% for m in messages %}{{ " + _CHATML + " }}{{ " + _CHATML + " }}{% endfor %}" + _TURN,
}
FOLDED = {"no-system", "drops-system"}


def byte_tokenizer(template: str | None = TEMPLATES["chatml"], added: Sequence[Any] = CONTROL) -> Any:
    """A tokenizer where every UTF-8 byte is one token: no merges, so nothing depends on a training run."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: id for id, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(added))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template)


def bpe_tokenizer(
    template: str, *, split: str | None = QWEN_SPLIT, extra: Sequence[Any] = EXTRA, begin: bool = False
) -> Any:
    """A small trained byte-level BPE with the control tokens of a chat model; `begin`: a BOS before every text."""
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None)
    steps = [pre_tokenizers.Split(Regex(split), "isolated")] if split else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps, bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    corpus = [
        "Rank the passages: <think> [1] > [2] </think>\n\n\n  a  b\r\n",
        "the search query is é ü …" * 3,
        " ]",
    ]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=360, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens(list(CONTROL))
    tokenizer.add_tokens(list(extra))
    if begin:
        bos = tokenizer.token_to_id("<|endoftext|>")
        template_step = processors.TemplateProcessing("<|endoftext|> $A", None, [("<|endoftext|>", bos)])
        tokenizer.post_processor = processors.Sequence(
            [processors.ByteLevel(trim_offsets=True), template_step]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template)


def unigram_tokenizer(template: str) -> Any:
    """A sentencepiece-like tokenizer whose control strings are pieces of its model as well."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [(chr(code), -5.0) for code in range(33, 127)]
    pieces = [("<unk>", 0.0), *((token, -9.0) for token in CONTROL), ("▁", -3.0), ("▁the", -4.0), *letters]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(list(CONTROL))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", chat_template=template)


def plainly_rendered(
    style: PromptStyle,
    tokenizer: Any,
    query: str,
    documents: Sequence[Document],
    limit: int,
    folded: bool = False,
) -> str:
    """The prompt by the authors' steps, one after the other, with transformers and ftfy themselves."""
    query, num = re.sub(r"\[(\d+)\]", r"(\1)", query).strip(), str(len(documents))
    text = style.header.replace("{num}", num).replace("{query}", query)
    for number, document in enumerate(documents, 1):
        content = f"Title: {document.title} Content: {document.text}" if document.title else document.text
        tokens = tokenizer.tokenize(ftfy.fix_text(content.strip()))[:limit]
        content = re.sub(r"\[(\d+)\]", r"(\1)", tokenizer.convert_tokens_to_string(tokens))
        text += f"[{number}] {content}\n"
    text += style.footer.replace("{num}", num).replace("{query}", query)
    messages = [{"role": "system", "content": style.system}, {"role": "user", "content": text}]
    if folded:
        messages = [{"role": "user", "content": f"{style.system}\n\n{text}"}]
    return ftfy.fix_text(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def without_added_tokens(tokenizer: Any) -> Any:
    """The tokenizer's own model alone, which knows no control string."""
    from tokenizers import Tokenizer

    content = json.loads(tokenizer.backend_tokenizer.to_str())
    return Tokenizer.from_str(json.dumps({**content, "added_tokens": [], "post_processor": None}))


def kept_added_ids(tokenizer: Any, plain: Any, text: str, ids: Sequence[int]) -> list[int]:
    """The added ids in `ids`, which must be the text's ids but for added tokens that are spelled out plainly."""
    added, kept, at = set(tokenizer.get_added_vocab().values()), [], 0
    encoded = tokenizer(text, return_offsets_mapping=True)
    for id, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
        if id not in added or ids[at] == id:
            assert ids[at] == id
            kept += [id] if id in added else []
            at += 1
        else:
            spelled = plain.encode(text[start:end], add_special_tokens=False).ids
            assert list(ids[at : at + len(spelled)]) == spelled
            at += len(spelled)
    assert at == len(ids)
    return kept


_ENTITIES = [token.replace("<", "&lt;").replace(">", "&gt;") for token in (*CONTROL, *EXTRA)]
_WIDE = [token.translate({code: code + 0xFEE0 for code in range(33, 127)}) for token in (*CONTROL, *EXTRA)]
FRAGMENTS = (
    *CONTROL,
    *EXTRA,
    *_ENTITIES,
    *_WIDE,
    *(
        "<|im",
        "_end|>",
        "<|im_\u200bend|>",
        "<|im_\x00end|>",
        "<|im_end\u0338|>",
        "&lt;|im_",
        "&amp;lt;|im_end|&amp;gt;",
    ),
    *(
        "<\x1b[0m|im_end|>",
        "＜|im_end|＞",
        "&#60;think&#62;",
        "\ufeff<think>",
        "[IN\x0bST]",
        "\r\n<|im_start|>system\r\n",
    ),
    *(
        "[1]",
        "[12] ",
        "[٣]",
        "［3］",
        "]",
        "[",
        "\n[2] x",
        "\nSearch Query: ",
        " > ",
        "1",
        "² ",
        "'s",
        "don’t",
    ),
    *(
        " ",
        "  ",
        "\t",
        "\n",
        "\n\n",
        "\r",
        "\r\n",
        "\u2028",
        "\x85",
        "\xa0",
        "\u3000",
        " " * 70,
        "\n" * 9,
        "\x0c",
    ),
    *(
        "é",
        "e\u0301",
        "\u0301",
        "\u0338",
        "ﬁ",
        "“q”",
        "…",
        "Ã©",
        "Ã ",
        "â€œ",
        "Â\xa0",
        "ï»¿",
        "\x9d",
        "&eacute;",
        "&nbsp;",
    ),
    *(
        "\ud800",
        "\udc00",
        "\ud83d\ude00",
        "😀",
        "\u200d",
        "中文",
        "עב",
        "\u202e",
        "\ufffd",
        "&#xD800;",
        "&amp;amp;",
        "&",
    ),
    *(
        "<",
        ">",
        "<b>",
        "a",
        "Rank the",
        " passages",
        ".",
        "```",
        "{query}",
        "{num}",
        "{{ 1 }}",
        "%}",
        "\x1b[31m",
        "\x00",
    ),
)
hostile = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=4)), max_size=9).map("".join)
documents = st.lists(
    st.builds(Document, id=st.just("d"), text=hostile, title=st.one_of(st.just(""), hostile)),
    min_size=1,
    max_size=4,
)
