"""Constrained answers: which tokens may come next so that the answer is a permutation.

No tensors and no engine here. A `Grammar` reads characters, a `Vocabulary` turns its states into token ids, a
`Guide` follows one completion; the engines only mask the tokens that the guide does not allow. A vLLM server reads this
file by itself (`engines/vllm/on_server`), perhaps with an older Python: it imports the standard library alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from typing import Self

    from ..types import Permutation

REASONED, OPEN, CLOSE = "</think>", "<answer>", "</answer>"
_START = tuple(f"{space}[" for space in ("", " ", "\n"))
_BETWEEN = (" > [",)
_END = tuple(f"{space}{CLOSE}" for space in ("", " ", "\n"))
ALPHABET = frozenset("0123456789 \n" + "".join((*_BETWEEN, "]", CLOSE)))
"""Every character that an answer can contain."""


class State(NamedTuple):
    """A position in an answer: in fixed text (`rests`: its possible remainders) or inside brackets (`digits`).

    `left` has bit i set until identifier i is written; `more` identifiers are still to come.
    """

    rests: tuple[str, ...]
    digits: str | None
    left: int
    more: int

    @property
    def done(self) -> bool:
        """Whether the answer is complete."""
        return not self.rests and self.digits is None

    @property
    def expected(self) -> str:
        """A superset of the characters that may come next."""
        return "0123456789]" if self.digits is not None else "".join(rest[0] for rest in self.rests)


class Grammar:
    """The answers `[2] > [1] > [3]`: `count` of the identifiers 1 to `passages`, none of them twice.

    `tagged` answers end with `</answer>`; one space or line break may precede the first identifier and that tag.
    Every state that `step` returns can be completed.
    """

    def __init__(self, passages: int, count: int | None = None, *, tagged: bool = True) -> None:
        """ValueError unless 1 <= count <= passages."""
        self.passages, self.count = passages, passages if count is None else count
        if not 1 <= self.count <= passages:
            raise ValueError(f"{self.count} of {passages} passages cannot be named")
        self._end = _END if tagged else ()
        self._beginning: dict[str, int] = {}
        for number in range(1, passages + 1):
            for length in range(1, len(str(number)) + 1):
                stem = str(number)[:length]
                self._beginning[stem] = self._beginning.get(stem, 0) | 1 << number
        self.start = State(_START, None, (1 << passages + 1) - 2, self.count)

    def step(self, state: State, character: str) -> State | None:
        """The state after one more character; None when no answer continues like that."""
        if state.digits is None:
            rests = tuple([rest[1:] for rest in state.rests if rest[0] == character])
            if not rests or rests[0]:
                return State(rests, None, state.left, state.more) if rests else None
            return State((), "" if state.more else None, state.left, state.more)
        if character == "]":
            bit = 1 << int(state.digits or 0)
            if not state.left & bit:
                return None
            more = state.more - 1
            return State(_BETWEEN if more else self._end, None, state.left ^ bit, more)
        digits = state.digits + character
        going_on = self._beginning.get(digits, 0) & state.left
        return State((), digits, state.left, state.more) if going_on else None

    def read(self, text: str, state: State | None = None) -> State | None:
        """The state after `text`, from `state` or the start; None when no answer begins like that."""
        state = self.start if state is None else state
        for character in text:
            following = self.step(state, character)
            if following is None:
                return None
            state = following
        return state

    @property
    def longest(self) -> int:
        """Characters of the longest answer, an upper bound on its tokens."""
        names = sum(len(str(number)) for number in range(self.passages - self.count + 1, self.passages + 1))
        fixed = len(_START[-1]) + (self.count - 1) * len(_BETWEEN[0]) + self.count
        return names + fixed + (len(self._end[-1]) if self._end else 0)


@lru_cache(maxsize=256)
def grammar(passages: int, count: int, tagged: bool) -> Grammar:
    """The grammar, made once."""
    return Grammar(passages, count, tagged=tagged)


def answer_regex(asked: Permutation) -> str | None:
    """A regular expression of the answer's form and number of identifiers, for servers that enforce only that.

    It does not rule out repeated identifiers. None for an answer that has begun already, or that comes later.
    """
    if asked.written != "":
        return None
    name = r"\[(" + "|".join(map(str, range(1, asked.passages + 1))) + r")\]"
    more = f"( > {name}){{{asked.count - 1}}}" if asked.count > 1 else ""
    return f" ?{name}{more}" + (f" ?{CLOSE}" if asked.answer == "tagged" else "")


class Vocabulary:
    """The tokens of a tokenizer as text, to find those that may follow a state, however it merges characters.

    `texts` has every token's text by id; tokens without a text of their own may be left out. `covers`: every
    character of an answer is also a token, so every state has a next token.
    """

    def __init__(self, texts: Mapping[int, str]) -> None:
        self.texts = texts
        self._trie: dict[str, Any] = {}
        for id, text in texts.items():
            if text and ALPHABET.issuperset(text):
                node = self._trie
                for character in text:
                    node = node.setdefault(character, {})
                node.setdefault("", []).append(id)
        self.covers = all("" in self._trie.get(character, ()) for character in ALPHABET)

    def allowed(self, rules: Grammar, state: State) -> list[int]:
        """The ids of the tokens that may come next; empty once the answer is complete."""
        found: list[int] = []
        pending = [(self._trie, state)]
        while pending:
            node, at = pending.pop()
            for character in at.expected:
                deeper = node.get(character)
                if deeper is not None and (following := rules.step(at, character)) is not None:
                    found += deeper.get("", ())
                    pending.append((deeper, following))
        return found


class Guide:
    """Follows one completion and gives the tokens that may come next; `seen` counts the tokens followed so far.

    If the permutation's `written` is None, anything is allowed until `</think>` and then `<answer>` have been
    written, in whatever tokens. After the answer only `ends` are allowed.
    """

    def __init__(self, vocabulary: Vocabulary, asked: Permutation, ends: Iterable[int]) -> None:
        self._vocabulary, self._ends = vocabulary, list(ends)
        self._rules = grammar(asked.passages, asked.count, asked.answer == "tagged")
        self._state = None if asked.written is None else self._rules.read(asked.written)
        self._waits_for = [OPEN, REASONED] if asked.written is None else []
        self._tail = ""
        self.seen = 0

    def follow(self, ids: Sequence[int]) -> Self:
        """Read the next tokens of the completion."""
        for id in ids:
            self._read(self._vocabulary.texts.get(id, ""))
        self.seen += len(ids)
        return self

    def allowed(self) -> Sequence[int] | None:
        """The ids that may come next; None for any."""
        if self._state is None:
            return None
        if self._state.done:
            return self._ends or None
        return self._vocabulary.allowed(self._rules, self._state) or None

    def _read(self, text: str) -> None:
        if self._state is not None:
            self._state = self._rules.read(text, self._state)
        elif self._waits_for:
            self._tail += text
            while self._waits_for and self._waits_for[-1] in self._tail:
                _, _, self._tail = self._tail.partition(self._waits_for.pop())
            if not self._waits_for:
                self._state = self._rules.read(self._tail)
            self._tail = self._tail[-len(OPEN) :]


def token_texts(tokenizer: Any) -> dict[int, str]:
    """The text of every token of a fast transformers tokenizer, in the middle of a text.

    Understands the byte-level and SentencePiece spellings of space and line break; a token that could be part of
    an answer is kept only if the tokenizer decodes it to the same text.
    """
    texts = {id: _spelled(token) for token, id in tokenizer.get_vocab().items()}
    anchor = tokenizer.encode("a", add_special_tokens=False)[-1]
    before = _decoded(tokenizer, [anchor])
    for id in [id for id, text in texts.items() if text and ALPHABET.issuperset(text)]:
        if _decoded(tokenizer, [anchor, id]) != before + texts[id]:
            del texts[id]
    return texts


def _decoded(tokenizer: Any, ids: Collection[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _spelled(token: str) -> str:
    token = {"<0x0A>": "\n", "<0x20>": " "}.get(token, token)
    return token.replace("Ġ", " ").replace("▁", " ").replace("Ċ", "\n")
