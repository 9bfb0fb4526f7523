"""Random nets: what a net computes does not depend on how its text names the blobs.

Each net is written twice. Once every blob has a name of its own and a Split stands before every
blob that several layers read. Once layers write into the names they read wherever the text may, and
nothing is split. Losses and gradients must be the same, pass after pass, and must be the slopes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from caffelite import TRAIN, Net
from caffelite.errors import NetError, Source
from caffelite.gradcheck import check
from caffelite.schema.bind import bind
from caffelite.schema.net import NetParameter
from caffelite.text import parse

Rng = np.random.Generator
N, CLASSES = 3, 2

# Layers with one bottom and one top of its shape; some may overwrite their bottom, some may not.
UNARY = (
    'type: "ReLU"',
    'type: "ReLU" relu_param { negative_slope: 0.25 }',
    'type: "ReLU" relu_param { negative_slope: -0.5 }',
    'type: "ELU" elu_param { alpha: 0.5 }',
    'type: "ELU" elu_param { alpha: -0.5 }',
    'type: "PReLU"',
    'type: "TanH"',
    'type: "Sigmoid"',
    'type: "Swish"',
    'type: "BNLL"',
    'type: "AbsVal"',
    'type: "Dropout" dropout_param { dropout_ratio: 0.3 }',
    'type: "Power" power_param { scale: 0.75 shift: 0.5 }',
    'type: "Power" power_param { power: 2 scale: 0.5 shift: -0.25 }',
    'type: "Exp" exp_param { base: 2 scale: 0.25 }',
    'type: "BatchNorm" batch_norm_param { eps: 0.5 }',
    'type: "Scale" scale_param { bias_term: true bias_filler { type: "gaussian" } }',
    'type: "Bias" bias_param { filler { type: "gaussian" } }',
    'type: "Softmax"',
    'type: "Flatten"',
    'type: "Split"',
)
# Layers with several bottoms and one top of their shape.
SEVERAL = (
    'type: "Eltwise"',
    'type: "Eltwise" eltwise_param { operation: PROD }',
    'type: "Eltwise" eltwise_param { operation: MAX }',
    'type: "Scale" scale_param { axis: 0 }',
    'type: "Bias" bias_param { axis: 0 }',
)


@dataclass
class Step:
    """A layer whose blobs all have names of their own."""

    text: str
    bottoms: list[str] = field(default_factory=list)
    tops: list[str] = field(default_factory=list)


class Growing:
    """A net that grows layer by layer, at random."""

    def __init__(self, rng: Rng, cut: bool) -> None:
        self.rng, self.cut = rng, cut
        self.steps: list[Step] = []
        self.width: dict[str, int] = {}  # of the blobs that are N x width
        self.losses: list[str] = []
        self.shared: list[str] = []
        for _ in range(rng.integers(1, 4)):
            width = self.number(1, 5)
            self.add(
                f'type: "Input" input_param {{ shape {{ dim: {N} dim: {width} }} }}', [], width
            )
        label = Step(f'type: "Input" input_param {{ shape {{ dim: {N} }} }}', [], ["label"])
        self.steps.append(label)
        for _ in range(rng.integers(9, 14)):
            self.grow()
        for _ in range(rng.integers(1, 4)):
            self.lose()
        self.read_the_rest()

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    def one_of(self, items: list[str] | tuple[str, ...]) -> str:
        return str(items[self.number(0, len(items))])

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def add(self, text: str, bottoms: list[str], *widths: int) -> list[str]:
        tops = [f"b{len(self.width) + i}" for i in range(len(widths))]
        if self.cut and bottoms and self.chance(0.15):
            text += "".join(f" propagate_down: {self.one_of(('true', 'false'))}" for _ in bottoms)
        self.steps.append(Step(text, bottoms, tops))
        self.width.update(zip(tops, widths))
        return tops

    def recent(self) -> str:
        names = list(self.width)
        return names[max(0, len(names) - int(self.rng.geometric(0.3)))]

    def alike(self, blob: str) -> str:
        return self.one_of([b for b, width in self.width.items() if width == self.width[blob]])

    def grow(self) -> None:
        blob = self.recent()
        width = self.width[blob]
        kind = self.number(0, 10)
        if kind < 5:
            weighted = " loss_weight: 0.5" if self.chance(0.1) else ""
            self.add(self.one_of(UNARY) + weighted, [blob], width)
        elif kind == 5:
            other = self.alike(blob)
            self.add(self.one_of(SEVERAL), [blob, other], width)
        elif kind == 6 and width > 1:
            first = self.number(1, width)
            text = f'type: "Slice" slice_param {{ slice_point: {first} }}'
            self.add(text, [blob], first, width - first)
        elif kind == 7 and width < 4:
            other = self.one_of(list(self.width))
            self.add('type: "Concat"', [blob, other], width + self.width[other])
        else:
            self.fully_connect(blob)

    def fully_connect(self, blob: str) -> None:
        outputs = self.number(1, 5)
        shared = f"w{outputs}x{self.width[blob]}"
        params = self.one_of(("", f'param {{ name: "{shared}" }}', "param { lr_mult: 0 }"))
        self.add(
            f'type: "InnerProduct" {params} inner_product_param {{ num_output: {outputs} '
            'weight_filler { type: "gaussian" } bias_filler { type: "gaussian" } }',
            [blob],
            outputs,
        )

    def lose(self) -> None:
        blob = self.recent()
        text, other = 'type: "EuclideanLoss"', self.alike(blob)
        if self.width[blob] >= CLASSES and self.chance(0.7):
            text, other = self.one_of(('type: "SoftmaxWithLoss"', 'type: "HingeLoss"')), "label"
        if self.chance(0.3):
            text += " loss_weight: 2"
        name = f"loss{len(self.losses)}"
        self.steps.append(Step(text, [blob, other], [name]))
        if self.losses and self.chance(0.5):  # losses that other layers read
            text = 'type: "Eltwise" eltwise_param { operation: PROD } loss_weight: 0.5'
            self.steps.append(Step(text, [self.losses[-1], name], [f"{name}_product"]))
        self.losses.append(name)

    def read_the_rest(self) -> None:
        read = {b for step in self.steps for b in step.bottoms}
        for blob in [b for b in self.width if b not in read]:
            text = 'type: "Reduction" reduction_param { operation: SUMSQ } loss_weight: 0.125'
            self.steps.append(Step(text, [blob], [f"{blob}_squares"]))


def layer(name: str, text: str, bottoms: list[str], tops: list[str]) -> str:
    ends = "".join(f' bottom: "{b}"' for b in bottoms) + "".join(f' top: "{t}"' for t in tops)
    return f'layer {{ name: "{name}"{ends} {text} }}'


def split_text(steps: list[Step]) -> str:
    """Each blob with a name of its own, and one reader."""
    lines, taken = [], dict.fromkeys((t for step in steps for t in step.tops), 0)
    readers = [b for step in steps for b in step.bottoms]
    for number, step in enumerate(steps):
        bottoms = []
        for b in step.bottoms:
            bottoms.append(f"{b}_{taken[b]}" if readers.count(b) > 1 else b)
            taken[b] += 1
        lines.append(layer(f"l{number}", step.text, bottoms, step.tops))
        for t in step.tops:
            if readers.count(t) > 1:
                parts = [f"{t}_{i}" for i in range(readers.count(t))]
                lines.append(layer(f"split_{t}", 'type: "Split"', [t], parts))
    return "\n".join(lines)


def in_place_text(steps: list[Step], width: dict[str, int], rng: Rng) -> str:
    """Tops with the names of bottoms that nobody reads any more."""
    names: dict[str, str] = {}
    inputs = {t for step in steps if "Input" in step.text for t in step.tops}
    lines = []
    for number, step in enumerate(steps):
        later = {b for other in steps[number + 1 :] for b in other.bottoms}
        free = [b for b in dict.fromkeys(step.bottoms) if b not in later]
        for top in step.tops:
            # an input's name is for blobs of its shape
            same = [b for b in free if top in width and width.get(b) == width[top]]
            fits = [b for b in free if names[b] not in inputs or b in same]
            names[top] = top
            if fits and rng.random() < 0.8:
                bottom = fits[int(rng.integers(len(fits)))]
                free.remove(bottom)
                names[top] = names[bottom]
        bottoms, tops = ([names[b] for b in ends] for ends in (step.bottoms, step.tops))
        lines.append(layer(f"l{number}", step.text, bottoms, tops))
    return "\n".join(lines)


def net_of(text: str, seed: int) -> Net:
    return Net(
        bind(parse(Source("<text>", text)), NetParameter), TRAIN, dtype=np.float64, seed=seed
    )


def fill(net: Net, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name in net.inputs:
        values = net.blobs[name].data
        whole = name == "label"
        values[...] = rng.integers(0, CLASSES, N) if whole else rng.normal(size=values.shape)


def passes(net: Net, seed: int) -> list[dict[str, np.ndarray]]:
    """Loss and gradients of several passes over the same inputs."""
    found = []
    for _ in range(3):
        fill(net, seed)
        net.clear_param_diffs()
        results = {"loss": np.array(net.forward_backward())}
        for name, blobs in net.params.items():
            results |= {f"{name}[{i}]": blob.diff.copy() for i, blob in enumerate(blobs)}
        if net.param.force_backward:
            results |= {name: net.blobs[name].diff.copy() for name in net.inputs}
            del results["label"]
        found.append(results)
    return found


@pytest.mark.parametrize("seed", range(24))
def test_names_in_place_give_the_same_gradients_as_names_of_their_own(seed: int) -> None:
    rng = np.random.default_rng(seed)
    head = "force_backward: true\n" if seed % 3 == 0 else ""
    grown = Growing(rng, cut=seed % 3 == 1)
    apart = net_of(head + split_text(grown.steps), seed)
    together = net_of(head + in_place_text(grown.steps, grown.width, rng), seed)
    expected, found = passes(apart, seed), passes(together, seed)
    for there, here in zip(expected, found):
        for name, values in there.items():
            np.testing.assert_allclose(here[name], values, 1e-9, 1e-9, err_msg=name)


@pytest.mark.parametrize("seed", range(12))
def test_the_gradients_of_names_in_place_are_the_slopes(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    grown = Growing(rng, cut=False)
    net = net_of("force_backward: true\n" + in_place_text(grown.steps, grown.width, rng), seed)
    fill(net, seed)
    results = check(net)
    assert all(result.ok for result in results), "\n".join(map(str, results))


@pytest.mark.parametrize("reader", ["", 'layer { name: "too" type: "BNLL" bottom: "x" top: "y" }'])
def test_a_loss_weight_on_a_layer_in_place_stays(reader: str) -> None:
    text = f"""
        force_backward: true
        layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 2 }} }} }}
        {reader}
        layer {{ name: "half" type: "Power" bottom: "x" top: "x" power_param {{ scale: 0.5 }}
                loss_weight: 3 }}
    """
    net = net_of(text, 0)
    for _ in range(2):
        net.blobs["x"].data[...] = [1, 2]
        assert net.forward_backward() == 3 * (0.5 + 1)
        assert net.blobs["x"].diff.tolist() == [1.5, 1.5]


def test_an_input_rewritten_in_another_shape_is_refused() -> None:
    """Its name shows the last version: the values to be written there would not fit."""
    text = """
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "x"
                inner_product_param { num_output: 1 } }
    """
    with pytest.raises(NetError, match=r'3:66.*the input "x" is 2 x 3'):
        net_of(text, 0)
