"""Random nets: layers with random parameters on random shapes, for property tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import caffelite
from caffelite import Net
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.onnx.dims import shapes_at

Rng = np.random.Generator
Shape = tuple[int, ...]
Draw = Callable[[Rng, Shape], str]


def _pick(rng: Rng, *values: object) -> object:
    return values[int(rng.integers(len(values)))]


def _n(rng: Rng, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def _bool(rng: Rng) -> str:
    return str(bool(rng.integers(2))).lower()


def _window(rng: Rng, shape: Shape, dilation: bool = False) -> str:
    text = f"kernel_h: {_n(rng, 1, 4)} kernel_w: {_n(rng, 1, 4)} "
    text += f"stride_h: {_n(rng, 1, 3)} stride_w: {_n(rng, 1, 3)} "
    text += f"pad_h: {_n(rng, 0, 2)} pad_w: {_n(rng, 0, 2)} "
    return text + (f"dilation: {_n(rng, 1, 2)} " if dilation else "")


def _convolution(rng: Rng, shape: Shape) -> str:
    group = int(_pick(rng, 1, 1, *(g for g in (2, 3) if shape[1] % g == 0)))  # type: ignore[call-overload]
    text = f"num_output: {group * _n(rng, 1, 3)} group: {group} bias_term: {_bool(rng)} "
    if len(shape) != 4:
        return f"convolution_param {{ {text} kernel_size: {_n(rng, 1, 3)} pad: {_n(rng, 0, 1)} }}"
    return f"convolution_param {{ {text} {_window(rng, shape, True)} }}"


def _pooling(rng: Rng, shape: Shape) -> str:
    method = _pick(rng, "MAX", "AVE", "AVE")
    if rng.random() < 0.15:
        return f"pooling_param {{ pool: {method} global_pooling: true }}"
    mode = _pick(rng, "CEIL", "CEIL", "FLOOR")
    return f"pooling_param {{ pool: {method} round_mode: {mode} {_window(rng, shape)} }}"


def _reshape(rng: Rng, shape: Shape) -> str:
    return "reshape_param { shape { dim: 0 dim: -1 dim: 1 } }"


def _permute(rng: Rng, shape: Shape) -> str:
    order = [0, *(1 + rng.permutation(len(shape) - 1))]
    return "permute_param { " + " ".join(f"order: {i}" for i in order) + " }"


def _interp(rng: Rng, shape: Shape) -> str:
    if rng.random() < 0.5:
        return f"interp_param {{ height: {_n(rng, 1, 9)} width: {_n(rng, 1, 9)} }}"
    return f"interp_param {{ zoom_factor: {_n(rng, 1, 3)} shrink_factor: {_n(rng, 1, 2)} }}"


def _prelu(rng: Rng, shape: Shape) -> str:
    return f"prelu_param {{ channel_shared: {_bool(rng)} }}"


def _axis(rng: Rng, shape: Shape) -> int:
    axis = _n(rng, 1, len(shape) - 1)
    return axis - len(shape) if rng.random() < 0.3 else axis


DRAWS: dict[str, tuple[int, Draw]] = {
    # type: (axes that the bottom must have; 0: any from 2), its parameters
    "Convolution": (0, _convolution),
    "Deconvolution": (4, _convolution),
    "Pooling": (4, _pooling),
    "LRN": (
        4,
        lambda r, s: (
            f"lrn_param {{ local_size: {2 * _n(r, 0, 3) + 1} alpha: {r.uniform(0.1, 2):g} "
            f"beta: {r.uniform(0.3, 1):g} k: {r.uniform(1, 2):g} "
            f"norm_region: {_pick(r, 'WITHIN_CHANNEL', 'ACROSS_CHANNELS')} }}"
        ),
    ),
    "InnerProduct": (
        0,
        lambda r, s: (
            f"inner_product_param {{ num_output: {_n(r, 1, 6)} axis: {_axis(r, s)} "
            f"bias_term: {_bool(r)} transpose: {_bool(r)} }}"
        ),
    ),
    "BatchNorm": (0, lambda r, s: f"batch_norm_param {{ eps: {r.uniform(1e-5, 1e-2):g} }}"),
    "Scale": (0, lambda r, s: f"scale_param {{ bias_term: {_bool(r)} axis: {_axis(r, s)} }}"),
    "Bias": (0, lambda r, s: f"bias_param {{ axis: {_axis(r, s)} }}"),
    "ReLU": (0, lambda r, s: f"relu_param {{ negative_slope: {_pick(r, 0, 0, 0.1, -0.3)} }}"),
    "PReLU": (0, _prelu),
    "ELU": (0, lambda r, s: f"elu_param {{ alpha: {r.uniform(-0.5, 1.5):g} }}"),
    "Sigmoid": (0, lambda r, s: ""),
    "TanH": (0, lambda r, s: ""),
    "AbsVal": (0, lambda r, s: ""),
    "BNLL": (0, lambda r, s: ""),
    "ReLU6": (0, lambda r, s: ""),
    "Swish": (0, lambda r, s: f"swish_param {{ beta: {r.uniform(-1, 2):g} }}"),
    "Clip": (0, lambda r, s: "clip_param { min: -0.7 max: 1.2 }"),
    "Dropout": (0, lambda r, s: ""),
    "Power": (
        0,
        lambda r, s: (
            f"power_param {{ power: {_pick(r, 0, 1, 1, 2, 3)} scale: {r.uniform(-1, 1):g} "
            f"shift: {r.uniform(-1, 1):g} }}"
        ),
    ),
    "Exp": (
        0,
        lambda r, s: f"exp_param {{ base: {_pick(r, -1, 2)} scale: 0.2 shift: {_pick(r, 0, 1)} }}",
    ),
    "Softmax": (0, lambda r, s: f"softmax_param {{ axis: {_axis(r, s)} }}"),
    "Flatten": (0, lambda r, s: f"flatten_param {{ axis: {_axis(r, s)} }}"),
    "Reshape": (0, _reshape),
    "Permute": (0, _permute),
    "Tile": (0, lambda r, s: f"tile_param {{ axis: {_axis(r, s)} tiles: {_n(r, 1, 3)} }}"),
    "Reduction": (
        0,
        lambda r, s: (
            f"reduction_param {{ operation: {_pick(r, 'SUM', 'ASUM', 'SUMSQ', 'MEAN')} "
            f"axis: {_axis(r, s)} coeff: {_pick(r, 1, 0.5)} }}"
        ),
    ),
    "MVN": (
        0,
        lambda r, s: (
            f"mvn_param {{ normalize_variance: {_bool(r)} across_channels: {_bool(r)} eps: 0.01 }}"
        ),
    ),
    "Normalize": (
        0,
        lambda r, s: (
            f"norm_param {{ across_spatial: {_bool(r)} channel_shared: {_bool(r)} eps: 0.01 }}"
        ),
    ),
    "Interp": (4, _interp),
    "Upsample": (4, lambda r, s: f"upsample_param {{ scale: {_n(r, 1, 3)} }}"),
    "ShuffleChannel": (
        0,
        lambda r, s: (
            "shuffle_channel_param { group: "
            f"{_pick(r, *(g for g in (1, 2, 3) if s[1] % g == 0))} }}"
        ),
    ),
    "Im2col": (4, lambda r, s: f"convolution_param {{ {_window(r, s, True)} }}"),
    "SPP": (
        4,
        lambda r, s: (
            f"spp_param {{ pyramid_height: {_n(r, 1, 2)} pool: {_pick(r, 'MAX', 'AVE')} }}"
        ),
    ),
}
WINDOWED = ("Convolution", "Deconvolution", "Pooling", "Pooling", "LRN", "Interp", "SPP", "Im2col")
IN_PLACE = ("ReLU", "Sigmoid", "TanH", "BatchNorm", "Scale", "Dropout", "PReLU", "Bias", "ELU")
SEVERAL = ("Eltwise", "Concat", "Slice", "Crop")
MOST = 3000
"""Values a blob may have."""


class _Builder:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        rank = int(_pick(self.rng, 4, 4, 4, 3, 2))  # type: ignore[call-overload]
        dims = [int(_pick(self.rng, 1, 2)), *self.rng.integers(1, 10, rank - 1)]  # type: ignore[call-overload]
        shape = " ".join(f"dim: {n}" for n in dims)
        self.layers = [
            f'layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ {shape} }} }} }}'
        ]
        self.shapes: dict[str, Shape] = {"x": tuple(int(n) for n in dims)}

    def grow(self) -> None:
        """Add a layer, if what was drawn is accepted."""
        rng, k = self.rng, len(self.layers)
        blobs = list(self.shapes)
        bottom = blobs[-1] if rng.random() < 0.6 else blobs[int(rng.integers(len(blobs)))]
        shape = self.shapes[bottom]
        if len(shape) < 2:
            return
        if rng.random() < 0.2:
            self._several(str(_pick(rng, *SEVERAL)), bottom, f"b{k}", k)
            return
        wide = len(shape) == 4 and rng.random() < 0.5
        kind = str(_pick(rng, *(WINDOWED if wide else DRAWS)))
        rank, draw = DRAWS[kind]
        if rank and len(shape) != rank:
            return
        top = bottom if kind in IN_PLACE and rng.random() < 0.5 else f"b{k}"
        self._add(
            f'layer {{ name: "l{k}" type: "{kind}" bottom: "{bottom}" top: "{top}" '
            f"{draw(rng, shape)} }}"
        )

    def _several(self, kind: str, bottom: str, top: str, k: int) -> None:
        rng, shape = self.rng, self.shapes[bottom]
        head = f'layer {{ name: "l{k}" type: "{kind}" bottom: "{bottom}" '
        same = [b for b, s in self.shapes.items() if s == shape]
        other = str(_pick(rng, *same))
        if kind == "Eltwise":
            operation = _pick(rng, "SUM", "PROD", "MAX")
            coeff = "coeff: 0.5 coeff: -1" if operation == "SUM" and rng.random() < 0.5 else ""
            text = (
                f'bottom: "{other}" top: "{top}" eltwise_param {{ operation: {operation} {coeff} }}'
            )
        elif kind == "Concat":
            text = f'bottom: "{other}" top: "{top}" concat_param {{ axis: {_axis(rng, shape)} }}'
        elif kind == "Slice":
            axis = _n(rng, 1, len(shape) - 1)
            if shape[axis] < 2:
                return
            point = _n(rng, 1, shape[axis] - 1)
            text = f'top: "{top}" top: "{top}b" slice_param {{ axis: {axis} slice_point: {point} }}'
        else:
            text = f'bottom: "{_pick(rng, *self.shapes)}" top: "{top}" crop_param {{ axis: 2 }}'
        self._add(f"{head} {text} }}")

    def _add(self, layer: str) -> None:
        try:
            net = parse_net("\n".join([*self.layers, layer]))
            found = _shapes(net)
        except CaffeliteError:
            return
        if max(int(np.prod(s)) for s in found.values()) > MOST:
            return
        self.layers.append(layer)
        self.shapes = found


def _shapes(param: object) -> dict[str, Shape]:
    net = Net(param, caffelite.TEST, seed=0)  # type: ignore[arg-type]
    context = net.layers[0].context
    found = {}
    for layer, (_, tops) in zip(net.layers, shapes_at(net.layers, context, {})):
        found.update(zip(layer.spec.top, tops))
    return found


def random_net(seed: int, layers: int = 8) -> Net:
    """A net of up to so many layers, with random parameters."""
    builder = _Builder(seed)
    for _ in range(2 * layers):
        if len(builder.layers) > layers:
            break
        builder.grow()
    net = Net(parse_net("\n".join(builder.layers)), caffelite.TEST, seed=seed)
    fill(net, builder.rng)
    return net


def fill(net: Net, rng: Rng) -> None:
    """Random parameters; statistics that do not blow up."""
    for layer in net.layers:
        for i, blob in enumerate(layer.params):
            if layer.spec.type == "BatchNorm":
                low, high = ((-0.5, 0.5), (0.5, 1.5), (1, 2))[i]
                blob.data[...] = rng.uniform(low, high, blob.shape)
            else:
                blob.data[...] = rng.normal(0, 0.5, blob.shape)
