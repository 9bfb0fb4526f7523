"""Numbers and quoted strings, as the protobuf text format writes them → Python values."""

from __future__ import annotations

import re

# Python refuses to turn longer runs of digits into an int; no number type comes near.
_MAX_INT_LENGTH = 1000

_FLOAT = re.compile(r"(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?")
_ESCAPE = re.compile(
    r"""\\(?: (?P<simple>[abfnrtv"'\\?])
      | (?P<octal>[0-7]{1,3})
      | [xX](?P<hex>[0-9A-Fa-f]{1,2})
      | (?P<pair>u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2})
      | u(?P<short>[0-9A-Fa-f]{4})
      | U(?P<long>[0-9A-Fa-f]{8})
      | (?P<bad>.) )""",
    re.VERBOSE,
)
_SIMPLE = dict(zip("abfnrtv\"'\\?", b"\a\b\f\n\r\t\v\"'\\?"))


class BadLiteral(Exception):
    """What is wrong with a number or a string, and at which of its characters."""

    def __init__(
        self,
        message: str,
        expected: str | None = None,
        hint: str | None = None,
        *,
        offset: int = 0,
        width: int = 1,
    ) -> None:
        super().__init__(message)
        self.message, self.expected, self.hint = message, expected, hint
        self.offset, self.width = offset, width


def read_number(text: str) -> int | float:
    """Decimal, octal (017) and hexadecimal (0x1F) integers; floats such as .5, 5., 1e-3, 2f."""
    if text.isdigit() and (text[0] != "0" or len(text) == 1):
        return _integer(text, text, 10)
    if _FLOAT.fullmatch(text):
        return float(text.rstrip("fF"))
    if re.fullmatch("0[xX][0-9A-Fa-f]+", text):
        return _integer(text, text[2:], 16)
    if re.fullmatch("0[0-7]+", text):
        return _integer(text, text, 8)
    raise _bad_number(text)


def _integer(text: str, digits: str, base: int) -> int:
    if len(digits) > _MAX_INT_LENGTH:
        raise BadLiteral(f"a number of {len(digits)} digits", width=len(text))
    return int(digits, base)


def _bad_number(text: str) -> BadLiteral:
    expected, hint = "a number such as 20, -3, 0.01, 1e-4, 0x1F", None
    if text[:2] in ("0x", "0X"):
        expected = "hexadecimal digits (0-9, a-f) after 0x"
    elif re.fullmatch("0[0-9]+", text):
        expected = "octal digits (0-7), because a number that starts with 0 is octal"
        hint = "leave the 0 away if you mean a decimal number"
    elif re.fullmatch(r"0[0-9]+[.eE].*", text):
        expected = "no zero in front of a number with a fraction or an exponent"
        hint = "leave the leading 0 away"
    elif re.fullmatch(r"[0-9.]+[eE][+-]?", text):
        expected = "digits after the exponent's e"
    elif "_" in text and _FLOAT.fullmatch(text.replace("_", "")):
        hint = "digits are not grouped here: leave the _ away"
    else:
        hint = f'put quotes around it if it is text: "{text}"' if len(text) < 30 else None
    return BadLiteral(f'bad number "{shortened(text)}"', expected, hint, width=len(text))


def unescape(text: str) -> bytes:
    """The bytes of a quoted string: its characters in UTF-8, its escapes undone."""
    if "\\" not in text:
        return text[1:-1].encode("utf-8", "surrogatepass")
    parts, at, end = [], 1, len(text) - 1
    for escape in _ESCAPE.finditer(text, 1, end):
        parts.append(text[at : escape.start()].encode("utf-8", "surrogatepass"))
        parts.append(_escaped(escape))
        at = escape.end()
    parts.append(text[at:end].encode("utf-8", "surrogatepass"))
    return b"".join(parts)


def _escaped(escape: re.Match[str]) -> bytes:
    kind, digits = escape.lastgroup, escape[escape.lastgroup or 0]
    if kind == "simple":
        return bytes([_SIMPLE[digits]])
    if kind == "octal" and int(digits, 8) < 256:
        return bytes([int(digits, 8)])
    if kind == "hex":
        return bytes([int(digits, 16)])
    if kind == "pair":
        high, low = int(digits[1:5], 16), int(digits[7:11], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).encode()
    if kind in ("short", "long"):
        point = int(digits, 16)
        if point < 0x110000 and not 0xD800 <= point < 0xE000:
            return chr(point).encode()
    raise _bad_escape(escape[0], escape.start())


def _bad_escape(escape: str, offset: int) -> BadLiteral:
    expected, hint = (
        "one of \\n \\r \\t \\\" \\' \\\\ \\a \\b \\f \\v \\?, \\101, \\x41, \\u00e9",
        None,
    )
    letter = escape[1]
    if letter.isdigit() and letter < "8":
        expected = "an octal escape up to \\377 (one byte)"
    elif letter in "xX":
        expected = "one or two hexadecimal digits after \\x"
    elif len(escape) > 2:
        expected = "a Unicode character: \\U00000000 to \\U0010FFFF, no single surrogate"
    elif letter in "uU":
        expected = f"{4 if letter == 'u' else 8} hexadecimal digits after \\{letter}"
    else:
        hint = "write \\\\ for a backslash; in a path / works on Windows too"
    return BadLiteral(f'bad escape "{escape}"', expected, hint, offset=offset, width=len(escape))


def shortened(text: str, most: int = 40) -> str:
    """Text that fits into a message."""
    return text if len(text) <= most else text[: most - 3] + "..."
