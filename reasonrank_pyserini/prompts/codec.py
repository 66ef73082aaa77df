"""Text to token ids, without control ids made from untrusted text."""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock
from typing import Any

from ..errors import InputError
from .splitting import splits_locally
from .texts import Span, joined, start_of
from .words import Words

_EDGE = re.compile(r"(?<=\S)(?= \S)|(?<=[^\W_])(?=[.,;:!?、。，！？])")
_CONTEXT = 64
_FAR = 1 << 17


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of some spans; `neutralised` counts the control strings encoded as plain text."""

    ids: array[int]
    neutralised: int = 0


@dataclass(frozen=True, slots=True)
class Beginning:
    """A text's first tokens, their number and their text; `Codec.shortened` gives the text of fewer.

    `tokens`: as ids, or where ids do not determine the text, as one string with NULs between tokens.
    """

    tokens: array[int] | str
    count: int
    text: str


class Codec:
    """Encodes and cuts texts with private copies of a fast tokenizer.

    It is thread-safe, also while others use or change the tokenizer. `separable`: pieces of a text may be encoded
    separately when `encode_between` gives ids for them; true for byte-level BPE whose word splitting never looks
    behind and looks ahead only for white space.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Raises InputError unless the tokenizer is a transformers fast tokenizer."""
        from tokenizers import Tokenizer, processors

        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise InputError(
                f"{type(tokenizer).__name__} is not a fast tokenizer: "
                "use one that has a tokenizer.json (transformers' AutoTokenizer loads it)"
            )
        self._lock = Lock()
        self._without_added: Any = None
        self._tokenizer = Tokenizer.from_str(backend.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.post_processor = processors.ByteLevel(
            trim_offsets=False
        )  # adds no tokens, unlike most
        self._tokenizer.encode_special_tokens = bool(getattr(tokenizer, "split_special_tokens", False))
        added = self._tokenizer.get_added_tokens_decoder()
        self._control = frozenset(id for id, token in added.items() if self._is_control(id, token))
        self._before, self._after = self._surroundings(tokenizer)
        strings = [token.content for token in added.values()]
        self._skips = not any(" " in string or len(string) >= _CONTEXT for string in strings)
        self.separable = splits_locally(self._tokenizer) and not any(
            edge in string for string in strings for edge in ("\n", "] ")
        )
        self._words = Words.of(self._tokenizer, strings)

    def _is_control(self, id: int, token: Any) -> bool:
        """Whether an added token is more than a plain token that the model's own vocabulary has anyway."""
        known = self._tokenizer.model.token_to_id(token.content) == id
        return bool(token.special or not known or self._plain.encode(token.content).ids != [id])

    @property
    def _plain(self) -> Any:
        """The tokenizer without its added tokens; made when first needed."""
        from tokenizers import Tokenizer

        with self._lock:
            if self._without_added is None:
                content = json.loads(self._tokenizer.to_str())
                self._without_added = Tokenizer.from_str(json.dumps({**content, "added_tokens": []}))
            return self._without_added

    def _surroundings(self, tokenizer: Any) -> tuple[list[int], list[int]]:
        """The ids that the tokenizer adds before and after every text (usually none)."""
        probe = "[1] a <b>\n\n 12 is\n"
        whole, bare = list(tokenizer(probe)["input_ids"]), self._tokenizer.encode(probe).ids
        for start in range(len(whole) - len(bare) + 1):
            if whole[start : start + len(bare)] == bare:
                return whole[:start], whole[start + len(bare) :]
        raise InputError(
            f"{type(tokenizer).__name__} gives other ids than its tokenizer.json, so it cannot be used"
        )

    def surrounded(self, ids: Iterable[int]) -> tuple[int, ...]:
        """The ids with those that the tokenizer adds around every text, such as a beginning-of-text id.

        Not a second time if the chat template has written it already (Llama 3, Gemma, the R1 distillations).
        """
        inner, before = tuple(ids), tuple(self._before)
        return (*(() if before and inner[: len(before)] == before else before), *inner, *self._after)

    def encode(self, spans: Sequence[Span]) -> Encoded:
        """The ids of the joined spans, as one text."""
        text = joined(spans)
        encoding = self._tokenizer.encode(text)
        return self._neutral(encoding.ids, encoding, text, spans, 0)

    def encode_between(self, left: str, spans: Sequence[Span], right: str) -> Encoded | None:
        """The ids of the spans inside a text where `left` and `right` are their neighbours.

        None when a token crosses one of the borders. The neighbours need not be complete: a few characters on
        the right are all that the splitting looks ahead for.
        """
        middle = joined(spans)
        ids = self._words.ids_between(left, middle, right) if self._words is not None else None
        if ids is not None:
            return Encoded(ids)
        text = f"{left}{middle}{right}"
        encoding = self._tokenizer.encode(text)
        first = _token_at(encoding, len(left), len(text))
        last = _token_at(encoding, len(left) + len(middle), len(text))
        if first is None or last is None:
            return None
        around = [Span(left, True), *spans, Span(right, True)]
        return self._neutral(encoding.ids[first:last], encoding, text, around, first)

    def _neutral(
        self, ids: list[int], encoding: Any, text: str, spans: Sequence[Span], first: int
    ) -> Encoded:
        """The ids, with every control id that does not come from trusted text alone encoded as plain text."""
        if self._control.isdisjoint(ids):
            return Encoded(array("I", ids))
        out: list[int] = []
        count, offsets = 0, encoding.offsets
        ends = list(accumulate(len(span.text) for span in spans))
        for number, id in enumerate(ids, first):
            if id not in self._control or _all_trusted(spans, ends, *offsets[number]):
                out.append(id)
            else:
                start, end = offsets[number]
                out += self._plain_ids(text[start:end])
                count += 1
        return Encoded(array("I", out), count)

    def _plain_ids(self, text: str) -> list[int]:
        ids = list(self._plain.encode(text).ids)
        if len(text) > 1 and not self._control.isdisjoint(ids):
            return [id for character in text for id in self._plain_ids(character)]
        return ids

    def is_whole(self, text: str, limit: int) -> bool:
        """Whether a text that ftfy has fixed certainly has at most `limit` tokens, without encoding it.

        That is certain when its tokens spell the text and each stands for at least one byte.
        """
        return self._words is not None and self._words.spells(text) and len(text.encode()) <= limit

    def beginning(self, text: str, limit: int, normalise: Callable[[str], str]) -> Beginning:
        """The first `limit` tokens of the normalised text, control tokens included, as the authors cut.

        Of a huge text only as many lines are read as determine them, if the tokenizer allows that. Of one that goes on
        for more than `_FAR` characters without the end of a word, only these are read: the tokens before a character
        that far away do not depend on it in practice. `normalise` must work line by line, as ftfy does, so that the
        first lines give the beginning of the whole result.
        """
        tokens = self._first_of_huge(text, limit, normalise)
        if tokens is None:
            whole = normalise(text)
            ids = self._words.ids(whole) if self._words is not None else None
            if ids is not None:
                first = ids[:limit]
                return Beginning(first, len(first), whole if len(first) == len(ids) else self._text(first))
            tokens = self._tokens(whole)[:limit]
        return Beginning("\0".join(tokens), len(tokens), self._joined(tokens))

    def shortened(self, beginning: Beginning, limit: int) -> str:
        """The text of its first `limit` tokens; incomplete characters become U+FFFD."""
        if isinstance(beginning.tokens, str):
            return self._joined(beginning.tokens.split("\0", limit)[:limit])
        return self._text(beginning.tokens[:limit])

    def _first_of_huge(self, text: str, limit: int, normalise: Callable[[str], str]) -> list[str] | None:
        size = 16 * limit + 4096
        while size < len(text):
            start = normalise(start_of(text, size + 4096))
            tokens = self._settled_tokens(start, size)
            if len(tokens) < limit:
                tokens = self._far_tokens(start, size + _FAR, 2 * limit)
            if len(tokens) >= limit:
                return tokens[:limit]
            size *= 8
        return None

    def _tokens(self, text: str) -> list[str]:
        return list(self._tokenizer.encode(text).tokens)

    def _settled_tokens(self, text: str, size: int) -> list[str]:
        """The tokens of about the first `size` characters, up to the end of a word; none if that cannot be known."""
        if not (self.separable and self._skips):
            return []
        found = _EDGE.search(text, size, size + _FAR)
        if found is None or found.start() + _CONTEXT > len(text):
            return []
        encoding = self._tokenizer.encode(text[: found.start() + _CONTEXT])
        last = _token_at(encoding, found.start(), len(text))
        return [] if last is None else list(encoding.tokens[:last])

    def _far_tokens(self, text: str, size: int, least: int) -> list[str]:
        """The tokens of the first `size` characters, if there are more characters, and `least` tokens in them."""
        tokens = self._tokens(text[:size]) if size < len(text) else []
        return tokens if len(tokens) >= least else []

    def _text(self, ids: Iterable[int]) -> str:
        return self._joined([str(self._tokenizer.id_to_token(id)) for id in ids])

    def _joined(self, tokens: Sequence[str]) -> str:
        decoder = self._tokenizer.decoder
        return str(decoder.decode(list(tokens))) if decoder is not None else " ".join(tokens)


def _token_at(encoding: Any, position: int, length: int) -> int | None:
    """The index of the token that starts exactly at a character; None when there is none."""
    if position == length:
        return len(encoding.ids)
    number = encoding.char_to_token(position)
    if number is None or encoding.offsets[number][0] != position:
        return None
    return int(number)


def _all_trusted(spans: Sequence[Span], ends: Sequence[int], start: int, end: int) -> bool:
    first, last = bisect_right(ends, start), bisect_right(ends, max(start, end - 1))
    return all(span.trusted or not span.text for span in spans[first : last + 1])
