"""Every error that may reach a caller: whose fault it is, whether to retry, and what may be shown.

    TiffinError
    ├── CallerError            the caller can mend it
    │   ├── Unauthenticated      no key, or a key that is unknown, revoked or expired
    │   ├── Forbidden            the key is good; the access rules say no
    │   ├── NotFound             a model, collection, document, receipt or path that does not exist
    │   ├── Invalid              malformed or contradictory input; names the field
    │   ├── TooLarge             a body or file above a named bound
    │   ├── PromptTooLong        more tokens than the model reads
    │   ├── Conflict             the thing exists already, or changed meanwhile
    │   └── OverBudget           a rate, token or money limit of the key
    ├── Blocked                a guard stopped the input or the output
    ├── ProviderError          a model provider or engine failed
    │   ├── ProviderUnavailable  it could not be reached, or died; safe to retry
    │   ├── ProviderTimeout      it did not answer within a bound
    │   └── Truncated            its stream ended before a finish was seen
    └── PlatformError          our fault
        ├── JournalUnavailable   the ledger cannot take a record; nothing was sent; retry later
        └── Bug                  an unexpected exception; details are in the server's log, not in the answer

`message` and `hint` are written for callers and hold no secret. HTTP statuses and foreign error shapes are the api
ring's business.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Fault = Literal["caller", "guard", "provider", "platform"]


class TiffinError(Exception):
    """`kind` is stable and machine-readable; `receipt` is the id of the one that records this failure, if any."""

    kind: ClassVar[str] = "error"
    fault: ClassVar[Fault] = "platform"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field
        self.receipt: str | None = None


class CallerError(TiffinError):
    kind = "invalid_request"
    fault = "caller"


class Unauthenticated(CallerError):
    kind = "unauthenticated"


class Forbidden(CallerError):
    kind = "forbidden"


class NotFound(CallerError):
    kind = "not_found"


class Invalid(CallerError):
    kind = "invalid_request"


class TooLarge(CallerError):
    kind = "too_large"


class PromptTooLong(CallerError):
    kind = "context_length_exceeded"


class Conflict(CallerError):
    kind = "conflict"


class OverBudget(CallerError):
    kind = "over_budget"
    retryable = True


class Blocked(TiffinError):
    kind = "blocked"
    fault = "guard"


class ProviderError(TiffinError):
    kind = "provider_error"
    fault = "provider"


class ProviderUnavailable(ProviderError):
    kind = "provider_unavailable"
    retryable = True


class ProviderTimeout(ProviderError):
    kind = "provider_timeout"
    retryable = True


class Truncated(ProviderError):
    kind = "truncated"
    retryable = True


class PlatformError(TiffinError):
    kind = "internal_error"


class JournalUnavailable(PlatformError):
    kind = "journal_unavailable"
    retryable = True
    retry_after_s: ClassVar[int] = 5


class Bug(PlatformError):
    kind = "internal_error"


def every_kind(root: type[TiffinError] = TiffinError) -> tuple[type[TiffinError], ...]:
    """All classes of the tree, for tables that must be complete."""
    return (root, *(leaf for child in root.__subclasses__() for leaf in every_kind(child)))
