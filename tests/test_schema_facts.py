"""The messages agree with Caffe's: every number, label, type, default and enum value.

`schema/fields.tsv` and `schema/enums.tsv` hold the facts of the original Caffe's format.
"""

from __future__ import annotations

import csv
import importlib
import pkgutil
from collections import defaultdict
from pathlib import Path

import pytest

import caffelite.data
import caffelite.layers
import caffelite.schema
from caffelite.schema.legacy_messages import declare
from caffelite.schema.message import FieldSpec, Message

FACTS = Path(__file__).parent / "schema"
Row = dict[str, str]

COMPLETE = [
    "NetParameter",
    "SolverParameter",
    "ParamSpec",
    "NetState",
    "NetStateRule",
    "BlobShape",
    "BlobProto",
    "FillerParameter",
    "TransformationParameter",
    "LossParameter",
]
"""Messages of which every field must be there, whatever else is left out."""

NOT_DECLARED: set[str] = set()
"""Messages of Caffe that caffelite does not know."""


def rows(name: str) -> list[Row]:
    with open(FACTS / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", restval=""))


FIELDS: dict[str, dict[str, Row]] = defaultdict(dict)
for _row in rows("fields.tsv"):
    FIELDS[_row["message"]][_row["field"]] = _row
ENUMS: dict[str, dict[str, int]] = defaultdict(dict)
for _row in [*rows("enums.tsv"), *rows("fork_enums.tsv")]:
    ENUMS[_row["enum"]][_row["name"]] = int(_row["number"])


def declared() -> dict[str, type[Message]]:
    """All messages of the package, by name."""
    for room in (caffelite.schema, caffelite.layers, caffelite.data):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)
    declare()  # the fields of V1LayerParameter that are layers' own messages
    found: dict[str, type[Message]] = {}
    waiting = [Message]
    while waiting:
        for cls in waiting.pop().__subclasses__():
            waiting.append(cls)
            if cls.__module__.startswith("caffelite."):
                found[cls.__name__] = cls
    return found


MESSAGES = declared()
KNOWN = sorted(MESSAGES.keys() & FIELDS.keys())


def disagreements(spec: FieldSpec, fact: Row) -> list[str]:
    """How a declared field differs from the fact."""
    label = "repeated" if spec.repeated else "required" if spec.required else "optional"
    pairs = {
        "number": (str(spec.number), fact["number"]),
        "label": (label, fact["label"]),
        "packed": ("packed" if spec.packed else "", fact["packed"]),
        "default": (default_text(spec, fact["default"]), fact["default"]),
    }
    enum = spec.enum_type
    if enum is not None:
        members = {name: int(value) for name, value in enum.__members__.items()}
        pairs["enum"] = (str(members), str(ENUMS.get(fact["type"])))
    else:
        pairs["type"] = (spec.type_name, fact["type"])
    return [f"{what} is {a!r}, not {b!r}" for what, (a, b) in pairs.items() if a != b]


def default_text(spec: FieldSpec, fact: str) -> str:
    """The declared default as the facts write it."""
    value = spec.default
    if spec.enum_type is not None and value is not None:
        return str(spec.enum_type(value).name)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and fact:
        return fact if value == float(fact) else str(value)
    return str(value)


@pytest.mark.parametrize("name", KNOWN)
def test_declared_fields_agree(name: str) -> None:
    facts = FIELDS[name]
    wrong = [
        f"{name}.{field}: {what}"
        for field, spec in MESSAGES[name].specs.items()
        if field in facts
        for what in disagreements(spec, facts[field])
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", KNOWN)
def test_fields_beyond_caffe_take_no_number_of_caffe(name: str) -> None:
    taken = {int(f["number"]): f["field"] for f in FIELDS[name].values()}
    for field, spec in MESSAGES[name].specs.items():
        if field not in FIELDS[name]:
            assert spec.number not in taken, f"{name}.{field} takes {taken[spec.number]}'s number"


@pytest.mark.parametrize("name", MESSAGES)
def test_no_two_fields_have_one_number(name: str) -> None:
    numbers = [spec.number for spec in MESSAGES[name].specs.values()]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("name", KNOWN)
def test_a_message_that_is_declared_is_complete(name: str) -> None:
    missing = set(FIELDS[name]) - MESSAGES[name].specs.keys()
    # a layer brings its field with it; the missing layers are listed below
    missing = {field for field in missing if FIELDS[name][field]["type"] not in NOT_DECLARED}
    assert not missing


def test_the_common_messages_are_there() -> None:
    assert set(COMPLETE) <= set(KNOWN)


def test_what_is_not_declared_is_listed() -> None:
    assert set(FIELDS) - set(MESSAGES) == NOT_DECLARED


def test_a_disagreement_is_seen() -> None:
    fact = FIELDS["FillerParameter"]["sparse"]
    assert disagreements(FieldSpec(7, "int32", -1), fact) == []
    assert len(disagreements(FieldSpec(8, "int64", 1, repeated=True), fact)) == 4
