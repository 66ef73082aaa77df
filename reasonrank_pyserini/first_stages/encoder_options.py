"""EncoderOptions: which dense encoder, and how texts are given to it."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """Which encoder, and how texts reach it; None means the encoder's own.

    `model`: a folder or a hub name. `kind`: a name of `encoders.KINDS`, `module:attribute`, or found from the model.
    Prefixes are put before the text as they are (`"query: "` with its space); "" switches a model's own
    prompt off. `max_length` is in tokens. `normalise` scales vectors to length 1 whatever the encoder does.
    `pooling` (cls or mean) is for the kind auto. `query_model`: where queries have their own model (DPR).
    """

    model: str
    kind: str | None = None
    query_model: str | None = None
    revision: str | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None
    max_length: int | None = None
    normalise: bool = False
    pooling: str | None = None
    device: str | None = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.max_length is not None and self.max_length < 1:
            raise InputError(f"max length is {self.max_length}: give at least 1 token")
        if self.pooling not in (None, "cls", "mean"):
            raise InputError(f"unknown pooling {self.pooling!r}: cls or mean")
        if self.batch_size < 1:
            raise InputError(f"batch size is {self.batch_size}: give at least 1")
