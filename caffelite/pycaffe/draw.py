"""caffe.draw: pictures of nets, made by caffelite's own drawing, without pydot and Graphviz."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

from caffelite.draw.diagram import Diagram, diagram, has_data
from caffelite.draw.render import FORMATS, format_of, render
from caffelite.errors import CaffeliteError, NetError, Problem
from caffelite.files import load_net
from caffelite.plan.graph import state_for
from caffelite.pycaffe.messages import net_source
from caffelite.schema.binary import write_atomically
from caffelite.schema.common import Phase
from caffelite.schema.net import LayerParameter, NetParameter

DIRECTIONS = ("TB", "BT", "LR", "RL")
RAW = "raw"
"""pycaffe's name for Graphviz's text."""
LEARNING = ("Convolution", "Deconvolution", "InnerProduct")
"""The types of layers whose learning rates are shown."""


def draw_net(
    caffe_net: Any,
    rankdir: str,
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes:
    """The picture of a net (a NetParameter, or a path): "png", "svg", "dot" or "raw" for Graphviz's
    text, "mmd" for Mermaid's.

    `phase` is caffe.TRAIN, caffe.TEST or None for both; `display_lrm` adds the learning rates'
    multipliers. `rankdir` (TB, BT, LR) is for Graphviz: the pictures run from top to bottom, and a
    long net is broken into columns. Raises CaffeliteError for other formats."""
    if rankdir not in DIRECTIONS:
        raise CaffeliteError(Problem(f'rankdir "{rankdir}"', expected=", ".join(DIRECTIONS)))
    form = "dot" if ext == RAW else format_of(f".{ext}", f".{ext}", "or raw, Graphviz's text")
    source = net_source(caffe_net)
    net = source if isinstance(source, NetParameter) else load_net(source)
    phases = list(Phase) if phase is None else [Phase(phase)]
    states = [state_for(net, p, 0, []) for p in phases]
    drawn = diagram(net, [s for s in states if has_data(net, s)] or states[:1])
    if display_lrm:
        _add_multipliers(drawn, net.layer)
    return render(drawn, form, rankdir=rankdir)


def draw_net_to_file(
    caffe_net: Any,
    filename: str | os.PathLike[str],
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None:
    """As `draw_net`, into a file whose ending says the format."""
    name = os.fspath(filename)
    ext = name[name.rfind(".") + 1 :]
    if ext != RAW:
        format_of(f".{ext}", name, f"pictures: {', '.join(FORMATS)}; .raw is Graphviz's text")
    write_atomically(name, draw_net(caffe_net, rankdir, ext, phase, display_lrm))


def get_layer_lr_mult(layer: Any) -> tuple[float, float]:
    """The multipliers of a layer's learning rates, of weights and of biases. Raises ValueError for
    layers that have none."""
    if layer.type not in LEARNING:
        raise NoMultiplier(f"{layer.type} layers do not have a learning rate multiplier")
    found = [float(p.lr_mult) for p in layer.param][:2]
    first, second = [*found, *[1.0] * (2 - len(found))]
    return first, second


class NoMultiplier(NetError, ValueError):
    """A layer without parameters that learn."""


def get_pydot_graph(*args: Any, **kwargs: Any) -> NoReturn:
    """Refused: pictures are made without pydot."""
    raise CaffeliteError(
        Problem(
            "get_pydot_graph is not supported: nets are drawn without pydot and Graphviz",
            hint='draw_net(net, "LR", "raw") gives Graphviz\'s text, which pydot reads',
        )
    )


def _add_multipliers(drawn: Diagram, layers: Sequence[LayerParameter]) -> None:
    known = {layer.name: layer for layer in layers if layer.type in LEARNING}
    for box in drawn.boxes:
        for i, part in enumerate(box.parts):
            if part.name in known and not box.tag:
                weight, bias = get_layer_lr_mult(known[part.name])
                caption = f"{part.caption}, lr mult: {weight:.1f}, {bias:.1f}"
                box.parts[i] = replace(part, caption=caption)
