"""HTTP statuses of the kernel's errors: one table, and complete (a test holds it)."""

from __future__ import annotations

from tiffin.kernel.errors import JournalUnavailable, PlatformError, TiffinError

STATUS = {
    "error": 500,
    "invalid_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "too_large": 413,
    "context_length_exceeded": 400,
    "conflict": 409,
    "over_budget": 429,
    "blocked": 400,
    "provider_error": 502,
    "provider_unavailable": 503,
    "provider_timeout": 504,
    "truncated": 502,
    "internal_error": 500,
    "journal_unavailable": 503,
}
RETRY_SOON_S = 2  # seconds; an engine is restarted within this


def status_of(error: TiffinError) -> int:
    """Our own failures that pass by themselves (a full disk, a busy database) are not a 500."""
    if isinstance(error, PlatformError) and error.retryable:
        return 503
    return STATUS[error.kind]


def headers_of(error: TiffinError) -> dict[str, str]:
    headers = {"tiffin-receipt": error.receipt} if error.receipt else {}
    if error.kind == "unauthenticated":
        headers["www-authenticate"] = "Bearer"
    if status_of(error) in (429, 503):
        headers["retry-after"] = str(
            JournalUnavailable.retry_after_s if isinstance(error, PlatformError) else RETRY_SOON_S
        )
    return headers
