"""What to say about a text that is not in the format: each kind of mistake has its own words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection

from lark import Token

from caffelite.errors import Problem, Source, Span
from caffelite.text.literals import shortened
from caffelite.text.place import CLOSERS, Place, Tokens

_QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019\u201a\u201b`\u00b4"
_SCALARS = ("WORD", "NUMBER", "STRING", "MINUS")
_PYTHON = r"^(?:(?:from [\w.]+ )?import [\w*].*|def \w+\(.*|class \w+(?:\(.*\))?:.*|#!.*python.*)$"


def explain(
    source: Source, at: int, found: str | None, before: Tokens, accepts: Collection[str]
) -> Problem:
    """The mistake at offset `at`. `found` is the terminal there (None if no terminal starts so),
    `before` are the tokens that were in order, `accepts` the terminals that could have come."""
    here = Place(source, at, found, before, accepts)
    for teach in _LESSONS:
        if problem := teach(here):
            return problem
    return Problem(f"unexpected {here.what}", here.span, expected=here.expected)


# The lessons: each looks for one kind of mistake, in this order.


def _python_script(here: Place) -> Problem | None:
    start = here.before[0].start_pos if here.before else here.at
    above = here.source.text[:start].split("\n")
    if len(here.before) > 4 or any(line.strip()[:1] not in ("", "#") for line in above):
        return None  # fields were read: only this line may be Python's
    line = re.search(_PYTHON, here.source.text, re.MULTILINE)
    if line is None:
        return None
    return Problem(
        "this is a Python script, not a net or a solver",
        here.span_of(line.start(), len(line[0].rstrip())),
        expected="a field such as name: value or name { ... }",
        hint="a script that was written for pycaffe is run by `caffelite run`",
    )


def _decimal_comma(here: Place) -> Problem | None:
    comma, whole = here.token(1), here.token(2)
    if here.found != "NUMBER" or comma != "," or whole is None or whole.type != "NUMBER":
        return None
    minus = here.token(3)
    start = (minus if minus and minus.type == "MINUS" else whole).start_pos or 0
    found = re.match(r"-?\d+,\d+(?:[eE][-+]?\d+)?(?![\w.,])", here.source.text[start:])
    if found is None:
        return None
    number = found[0]
    return Problem(
        f'a comma in the number "{shortened(number)}"',
        here.span_of(start, len(number)),
        expected="a number with a point",
        hint=f"write {shortened(number.replace(',', '.'))}; several values are a list, "
        f"[{shortened(number.replace(',', ', '))}]",
    )


def _stray_character(here: Place) -> Problem | None:
    char = here.rest[:1]
    if here.found is not None or char in tuple("=+(/"):
        return None
    if char in ('"', "'"):
        return Problem(
            "this string is not closed on its line",
            here.span_of(here.at, len(here.rest.rstrip())),
            expected=f"a closing {char}",
            hint='a long one may come in parts, "..." "..."; a line break in it is \\n',
        )
    code = f"U+{ord(char):04X}"
    named = f'"{char}"' if char.isascii() else f'"{char}" ({code})'
    if char in _QUOTES:
        return Problem(
            f"typographic quote {named}",
            here.span_of(here.at, 1),
            expected="a plain quote, \" or '",
            hint="an editor or a web page may have replaced the plain ones",
        )
    if not char.isprintable():
        return Problem(
            f"invisible character {code}, {unicodedata.name(char, 'a control character')}",
            here.span_of(here.at, 1),
            expected="plain blanks, tabs and line breaks between words",
            hint="delete it; it often comes with text pasted from a web page",
        )
    hint = "names hold a-z, A-Z, 0-9 and _; other text goes in quotes" if char.isalnum() else None
    return Problem(f"stray character {named}", here.span_of(here.at, 1), here.expected, hint)


def _foreign_comment(here: Place) -> Problem | None:
    mark = here.rest[:2]
    if mark not in ("//", "/*"):
        return None
    return Problem(
        f'"{mark}" is no comment here', here.span_of(here.at, 2), '"#" in front of a comment'
    )


def _never_closed(here: Place) -> Problem | None:
    if here.found != "$END" or not here.open:
        return None
    place = here.open[-1]
    bracket = here.before[place]
    owner = here.before[place - 1]
    if owner.type == "COLON":
        owner = here.before[place - 2]
    of = f' of "{owner}"' if owner.type == "WORD" else ""
    last = len(here.source.text.rstrip("\n").split("\n"))
    line = _line_indented_as_far_out(here, place)
    return Problem(
        f'the "{bracket}"{of} is never closed',
        here.span_of(bracket.start_pos or 0, 1),
        expected=f'"{CLOSERS[bracket]}" before the text ends in line {last}',
        hint=f"going by the indentation, it is missing before line {line}" if line else None,
    )


def _line_indented_as_far_out(here: Place, opener: int) -> int | None:
    """The first line after an opening bracket that is indented no more than the bracket's."""
    bracket = here.before[opener]
    opening_line = here.source.lines[(bracket.line or 1) - 1]
    limit = len(opening_line) - len(opening_line.lstrip())
    seen = bracket.line
    for place in range(opener + 1, len(here.before)):
        token = here.before[place]
        if token.line != seen and (token.column or 1) - 1 <= limit:
            return token.line
        seen = token.end_line
    return None


