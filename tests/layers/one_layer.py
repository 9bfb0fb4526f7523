"""Nets of one layer, whose bottoms are inputs."""

from __future__ import annotations

import caffelite
from caffelite.files import parse_net
from caffelite.schema.common import Phase


def net(
    layer: str,
    *shapes: tuple[int, ...],
    tops: str = "y",
    phase: int = Phase.TEST,
    before: str = "",
) -> caffelite.Net:
    """The layer of this text, with bottoms a, b, … of these shapes; `before` stands before all."""
    names = "abcd"[: len(shapes)]
    inputs = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        f"dim: [{', '.join(map(str, shape))}] }} }} }}\n"
        for name, shape in zip(names, shapes)
    )
    ends = " ".join([*(f'bottom: "{n}"' for n in names), *(f'top: "{t}"' for t in tops)])
    text = f'{before}{inputs}layer {{ name: "l" {ends} {layer} }}'
    return caffelite.Net(parse_net(text, "a.net"), phase)


def python(module: str, cls: str, said: str = "") -> str:
    """A layer of type Python, to be given to `net`."""
    param = f'param_str: "{said}"' if said else ""
    return f'type: "Python" python_param {{ module: "{module}" layer: "{cls}" {param} }}'
