"""Label maps: text files with the names and the numbers of classes."""

from __future__ import annotations

from caffelite.errors import DataError, ParseError, Problem
from caffelite.schema.annotated import LabelMap
from caffelite.schema.bind import bind_into
from caffelite.text import parse, read_source


def read_label_map(path: str) -> LabelMap:
    """A label map, each class with a name and a number of its own. Raises DataError with the place
    of every mistake."""
    problems: list[Problem] = []
    try:
        found = bind_into(parse(read_source(path)), LabelMap, problems)
    except ParseError as error:
        raise DataError(*error.problems) from None
    if not problems:
        problems = list(_doubles(found))
    if not problems and not found.item:
        problems.append(Problem(f'"{path}" names no classes', expected="item { name: ... }"))
    if problems:
        raise DataError(*problems)
    return found


def _doubles(found: LabelMap) -> list[Problem]:
    problems = []
    for name in ("name", "label"):
        seen: set[object] = set()
        for item in found.item:
            value = item.get(name)
            if not item.has(name):
                expected = "item { name: ... label: ... }"
                problems.append(Problem(f"a class without a {name}", item.span(), expected))
            elif value in seen:
                shown = f'"{value}"' if name == "name" else value
                problems.append(Problem(f"two classes have the {name} {shown}", item.span(name)))
            seen.add(value)
    return problems


def numbers(found: LabelMap) -> dict[str, int]:
    """The classes' numbers by the names that annotations use."""
    return {item.name: item.label for item in found.item}


def class_names(found: LabelMap) -> list[str]:
    """The names for people, in the order of the numbers from 0; where there is no class of a
    number, the number."""
    shown = {item.label: item.display_name or item.name for item in found.item}
    last = min(max(shown, default=-1), 99_999)
    return [shown.get(label, str(label)) for label in range(last + 1)]
