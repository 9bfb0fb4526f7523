"""The index of layers, read from their modules' text, is what the modules declare when imported."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import caffelite
from caffelite import layers
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.layers.base import Layer, registry
from caffelite.layers.index import Declaration, Index, read_index
from caffelite.layers.registry import Registry
from caffelite.schema.binary import decode, encode
from caffelite.schema.late import Late
from caffelite.schema.message import Message, field
from caffelite.schema.net import LayerMessage, LayerParameter

HOW = (
    "the index reads the text of modules; write a layer as `@register`, then `class NAME(`; a type "
    'that is not the name of its class as `    type = "TYPE"`; a message as '
    '`class NAME(LayerMessage, field="…_param", number=…)`; see caffelite/layers/index.py'
)
INDEX = read_index()


def imported(cls: type[Message] = LayerMessage) -> Iterator[type[LayerMessage]]:
    for sub in cls.__subclasses__():
        if sub.__module__.startswith("caffelite."):
            yield sub
            yield from imported(sub)


@pytest.fixture(autouse=True, scope="module")
def _all_modules() -> None:
    for module in pkgutil.iter_modules(layers.__path__):
        import_module(f"caffelite.layers.{module.name}")


def ours() -> dict[str, type[Layer]]:
    return {n: c for n, c in registry.items() if c.__module__.startswith("caffelite.layers.")}


def test_every_type_is_in_the_index() -> None:
    assert {name: cls.__module__ for name, cls in ours().items()} == INDEX.types, HOW


def test_every_message_is_in_the_index() -> None:
    declared = {
        sub.layer_field: Declaration(
            sub.__name__, LayerParameter.specs[sub.layer_field].number, sub.__module__
        )
        for sub in imported()
    }
    assert declared == INDEX.messages, HOW


def test_every_stand_in_for_a_python_layer_is_in_the_index() -> None:
    assert sorted(n for n, c in ours().items() if c.__dict__.get("python")) == INDEX.python, HOW


def test_the_shapes_of_statements() -> None:
    index = Index()
    index.read(
        "m",
        b"""
PARAM = "long_param"
class AParameter(LayerMessage, field="a_param", number=7):
class LongParameter(
    LayerMessage, field=PARAM, number=8
):
@register
class A(Layer):
    bottoms = (1, 1)
class Between:
    type = "Other"
    python = (("x", "Y"),)
@register
class B(Layer):
    type: ClassVar[str] = "3B"
    python = (("b_layer", "BLayer"),)
class NotRegistered(Layer):
""",
    )
    assert index.messages == {
        "a_param": Declaration("AParameter", 7, "m"),
        "long_param": Declaration("LongParameter", 8, "m"),
    }
    assert index.types == {"A": "m", "3B": "m"}
    assert index.python == ["3B"]


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(caffelite.__file__).parents[1],
        check=True,
    )
    return done.stdout


LIST = """
import sys
kept = {"base", "index", "registry", "spec", "cases"}
def modules():
    names = {m.removeprefix("caffelite.layers.") for m in sys.modules}
    return sorted(m for m in names if "caffelite.layers." + m in sys.modules and m not in kept)
"""


def test_a_net_imports_the_layers_that_it_has() -> None:
    text = 'layer { name: "a" type: "TanH" bottom: "x" top: "x" tanh_param { engine: CAFFE } }'
    assert run(f"""{LIST}
from caffelite.files import parse_net
print(modules())
net = parse_net('''{text}''')
print(modules())
from caffelite.schema.binary import decode, encode
from caffelite.schema.net import NetParameter
assert decode(encode(net), NetParameter) == net
print(modules())
""").splitlines() == ["[]", "['tanh']", "['tanh']"]


def test_a_binary_net_brings_the_messages_that_it_has() -> None:
    text = 'layer { name: "a" type: "Power" power_param { scale: 3 } }'
    data = encode(parse_net(text))
    assert run(f"""{LIST}
from caffelite import files
from caffelite.schema.binary import decode
from caffelite.schema.net import NetParameter
layer = decode({data!r}, NetParameter).layer[0]
print(modules(), layer.power_param.scale)
""").splitlines() == ["['power'] 3.0"]


def test_names_alone_import_nothing() -> None:
    assert run(f"""{LIST}
import caffelite
from caffelite.layers import registry
from caffelite.schema.net import LayerParameter
from caffelite import layers as L
assert "Pooling" in registry and len(registry) > 100 and len(sorted(registry)) == len(dir(L))
assert LayerParameter.specs["pooling_param"].number == 121
L.Pooling
print(modules())
""").splitlines() == ["[]"]


def test_a_module_of_layers_is_an_attribute_when_it_is_asked_for() -> None:
    assert run("import caffelite.layers as L; print(L.pooling.Pooling.__name__)") == "Pooling\n"
    with pytest.raises(AttributeError, match="no layer type 'Poling'"):
        layers.Poling  # noqa: B018


def test_a_type_of_the_package_is_refused_to_others_before_it_is_imported() -> None:
    assert run("""
import caffelite
try:
    @caffelite.register
    class Pooling(caffelite.Layer):
        pass
except ValueError as error:
    print(error)
""").splitlines() == ['a layer type "Pooling" exists already (caffelite.layers.pooling)']


def test_a_number_of_the_package_is_refused_to_others_before_it_is_imported() -> None:
    assert run("""
from caffelite import layers
from caffelite.schema.net import LayerMessage
try:
    class MineParameter(LayerMessage, field="mine_param", number=121):
        pass
except ValueError as error:
    print(error)
""").splitlines() == ["mine_param: number 121 is pooling_param's"]


def test_parts_of_a_message_that_is_there_twice_join() -> None:
    """As protobuf has it of a field that is not repeated."""
    texts = "layer { power_param { scale: 3 power: 2 } }", "layer { power_param { scale: 5 } }"
    both = [encode(parse_net(text).layer[0]) for text in texts]
    param = decode(b"".join(both), LayerParameter).power_param
    assert (param.scale, param.power) == (5.0, 2.0)


def test_a_broken_message_of_a_layer_is_refused() -> None:
    whole = encode(LayerParameter(name="a"))
    field_122 = bytes([0xD2, 0x07])  # power_param, bytes
    with pytest.raises(CaffeliteError, match="its fields are not those of this message"):
        decode(whole + field_122 + b"\x02\x0d\x00", LayerParameter)


def test_a_late_field_reads_as_any_other() -> None:
    class Inner(Message):
        size: int = field(1, "int32", default=3)

    class Outer(Message):
        pass

    found: list[int] = []

    def find() -> type[Message]:
        found.append(1)
        return Inner

    Outer.add_field("inner", Late(5, find))
    outer = Outer()
    assert not outer.has("inner") and not found
    assert outer.get("inner").size == 3 and found == [1]
    outer.get("inner").size = 4
    assert decode(encode(outer), Outer) == outer and found == [1]
    assert "Inner" in repr(Outer.specs["inner"])
    with pytest.raises(AttributeError, match="nothing"):
        Outer.specs["inner"].nothing  # type: ignore[attr-defined]  # noqa: B018


def test_the_registry_is_a_mapping() -> None:
    known = Registry({"Power": "caffelite.layers.power"})
    assert "Power" in known and list(known) == ["Power"] and len(known) == 1
    del known["Power"]
    assert known.get("Power") is None and not known
    with pytest.raises(KeyError):
        del known["Power"]
    known["Power"] = registry["Power"]
    assert dict(known) == {"Power": registry["Power"]} and known.imported() == [registry["Power"]]
    known.clear()
    assert not known