def _wrong_closer(here: Place) -> Problem | None:
    if here.found not in ("RBRACE", "RANGLE", "RSQUARE") or not (
        here.wants_field or "COMMA" in here.accepts
    ):
        return None
    if here.open:
        bracket = here.before[here.open[-1]]
        return Problem(
            f'"{here.lexeme}" cannot close the "{bracket}" of line {bracket.line}',
            here.span,
            expected=f'"{CLOSERS[bracket]}"',
        )
    last = here.token(1)
    closed = last is not None and last.type in ("RBRACE", "RANGLE", "RSQUARE")
    return Problem(
        f'this "{here.lexeme}" closes nothing',
        here.span,
        expected="a field or the end of the text, because every block is closed already",
        hint=f"the last one was closed in line {last.line}" if last and closed else None,
    )


def _after_a_name(here: Place) -> Problem | None:
    name = here.token(1)
    if not here.wants_colon or name is None:
        return None
    label = "field" if name == "]" else f'field "{shortened(name)}"'
    shown = "name" if name == "]" else str(name)
    if here.rest.startswith("="):
        value = here.rest.lstrip("= ").split(" #")[0].strip()
        hint = f"write {shown}: {value}" if 0 < len(value) < 40 else None
        return Problem(f'"=" after the {label}', here.span, '":" before a value', hint)
    if here.found == "DOT":
        return Problem(
            f'"." after the {label}',
            here.span,
            expected="a name without dots",
            hint=f"a field inside a block is written {shown} {{ ... }}",
        )
    next_field = re.match(r"\w+\s*[:{<]", here.rest) and here.starts_a_line()
    if here.found == "WORD" and re.match(r"\w+\s*[{<]", here.rest) and not next_field:
        return Problem(
            f'"{here.lexeme}" between "{shown}" and its block',
            here.span,
            expected='"{" right after the name of a field',
            hint=f"what a block is called goes inside it, in a field of its own: {shown} {{ ... }}",
        )
    if here.found in _SCALARS and not next_field:
        short = f"{shown}: {here.lexeme}" if len(here.lexeme) < 40 else f"{shown}: ..."
        hint = f"write {short}"
        return Problem(f'the {label} has no ":" before its value', here.span, None, hint)
    if here.found is None or here.found == "SLASH":
        return None
    before, colon = here.token(2), here.token(3)
    if before and colon == ":" and before.type in ("WORD", "NUMBER") and before.line == name.line:
        return Problem(
            f'"{name}" after the value "{before}"',
            _of(here, name, name),
            expected="one value",
            hint=f'text of several words goes in quotes, as in "{before} {name}"',
        )
    return Problem(f"the {label} has no value", _of(here, name, name), here.expected)


def _list_slip(here: Place) -> Problem | None:
    last, comma = here.token(1), here.token(1) == ","
    bracket = here.before[here.open[-1]] if here.open else None
    if bracket != "[" or last is None:
        return None
    if comma and here.found == "RSQUARE":
        return Problem('"," before the end of the list', _of(here, last, last), "another value")
    if here.found == "COMMA" and (comma or last == "["):
        return Problem('"," without a value before it', here.span, here.expected)
    if comma and here.found in (*_SCALARS, "LBRACE", "LANGLE"):
        return Problem(
            "values and blocks in one list",
            here.span,
            expected="either values [1, 2] or blocks [{ ... }, { ... }]",
        )
    if last == "[" and here.found in _SCALARS and "LBRACE" in here.accepts:
        return Problem('no ":" before a list of values', _of(here, last, last), '":" and the list')
    if "COMMA" in here.accepts and here.found in ("DOT", "SLASH") and last.type == "WORD":
        return _unquoted_text(here, last.start_pos or 0)
    if "COMMA" in here.accepts and here.found in (*_SCALARS, "LBRACE", "LANGLE"):
        return Problem('no "," between two items of a list', here.span, '","')
    return None


