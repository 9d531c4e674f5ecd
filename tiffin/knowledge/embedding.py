"""Texts to vectors by a governed child call, checked before anything is built on them."""

from __future__ import annotations

import numpy as np

from tiffin.kernel.calls import Embed
from tiffin.kernel.errors import ProviderError
from tiffin.kernel.govern import collect
from tiffin.kernel.parts import Embedded
from tiffin.kernel.ports import Context
from tiffin.knowledge.index import Floats
from tiffin.knowledge.library import Library


async def embed(texts: tuple[str, ...], context: Context, library: Library) -> Floats:
    """Unit vectors in the order of the texts. Raises what the call raises, and ProviderError for a wrong answer."""
    events = await collect(context.ask(Embed(library.embed_model, texts)))
    found = [event for event in events if isinstance(event, Embedded)]
    wanted = 4 * len(texts) * library.dimensions
    if len(found) != 1 or found[0].dimensions != library.dimensions or len(found[0].data) != wanted:
        raise ProviderError(
            "The embedding model answered with vectors of another shape than asked for.",
            hint="Check that the model's alias still names the model that the collection was made with.",
        )
    vectors = np.frombuffer(found[0].data, "<f4").reshape(len(texts), library.dimensions)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not norms.all():
        raise ProviderError("The embedding model answered with vectors that are empty or not numbers.")
    return (vectors / norms).astype("<f4")
