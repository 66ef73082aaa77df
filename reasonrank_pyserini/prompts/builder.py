"""PromptBuilder: prompts that fit the model's context, from cached pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import InputError, PromptTooLongError
from ..types import Completion, Document, Prompt
from .cache import BoundedCache
from .codec import Codec
from .message_assembly import MessageAssembly
from .message_style import MessageStyle
from .passages import Cutter, TokenCutter, WordCutter
from .pieces import Assembly, Draft, MessagesOnly, PieceAssembly, PlainAssembly
from .preparation import PreparedCutter
from .styles import PromptStyle, get_style
from .template import ChatTemplate
from .texts import Span, replace_lone_surrogates

_PROBE = (
    "a b [1] &lt;b&gt;\ud800 é",
    ("One [2].\n\n", "<i>two</i> &amp; 12\n 3", "", "x  \n\t&lt;y&gt; ，“q”"),
)


@dataclass(frozen=True, slots=True)
class BuiltPrompt:
    """A prompt and what was done to make it fit.

    `tokens` is its length (an estimate without a tokenizer); `shrunk_passages` counts passages cut shorter
    than `passage_tokens`; `neutralised` counts the control strings in query and passages, each time they occur
    in the prompt, that were encoded as plain text.
    """

    prompt: Prompt
    tokens: int
    shrunk_passages: int = 0
    query_shortened: bool = False
    neutralised: int = 0


class PromptBuilder:
    """Builds the prompts of one style for one tokenizer; thread-safe.

    With a tokenizer (transformers, fast, with a chat template) a prompt has ids, text and messages, and no
    text of a query or a passage can become a control id. Pieces are cached up to `cache_bytes`; if tokenizer,
    template or style do not allow pieces (`piecewise` False), each prompt is made from scratch.

    `tokenizer` None is for chat servers with an unknown tokenizer: messages only, passages cut by words (3
    words for 4 tokens, at most 6 characters a token), lengths estimated. The server tokenizes the messages, so
    control strings in them cannot be neutralised here.
    """

    def __init__(
        self,
        style: PromptStyle | MessageStyle | str,
        tokenizer: Any,
        *,
        passage_tokens: int | None = None,
        query_tokens: int | None = None,
        context: int | None = None,
        last_turn_tokens: int | None = None,
        cache_bytes: int = 64 << 20,
    ) -> None:
        """Raises InputError for a tokenizer that is not fast or has no (working) chat template.

        `passage_tokens`: the limit of each passage, by default the style's. `context`: the model's, for prompt
        and answer together; None for no check. `query_tokens`: the limit of the query when the prompt does not
        fit otherwise, by default a quarter of `context`. `last_turn_tokens`: see `MessageAssembly`.
        """
        self.style = get_style(style) if isinstance(style, str) else style
        self.passage_tokens = self.style.passage_tokens if passage_tokens is None else passage_tokens
        if self.passage_tokens < 1:
            raise InputError(f"passage_tokens must be at least 1, not {self.passage_tokens}")
        self.context = context
        self.query_tokens = query_tokens if query_tokens is not None else max(1, (context or 0) // 4)
        self._codec = None if tokenizer is None else _codec(tokenizer, *fingerprint(tokenizer)[1:])
        self._cutter: Cutter
        self._assembly: Assembly
        if isinstance(self.style, MessageStyle):
            self._cutter = PreparedCutter(self.style, self._codec, self.passage_tokens)
            self._assembly = MessageAssembly(self.style, tokenizer, self._codec, last_turn_tokens)
        else:
            cache = BoundedCache(cache_bytes)
            self._cutter, self._assembly = self._cutter_and_assembly(self.style, tokenizer, cache)

    def _cutter_and_assembly(
        self, style: PromptStyle, tokenizer: Any, cache: BoundedCache
    ) -> tuple[Cutter, Assembly]:
        codec = self._codec
        if codec is None:
            return WordCutter(), MessagesOnly(style)
        template = ChatTemplate(tokenizer, style.system)
        cutter = TokenCutter(codec, cache, self.passage_tokens)
        plain = PlainAssembly(style, template, codec)
        if codec.separable and PieceAssembly.allows(style):
            pieces = PieceAssembly(style, template, codec, cache)
            if pieces.draft(*_PROBE) == plain.draft(*_PROBE):
                return cutter, pieces
        return cutter, plain

    @property
    def piecewise(self) -> bool:
        """Whether prompts are put together from cached pieces."""
        return isinstance(self._assembly, PieceAssembly)

    def build(
        self, query: str, documents: Sequence[Document], *, answer_tokens: int, scores: Sequence[float] = ()
    ) -> BuiltPrompt:
        """The prompt of one window, shortened only if it and `answer_tokens` exceed `context`.

        First a query longer than `query_tokens` is cut to that, then all passages are cut to the largest
        common limit that fits. Raises PromptTooLongError if even that is not enough. `scores` of the first stage, one
        for each document, are for styles that show them.
        """
        text = self._cutter.whole_query(query)
        passages = self._passages(documents, self.passage_tokens)
        make = self._drafting(scores)
        draft, shortened, shrunk = make(text, passages), False, 0
        if self._excess(draft, answer_tokens) > 0:
            shorter = self._cutter.query(text, self.query_tokens)
            shortened = shorter != text
            text = shorter
            draft = make(text, passages) if shortened else draft
        if self._excess(draft, answer_tokens) > 0:

            def attempt(limit: int) -> Draft:
                return make(text, self._passages(documents, limit))

            lengths = [self._cutter.length(document, self.passage_tokens) for document in documents]
            guess = _even_limit(lengths, self._excess(draft, answer_tokens))
            limit, draft = self._largest(attempt, guess, answer_tokens)
            shrunk = sum(length > limit for length in lengths)
        return BuiltPrompt(
            prompt=Prompt(draft.ids, draft.text, draft.messages),
            tokens=draft.tokens,
            shrunk_passages=shrunk,
            query_shortened=shortened,
            neutralised=draft.neutralised,
        )

    def continued(self, prompt: Prompt, completion: Completion, closing: str, limit: int) -> Prompt | None:
        """The prompt, followed by what the model wrote and by `closing`; None for a prompt without ids.

        What the model wrote are its generated ids, or else its text with control strings as plain text; at
        most the last `limit` ids are kept.
        """
        if self._codec is None or prompt.token_ids is None:
            return None
        ours = self._codec.encode([Span(closing, True)]).ids
        written = completion.token_ids
        if written is None:
            written = tuple(self._codec.encode([Span(replace_lone_surrogates(completion.text), False)]).ids)
        kept = written[max(0, len(written) - limit) :]
        return Prompt((*prompt.token_ids, *kept, *ours), prompt.text + completion.text + closing)

    def extended(self, prompt: Prompt, written: str, closing: str) -> Prompt | None:
        """The prompt, followed by a text that the model wrote and by `closing`; None for a prompt without ids.

        Where the style is plain text the whole is tokenized as one text, so that a token may span the prompt's end.
        """
        codec, style = self._codec, self.style
        if codec is None or prompt.token_ids is None:
            return None
        if not isinstance(style, MessageStyle) or style.chat:
            return self.continued(prompt, Completion(written), closing, len(written))
        end = style.turns[-1].text.rpartition("}")[2]
        start = prompt.text.removesuffix(end)
        spans = [Span(start, False), Span(prompt.text[len(start) :], True), Span(written, False)]
        ids = codec.encode([*spans, Span(closing, True)]).ids
        return Prompt(codec.surrounded(ids), prompt.text + written + closing)

    def token_ids(self, text: str) -> tuple[int, ...] | None:
        """The ids of a trusted text; None without a tokenizer."""
        return None if self._codec is None else tuple(self._codec.encode([Span(text, True)]).ids)

    def _largest(self, attempt: Callable[[int], Draft], guess: int, answer_tokens: int) -> tuple[int, Draft]:
        """The largest limit below `passage_tokens` whose prompt fits, with that prompt."""
        drafts: dict[int, Draft] = {}

        def fits(limit: int) -> bool:
            if limit not in drafts:
                drafts[limit] = attempt(limit)
            return self._excess(drafts[limit], answer_tokens) <= 0

        low, high, step = 0, self.passage_tokens, 1
        at = min(max(1, guess), high - 1)
        while high - low > 1:
            if fits(at):
                low, at = at, min(at + step, high - 1) if high == self.passage_tokens else (at + high) // 2
            else:
                high, at = at, max(at - step, low + 1) if low == 0 else (low + at) // 2
            step *= 2
        if low == 0:
            tokens = drafts[1].tokens if 1 in drafts else attempt(1).tokens
            raise PromptTooLongError(
                f"the window needs {tokens} tokens with one token a passage and {answer_tokens} for the answer, "
                f"but the context is {self.context}: use a smaller window (`window`), a smaller answer "
                "(`reasoning_tokens`) or a model with a longer context"
            )
        return low, drafts[low]

    def _excess(self, draft: Draft, answer_tokens: int) -> int:
        """By how many tokens prompt and answer exceed the context."""
        return 0 if self.context is None else draft.tokens + answer_tokens - self.context

    def _drafting(self, scores: Sequence[float]) -> Callable[[str, Sequence[str]], Draft]:
        assembly = self._assembly
        if isinstance(assembly, MessageAssembly):
            return lambda text, passages: assembly.draft(text, passages, scores)
        return assembly.draft

    def _passages(self, documents: Sequence[Document], limit: int) -> list[str]:
        return [self._cutter.passage(document, limit) for document in documents]


def _even_limit(lengths: Sequence[int], excess: int) -> int:
    """The largest limit that, applied to all lengths, removes at least `excess` in total."""
    ascending, left = sorted(lengths), sum(lengths) - excess
    for number, length in enumerate(ascending):
        share = left // (len(ascending) - number)
        if length > share:
            return max(0, share)
        left -= length
    return ascending[-1] if ascending else 0


def fingerprint(tokenizer: Any) -> tuple[str, bool, tuple[tuple[str, int], ...]]:
    """The properties of a tokenizer object that may change later: chat template, splitting, added tokens."""
    added: dict[str, int] = getattr(tokenizer, "get_added_vocab", dict)()
    splits = bool(getattr(tokenizer, "split_special_tokens", False))
    return str(getattr(tokenizer, "chat_template", None)), splits, tuple(sorted(added.items()))


@lru_cache(maxsize=4)
def _codec(tokenizer: Any, *_: Any) -> Codec:
    return Codec(tokenizer)
