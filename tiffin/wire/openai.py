"""What all OpenAI formats share on the wire: errors both ways, and the list of models."""

from __future__ import annotations

from typing import Any

import msgspec

from tiffin.kernel import limits
from tiffin.kernel.errors import (
    Invalid,
    NotFound,
    OverBudget,
    PromptTooLong,
    ProviderError,
    ProviderUnavailable,
    TiffinError,
)

MESSAGE_CHARS_MAX = 2_000  # characters of an upstream's own words that are passed on

_TYPES = {
    "unauthenticated": ("authentication_error", "invalid_api_key"),
    "forbidden": ("permission_error", "forbidden"),
    "not_found": ("invalid_request_error", "not_found"),
    "invalid_request": ("invalid_request_error", None),
    "too_large": ("invalid_request_error", "too_large"),
    "context_length_exceeded": ("invalid_request_error", "context_length_exceeded"),
    "conflict": ("invalid_request_error", "conflict"),
    "over_budget": ("rate_limit_error", "rate_limit_exceeded"),
    "blocked": ("invalid_request_error", "content_filter"),
}


def read_object(body: bytes) -> dict[str, Any]:
    """A request's body; Invalid says why it is none."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except RecursionError as error:
        raise Invalid("The body is nested too deeply.", hint="Send one JSON object.") from error
    except msgspec.DecodeError as error:
        raise Invalid(f"The body is not valid JSON: {error}.", hint="Send one JSON object.") from error
    except UnicodeDecodeError as error:
        raise Invalid("The body is not valid UTF-8.", hint="Send JSON in UTF-8.") from error


def check_model(name: str) -> None:
    if len(name) > limits.MODEL_CHARS_MAX:
        raise Invalid(f"'model' has at most {limits.MODEL_CHARS_MAX} characters.", field="model")


def render_error(error: TiffinError) -> dict[str, Any]:
    """`{"error": {...}}` as OpenAI's clients read it; the hint follows the message."""
    kind, code = _TYPES.get(error.kind, ("server_error", error.kind))
    text = f"{error.message} {error.hint}".strip()
    return {"error": {"message": text, "type": kind, "param": error.field, "code": code}}


def answer_error(status: int, error: dict[str, Any]) -> TiffinError:
    """An upstream's error as ours. Its 401 is our misconfiguration, never the caller's bad key."""
    message = str(error.get("message") or "The model's provider answered with an error.")[:MESSAGE_CHARS_MAX]
    if error.get("type") == "exceed_context_size_error" or error.get("code") == "context_length_exceeded":
        return _too_long(error)
    if status in (400, 422):
        return Invalid(f"The model refused the request: {message}")
    if status == 404:
        return NotFound(f"The provider does not know this model: {message}")
    if status == 429:
        return OverBudget("The model's provider is limiting requests.", hint="Try again in a moment.")
    if status in (502, 503, 504):
        return ProviderUnavailable("The model is not available at the moment.", hint="Try again in a moment.")
    return ProviderError(f"The model's provider failed with status {status}.")


def _too_long(error: dict[str, Any]) -> PromptTooLong:
    prompt, context = error.get("n_prompt_tokens"), error.get("n_ctx")
    counted = f": {prompt} tokens, and the model reads {context}" if prompt and context else ""
    return PromptTooLong(
        f"The prompt is longer than the model's context{counted}.", hint="Shorten it, or use a larger model."
    )


def render_models(models: list[dict[str, Any]]) -> dict[str, Any]:
    """`models` rows need `id` and `created` (seconds); `owned_by` names the provider."""
    data = [{"object": "model", "owned_by": "tiffin"} | row for row in models]
    return {"object": "list", "data": data}


def subject(raw: dict[str, Any]) -> tuple[str, ...]:
    """Whom a request is about, as OpenAI's clients say it: `user`, or `metadata.user_id`."""
    metadata = raw.get("metadata")
    named = raw.get("user") or (metadata.get("user_id") if isinstance(metadata, dict) else None)
    if named is None:
        return ()
    if not isinstance(named, str) or len(named) > limits.SUBJECT_CHARS_MAX:
        raise Invalid(f"'user' is a text of at most {limits.SUBJECT_CHARS_MAX} characters.", field="user")
    return (named.strip(),) if named.strip() else ()
