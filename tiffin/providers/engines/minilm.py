"""Turns the published all-MiniLM-L6-v2 weights into one int8 ONNX file, without torch, always into the same bytes.

Why each step is as it is (cosine to the float model, one text at a time, worst and mean of 85 texts that are
not among the conversion's own):

* Per-tensor int8 weights were measured at cosine 0.90 and are not offered. Weights are int8 per output channel.
* Activations are int8 per tensor, and a few channels are far louder than the rest and eat that range.
  Behind the layer norms each channel is divided by a power of two and the weight's row multiplied by the same, which is
  exact. Behind Gelu, where one channel reaches 25 and most stay below 1, the 32 loudest channels stay in float.
  Neither: 0.969 and 0.989; the first alone: 0.981 and 0.993, as fast; both: 0.992 and 0.997, at 5 % of the speed.
* Seven-bit weights (`reduce_range`): with eight, x86 processors without VNNI add two products in a saturating 16-bit
  register (ONNX Runtime's documentation; we had no such machine), so a text's vector could depend on the processor.
* The word table is int8 per row: 12 MB instead of 47 MB, in the file and in memory (cosine 0.9999 by itself).

Rejected: `MatMulNBits` with 8 bits (cosine 0.999, but two thirds of the speed), unsigned weights (0.6 of it).
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tiffin.providers.engines.staging import file_sha256, staging, sync

LAYERS = 6  # encoder layers of all-MiniLM-L6-v2
HEADS = 12  # attention heads a layer
WIDTH = 384  # numbers in a token's state, and in an embedding
LAYER_NORM_EPSILON = 1e-12  # from the model's config.json
MAX_TOKENS = 256  # tokens, special ones included: sentence_bert_config.json of the published model
OPSET = 20  # ONNX operator set: the first with Gelu
IR_VERSION = 9  # ONNX file format that belongs to opset 20; pinned so that a newer onnx package writes the same bytes
COPIES_ASIDE = 2  # room for the conversion, in sizes of the weights: the float graph (1.0) and the result (0.3)
LOUD_CHANNELS = 32  # Gelu channels of 1,536 a layer kept in float; 16 to 256 were equally close
RECIPE = "minilm-int8-2"  # name of the conversion; a change of any step must change it

_MANIFEST = "model.json"
_CONTRIB = "com.microsoft"

# Texts whose activations decide the channel scales. Any varied handful does: only the rounded power of two is kept.
_CALIBRATION = (
    "The quick brown fox jumps over the lazy dog.",
    "Patients received 5 mg of the study drug twice daily for 12 weeks.",
    "def main(): return {'a': 1}",
    "What is the capital of France?",
    "Serious adverse events must be reported within 24 hours of awareness to the sponsor's safety desk.",
    "https://example.org/a?b=c 2024-01-31 10:15",
    "Der Vertrag endet am 31. Dezember.",
    "Revenue grew 12.5% year over year, while operating costs fell.",
)

Array = npt.NDArray[Any]
Weights = dict[str, Array]

_UNSCALED: Array = np.ones(WIDTH, np.float32)


class ConversionError(Exception):
    """The weights are not those of the model this conversion knows; the message says what differs."""


@dataclass(frozen=True)
class EmbeddingModel:
    """A converted model on disk. `sha256` is that of model.onnx and is what a receipt names."""

    folder: Path
    sha256: str
    source_sha256: str
    dimensions: int
    max_tokens: int


def convert(weights: Path, tokenizer: Path, store: Path) -> EmbeddingModel:
    """Convert once into `store/<digest of the weights>-int8/`; later calls check the files' digests and return.

    The folder appears whole or not at all (written aside, synced, renamed), so a killed conversion is only repeated.
    """
    source_sha256 = file_sha256(weights)
    folder = store / f"{source_sha256}-int8"
    found = open_model(folder)
    if found is not None and found.source_sha256 == source_sha256:
        return found
    if not tokenizer.is_file():
        raise ConversionError(f"there is no tokenizer {tokenizer} to go with the weights")
    _check_room(store, COPIES_ASIDE * weights.stat().st_size)
    with staging(store) as aside:
        made_aside = aside / "model"
        made_aside.mkdir()
        _write_model(weights, tokenizer, made_aside, source_sha256)
        _take_place(made_aside, folder, aside / "stale")
    made = open_model(folder)
    if made is None:
        raise ConversionError(f"the converted model in {folder} does not match its own manifest: is the disk failing?")
    return made


def open_model(folder: Path) -> EmbeddingModel | None:
    """The converted model in `folder`, its digests checked; None if it is absent, damaged or of another recipe."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
        if manifest["recipe"] != RECIPE:
            return None
        for name, digest in manifest["files"].items():
            if file_sha256(folder / name) != digest:
                return None
        return EmbeddingModel(
            folder,
            manifest["files"]["model.onnx"],
            manifest["source_sha256"],
            manifest["dimensions"],
            manifest["max_tokens"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_model(weights_path: Path, tokenizer: Path, folder: Path, source_sha256: str) -> None:
    import onnx
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        weights = load_file(weights_path)
    except SafetensorError as error:
        raise ConversionError(f"{weights_path} is not a readable safetensors file: {error}") from error
    _check_shapes(weights)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    graph = folder / "float.onnx"
    onnx.save(build_graph(weights, smoothing=_smoothing(weights, tokenizer)), graph)
    quantise(graph, folder / "model.onnx")
    graph.unlink()
    manifest = {
        "recipe": RECIPE,
        "source_sha256": source_sha256,
        "dimensions": WIDTH,
        "max_tokens": MAX_TOKENS,
        "files": {name: file_sha256(folder / name) for name in ("model.onnx", "tokenizer.json")},
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
    for path in (*folder.iterdir(), folder):
        sync(path)


def _take_place(made: Path, folder: Path, stale: Path) -> None:
    """Rename `made` to `folder`. A good model that another process put there first stays; a damaged one goes."""
    if folder.exists() and open_model(folder) is None:
        os.replace(folder, stale)
    try:
        os.rename(made, folder)
    except OSError:
        if open_model(folder) is None:
            raise
    sync(folder.parent)


def _check_room(store: Path, needed: int) -> None:
    """Before the work: on a full disk the converter writes half a file and says nothing."""
    store.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(store).free
    if free < needed:
        raise ConversionError(f"the disk has {free >> 20} MB free, and the conversion needs {needed >> 20} MB")


def _check_shapes(weights: Weights) -> None:
    expected = {"embeddings.position_embeddings.weight": (512, WIDTH), "embeddings.LayerNorm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        expected |= {f"{prefix}attention.self.{name}.weight": (WIDTH, WIDTH) for name in ("query", "key", "value")}
        expected[f"{prefix}intermediate.dense.weight"] = (4 * WIDTH, WIDTH)
        expected[f"{prefix}output.dense.weight"] = (WIDTH, 4 * WIDTH)
    for name, shape in expected.items():
        if name not in weights:
            raise ConversionError(f"the weights have no tensor {name}: they are not all-MiniLM-L6-v2")
        if weights[name].shape != shape:
            raise ConversionError(f"tensor {name} has shape {weights[name].shape}, all-MiniLM-L6-v2 has {shape}")


def quantise(source: Path, target: Path) -> None:
    """Dynamic int8: weights per channel in seven bits, activations per call (see the module's docstring)."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=True,
        nodes_to_exclude=[f"layer{layer}.loud" for layer in range(LAYERS)],
        weight_type=QuantType.QInt8,
        extra_options={
            "DefaultTensorType": TensorProto.FLOAT
        },  # shape inference does not know the fused attention operator
    )


@dataclass
class _Graph:
    """Collects ONNX nodes and constants; every method returns the name of what it added."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, name: str, value: Array) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def linear(self, state: str, weight: Array, bias: Array, output: str) -> str:
        product = self.add("MatMul", [state, self.constant(f"{output}.weight", weight.T)], f"{output}.product")
        return self.add("Add", [product, self.constant(f"{output}.bias", bias)], output)

    def split(self, state: str, sizes: tuple[int, int], output: str) -> list[str]:
        from onnx import helper

        parts = [f"{output}.{number}" for number in range(len(sizes))]
        inputs = [state, self.constant(f"{output}.sizes", np.array(sizes, np.int64))]
        self.nodes.append(helper.make_node("Split", inputs, parts, name=output, axis=-1))
        return parts

    def layer_norm(self, state: str, weights: Weights, prefix: str, output: str) -> str:
        gain = self.constant(f"{output}.gain", weights[f"{prefix}.weight"])
        bias = self.constant(f"{output}.bias", weights[f"{prefix}.bias"])
        return self.add("LayerNormalization", [state, gain, bias], output, axis=-1, epsilon=LAYER_NORM_EPSILON)


def build_graph(weights: Weights, *, smoothing: Weights | None = None, int8_words: bool = True) -> Any:
    """The whole sentence encoder: token ids and mask in, mean-pooled and L2-normalised [batch, 384] float32 out.

    Without `smoothing` and with `int8_words=False` it is the float reference.
    """
    from onnx import TensorProto, helper

    graph = _Graph()
    state = _add_embedding(graph, weights, int8_words=int8_words)
    graph.add("Cast", ["attention_mask"], "mask_int32", to=TensorProto.INT32)
    for layer in range(LAYERS):
        state = _add_layer(graph, weights, layer, state, smoothing or {})
    _add_pooling(graph, state)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", WIDTH])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, [output], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(_CONTRIB, 1)],
        ir_version=IR_VERSION,
        producer_name="tiffin",
    )
    # The quantiser's preparation pass has nothing to do on this graph; without the mark it configures root logging.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    return model


def _add_embedding(graph: _Graph, weights: Weights, *, int8_words: bool) -> str:
    from onnx import TensorProto

    words = weights["embeddings.word_embeddings.weight"]
    if int8_words:
        scale = np.maximum(np.abs(words).max(axis=1, keepdims=True) / 127, np.finfo(np.float32).tiny)
        table = graph.constant("words.int8", np.rint(words / scale).astype(np.int8))
        rows = graph.add(
            "Cast", [graph.add("Gather", [table, "input_ids"], "words.rows")], "words.float", to=TensorProto.FLOAT
        )
        scales = graph.add("Gather", [graph.constant("words.scale", scale), "input_ids"], "words.scales")
        state = graph.add("Mul", [rows, scales], "words")
    else:
        state = graph.add("Gather", [graph.constant("words.float", words), "input_ids"], "words")
    # Every text is one segment, so the segment's vector is part of the position's, and no third input is needed.
    segment = weights["embeddings.token_type_embeddings.weight"][0]
    positions = graph.constant("positions.all", weights["embeddings.position_embeddings.weight"] + segment)
    zero, one, two = (graph.constant(f"index.{n}", np.array([n], np.int64)) for n in (0, 1, 2))
    tokens = graph.add("Slice", [graph.add("Shape", ["input_ids"], "shape"), one, two], "tokens")
    position = graph.add("Slice", [positions, zero, tokens, zero], "positions")
    total = graph.add("Add", [state, position], "embedded")
    return graph.layer_norm(total, weights, "embeddings.LayerNorm", "state")


def _add_layer(graph: _Graph, weights: Weights, layer: int, state: str, smoothing: Weights) -> str:
    prefix, name = f"encoder.layer.{layer}.", f"layer{layer}"
    attended = _add_attention(graph, weights, layer, state, smoothing)
    total = graph.add("Add", [attended, state], f"{name}.residual1")
    middle = graph.layer_norm(total, weights, f"{prefix}attention.output.LayerNorm", f"{name}.middle")
    narrow = _add_feed_forward(graph, weights, layer, middle, smoothing)
    total = graph.add("Add", [narrow, middle], f"{name}.residual2")
    return graph.layer_norm(total, weights, f"{prefix}output.LayerNorm", f"{name}.state")


def _add_feed_forward(graph: _Graph, weights: Weights, layer: int, state: str, smoothing: Weights) -> str:
    """Up, Gelu, down; the loud channels of Gelu's output go down in float, so that the quiet ones keep their range."""
    name, prefix = f"layer{layer}", f"encoder.layer.{layer}."
    up, down = weights[f"{prefix}intermediate.dense.weight"], weights[f"{prefix}output.dense.weight"]
    scale = smoothing.get(f"{name}.up", _UNSCALED)
    order, loud = smoothing.get(f"{name}.down", np.arange(len(up))), LOUD_CHANNELS if smoothing else 0
    quiet, last = order[: len(up) - loud], order[len(up) - loud :]
    scaled = _divide(graph, state, scale, f"{name}.up_in")
    bias = weights[f"{prefix}intermediate.dense.bias"][order]
    wide = graph.add("Gelu", [graph.linear(scaled, (up * scale)[order], bias, f"{name}.up")], f"{name}.gelu")
    if not loud:
        return graph.linear(wide, down[:, quiet], weights[f"{prefix}output.dense.bias"], f"{name}.down")
    wide, above = graph.split(wide, (len(quiet), len(last)), f"{name}.wide")
    narrow = graph.linear(wide, down[:, quiet], weights[f"{prefix}output.dense.bias"], f"{name}.down")
    beside = graph.constant(f"{name}.loud.weight", down[:, last].T)
    return graph.add("Add", [narrow, graph.add("MatMul", [above, beside], f"{name}.loud")], f"{name}.narrow")


def _add_attention(graph: _Graph, weights: Weights, layer: int, state: str, smoothing: Weights) -> str:
    name, attention = f"layer{layer}", f"encoder.layer.{layer}.attention"
    scale_in = smoothing.get(f"{name}.in", _UNSCALED)
    scale_context = smoothing.get(f"{name}.context", _UNSCALED)
    scaled = _divide(graph, state, scale_in, f"{name}.in")
    projected = []
    for part in ("query", "key", "value"):
        weight, bias = weights[f"{attention}.self.{part}.weight"] * scale_in, weights[f"{attention}.self.{part}.bias"]
        if part == "value":  # free: the division passes through the attention's average into the output's weight
            weight, bias = weight / scale_context[:, None], bias / scale_context
        projected.append(graph.linear(scaled, weight, bias, f"{name}.{part}"))
    context = graph.add(
        "MultiHeadAttention", [*projected, "", "mask_int32"], f"{name}.context", domain=_CONTRIB, num_heads=HEADS
    )
    weight = weights[f"{attention}.output.dense.weight"] * scale_context
    return graph.linear(context, weight, weights[f"{attention}.output.dense.bias"], f"{name}.attended")


def _divide(graph: _Graph, state: str, scale: Array, name: str) -> str:
    if scale is _UNSCALED:
        return state
    return graph.add("Mul", [state, graph.constant(f"{name}.scale", 1 / scale)], f"{name}.scaled")


def _add_pooling(graph: _Graph, state: str) -> None:
    """Sum over real tokens, then L2, which undoes the mean's division by their count: so it is left out."""
    from onnx import TensorProto

    mask = graph.add("Cast", ["attention_mask"], "mask_float", to=TensorProto.FLOAT)
    mask = graph.add("Unsqueeze", [mask, "index.2"], "mask_column")
    total = graph.add("ReduceSum", [graph.add("Mul", [state, mask], "masked"), "index.1"], "total", keepdims=0)
    graph.add("LpNormalization", [total], "embedding", axis=1, p=2)


def _smoothing(weights: Weights, tokenizer_path: Path) -> Weights:
    """What the graph does about loud channels: powers of two at three places a layer, and Gelu's channels by loudness.

    Computed in float64, so that no BLAS's rounding can tip one of them and change the file's digest.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    tokenizer.no_padding()
    wide = {name: tensor.astype(np.float64) for name, tensor in weights.items() if tensor.dtype == np.float32}
    peaks: Weights = {}
    for text in _CALIBRATION:
        _observe(wide, tokenizer.encode(text).ids, peaks)
    readers = {
        "in": [f"attention.self.{part}.weight" for part in ("query", "key", "value")],
        "context": ["attention.output.dense.weight"],
        "up": ["intermediate.dense.weight"],
    }
    scales = {}
    for site, peak in peaks.items():
        layer, place = site.removeprefix("layer").split(".")
        if place == "down":
            scales[site] = np.argsort(peak, kind="stable")
            continue
        columns = [np.abs(wide[f"encoder.layer.{layer}.{name}"]).max(axis=0) for name in readers[place]]
        ratio = np.sqrt(np.maximum(peak, 1e-4) / np.maximum(np.max(columns, axis=0), 1e-4))
        centred = np.log2(ratio) - np.log2(ratio).mean()
        scales[site] = np.exp2(np.rint(centred)).astype(np.float32)
    return scales


def _observe(weights: Weights, ids: list[int], peaks: Weights) -> None:
    """Run one text through the encoder in numpy and raise `peaks` to the largest magnitude of every channel."""

    def linear(state: Array, name: str) -> Array:
        product: Array = state @ weights[f"{name}.weight"].T
        return product + weights[f"{name}.bias"]

    def layer_norm(state: Array, name: str) -> Array:
        centred = state - state.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + LAYER_NORM_EPSILON)
        normal: Array = centred / spread
        return normal * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def see(site: str, state: Array) -> None:
        peaks[site] = np.maximum(peaks.get(site, 0.0), np.abs(state).max(axis=0))

    words = weights["embeddings.word_embeddings.weight"][ids]
    position = weights["embeddings.position_embeddings.weight"][: len(ids)]
    segment = weights["embeddings.token_type_embeddings.weight"][0]
    state = layer_norm(words + position + segment, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        see(f"layer{layer}.in", state)
        query, key, value = (
            linear(state, f"{prefix}attention.self.{part}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(WIDTH // HEADS)
        chances = np.exp(scores - scores.max(-1, keepdims=True))
        chances /= chances.sum(-1, keepdims=True)
        context = (chances @ value).transpose(1, 0, 2).reshape(len(ids), WIDTH)
        see(f"layer{layer}.context", context)
        middle = layer_norm(
            state + linear(context, f"{prefix}attention.output.dense"), f"{prefix}attention.output.LayerNorm"
        )
        see(f"layer{layer}.up", middle)
        wide = _gelu(linear(middle, f"{prefix}intermediate.dense"))
        see(f"layer{layer}.down", wide)
        state = layer_norm(middle + linear(wide, f"{prefix}output.dense"), f"{prefix}output.LayerNorm")


def _gelu(x: Array) -> Array:
    """Exact Gelu, with erf from the standard library: only a few thousand values pass here."""
    from math import erf

    gate: Array = 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))
    return x * gate
