"""Token budgets of keys: reserve the worst case, settle the truth. Exact under concurrency within one gateway."""

from __future__ import annotations

import asyncio

from tiffin.kernel import limits
from tiffin.kernel.calls import Call, Chat, Embed
from tiffin.kernel.errors import OverBudget
from tiffin.kernel.parts import Usage
from tiffin.kernel.people import Grant
from tiffin.kernel.ports import Hold
from tiffin.store import keys
from tiffin.store.database import Database

CHARS_PER_TOKEN_MIN = 2  # ASCII characters; real text has 3 to 5, so this overestimates the prompt
MESSAGE_TOKENS = 8  # tokens that a chat's template puts around one message


class TokenBudgets:
    """Used tokens live in SQL; what is held lives here and dies with the gateway, whose calls died with it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[str, int] = {}
        self._used: dict[str, int] = {}

    async def reserve(self, grant: Grant, call: Call) -> Hold:
        caller = grant.caller
        if caller.tokens_max is None:
            return Hold(caller.id, 0, bounded=False)
        worst = worst_case(call)
        used = await self._used_by(caller.id)
        taken = used + self._held.get(caller.id, 0)
        if worst and taken + worst > caller.tokens_max:
            raise OverBudget(
                f"This key may use {caller.tokens_max} tokens; {used} are used, and this call could take {worst}.",
                hint="Ask for fewer output tokens, or ask an administrator for a larger budget.",
            )
        self._held[caller.id] = self._held.get(caller.id, 0) + worst
        return Hold(caller.id, worst, bounded=True)

    async def settle(self, hold: Hold, usage: Usage) -> None:
        if not hold.bounded:
            return
        tokens = usage.input_tokens + usage.output_tokens
        self._held[hold.key] -= hold.tokens
        self._used[hold.key] += tokens
        if tokens:
            await asyncio.to_thread(keys.spend, self._database, hold.key, tokens)

    async def _used_by(self, key_id: str) -> int:
        if key_id not in self._used:
            used = await asyncio.to_thread(self._stored, key_id)
            self._used.setdefault(key_id, used)  # another call of this key may have read it meanwhile
        return self._used[key_id]

    def _stored(self, key_id: str) -> int:
        with self._database.read() as connection:
            return next((key.tokens_used for key in keys.listed(connection) if key.id == key_id), 0)


def worst_case(call: Call) -> int:
    """Tokens that a call itself could use; the calls inside it reserve their own."""
    match call:
        case Chat():
            prompt = sum(MESSAGE_TOKENS + _tokens(m.text) for m in call.messages)
            return prompt + (call.sampling.max_tokens or limits.ANSWER_TOKENS_DEFAULT)
        case Embed():
            return sum(_tokens(text) for text in call.texts)
        case _:
            return 0


def _tokens(text: str) -> int:
    """At most so many, but for texts made for it: scripts beyond ASCII may take a token a byte."""
    ascii_chars = len(text.encode("ascii", "ignore"))
    return ascii_chars // CHARS_PER_TOKEN_MIN + 1 + len(text.encode("utf-8", "replace")) - ascii_chars
