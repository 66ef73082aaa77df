"""What a query may cost: a number of calls or of tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InputError

_BUDGET = re.compile(r"\s*(\d{1,12})\s*(calls?|tokens?)?\s*")


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `amount` calls of a query, or `amount` tokens of prompts and answers."""

    amount: int
    tokens: bool = False

    @classmethod
    def read(cls, value: str | int) -> Budget:
        """The budget of 8, `8calls` or `20000tokens`; InputError for anything else."""
        found = _BUDGET.fullmatch(str(value))
        if isinstance(value, bool) or found is None or not int(found[1]):
            raise InputError(
                f"`budget` {value!r} is not a number of calls (8calls) or of tokens (20000tokens)"
            )
        return cls(int(found[1]), (found[2] or "calls").startswith("token"))

    def calls(self, tokens_of_a_call: int) -> int:
        """The calls that it pays for; InputError where it is less than one."""
        count = self.amount // tokens_of_a_call if self.tokens else self.amount
        if count < 1:
            raise InputError(f"`budget` {self} is less than one call may take, {tokens_of_a_call} tokens")
        return count

    def __str__(self) -> str:
        return f"{self.amount}{'tokens' if self.tokens else 'calls'}"