def _no_value(here: Place) -> Problem | None:
    last, name = here.token(1), here.token(2)
    if not here.wants_value or last is None or name is None:
        return None
    if here.found == "COLON" or here.rest.startswith("="):
        return Problem(f'"{last}{here.lexeme}" after a field', here.span, '":" and a value')
    if here.rest.startswith("+"):
        return Problem('"+" before a number', here.span, "the number without a sign")
    if here.found in ("DOT", "SLASH"):
        return _unquoted_text(here, here.at)
    if last == ":" and here.found in ("RBRACE", "RANGLE", "COMMA", "SEMICOLON", "$END", "RSQUARE"):
        label = "this field" if name == "]" else f'the field "{shortened(name)}"'
        return Problem(f"{label} has no value", _of(here, name, last), here.expected)
    return None


def _after_a_value(here: Place) -> Problem | None:
    value, colon, name = here.token(1), here.token(2), here.token(3)
    if not here.wants_field or value is None:
        return None
    if here.found == "COLON" and value.type == "STRING":
        return _quoted_name(here, value)
    if colon != ":" or name is None:
        return None
    below = "\n" in here.source.text[colon.end_pos : value.start_pos]
    if below and here.found in ("COLON", "LBRACE", "LANGLE", *_SCALARS):
        return Problem(
            f'the field "{shortened(name)}" has no value',
            _of(here, name, colon),
            expected='a value after ":", or a block in braces',
            hint=f"a block is written {name} {{ ... }}; indentation has no meaning",
        )
    touching = value.end_pos == here.at and value.type in ("WORD", "NUMBER")
    inside_text = here.found is None and here.rest[0].isprintable() and here.rest[0] not in _QUOTES
    if touching and (here.found in ("COLON", "SLASH", "DOT", "MINUS") or inside_text):
        return _unquoted_text(here, value.start_pos or 0)
    if here.found in ("NUMBER", "MINUS") and not here.starts_a_line():
        return Problem(
            f'a second value for "{shortened(name)}"',
            here.span,
            expected="one value, or several in a list",
            hint=f"write {name}: [{value}, {here.lexeme}]" if len(value) < 20 else None,
        )
    if here.found in ("LBRACE", "LANGLE"):
        return Problem(
            f'a block after the value of "{shortened(name)}"',
            here.span,
            expected="either a value or a block",
        )
    return None


def _other_language(here: Place) -> Problem | None:
    if not here.wants_field:
        return None
    if here.found == "STRING" and (token := re.match(r".*?:", here.rest)):
        return _quoted_name(here, Token("STRING", token[0][:-1].rstrip(), here.at))
    if here.found == "LBRACE" and not here.before:
        return Problem(
            'the text starts with "{"',
            here.span,
            expected="fields, without braces around them all",
            hint="is this JSON? here it is written name: value and name { ... }",
        )
    if here.found == "MINUS" and here.starts_a_line():
        return _yaml_item(here, here.at)
    minus = here.token(2)
    if here.found in ("COLON", "LBRACE") and minus and minus.type == "MINUS":
        return _yaml_item(here, minus.start_pos or 0)
    if here.found == "LANGLE" and not here.before:
        return Problem(
            'the text starts with "<"',
            here.span,
            expected="a field such as name: value or name { ... }",
            hint="is this a saved web page or XML?",
        )
    return None


def _yaml_item(here: Place, at: int) -> Problem:
    return Problem(
        '"-" in front of a field',
        here.span_of(at, 1),
        expected="a field such as name: value or name { ... }",
        hint="is this YAML? here a repeated field is written once for each item",
    )


def _quoted_name(here: Place, token: Token) -> Problem:
    name = str(token)[1:-1]
    return Problem(
        f"the field name {shortened(token)} is in quotes",
        here.span_of(token.start_pos or 0, len(token)),
        expected="names without quotes",
        hint=f"is this JSON? here it is written {shortened(name)}: value",
    )


def _unquoted_text(here: Place, start: int) -> Problem:
    match = re.match(r"[^\s{}\[\],;#\"']+", here.source.text[start:])
    text = match[0] if match else here.lexeme
    slashed = text.replace("\\", "/")
    return Problem(
        "text without quotes",
        here.span_of(start, len(text)),
        expected='quotes around text that is more than one word of a-z, 0-9 and "_"',
        hint=f'write "{slashed}"' if len(text) < 50 else None,
    )


def _of(here: Place, first: Token, last: Token) -> Span:
    """The span from one token to another, or of the first if they are in different lines."""
    end = last.end_pos if first.line == last.end_line else first.end_pos
    start = first.start_pos or 0
    return here.span_of(start, (end or start + 1) - start)


_LESSONS: tuple[Callable[[Place], Problem | None], ...] = (
    _python_script,
    _decimal_comma,
    _after_a_value,
    _after_a_name,
    _stray_character,
    _foreign_comment,
    _never_closed,
    _list_slip,
    _no_value,
    _wrong_closer,
    _other_language,
)
