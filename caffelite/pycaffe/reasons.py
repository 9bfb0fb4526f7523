"""Why a script of Caffe's days fails for other reasons than Caffe: Python 2, names that NumPy has
dropped, code that an old protoc generated. Each is named, with what to write instead."""

from __future__ import annotations

import re
from types import ModuleType
from typing import NamedTuple


class Reason(NamedTuple):
    """What is the matter, what to do, and the word in the line that shows it."""

    what: str
    instead: str
    word: str = ""


ALL_AT_ONCE = "`2to3 -w FILE`, which comes with Python up to 3.12, changes a whole file"

SYNTAX = [
    ("call to 'print'", "the print statement", "print(...)", "print"),
    ("call to 'exec'", "the exec statement", "exec(...)", "exec"),
    ("exception types must be parenthesized", "`except E, e`", "except E as e:", "except"),
    ("leading zeros in decimal", "an octal number that begins with 0", "0o755", ""),
    ("inconsistent use of tabs", "tabs and spaces mixed", "spaces alone", ""),
]
"""A part of Python's message, what it is in Python 2, what to write."""
LINES = [
    (r"^\s*raise\s+\w[\w.]*\s*,", "`raise E, text`", "raise E(text)", "raise"),
    (r"`[^`]*`", "backquotes", "repr(x)", "`"),
    (r"<>", "the operator <>", "!=", "<>"),
    (r"\bur['\"]", "a string of the kind ur''", "r''", "ur"),
    (r"\b\d+[lL]\b", "a long number", "the number without L", ""),
    (r"lambda\s*\(|def\s+\w+\(.*\(\w+\s*,", "a parameter in brackets", "one name, then p[0]", ""),
]
"""What a line looks like in Python 2, what it is, what to write."""

BUILTINS = {
    "xrange": "range",
    "unicode": "str",
    "basestring": "str",
    "raw_input": "input",
    "unichr": "chr",
    "long": "int",
    "reduce": "functools.reduce",
    "file": "open",
    "execfile": "exec(open(path).read())",
    "reload": "importlib.reload",
    "cmp": "(a > b) - (a < b)",
    "apply": "f(*args)",
}
MODULES = {
    "cPickle": "pickle",
    "Queue": "queue",
    "StringIO": "io",
    "cStringIO": "io",
    "urllib2": "urllib.request",
    "urlparse": "urllib.parse",
    "httplib": "http.client",
    "ConfigParser": "configparser",
    "Tkinter": "tkinter",
    "commands": "subprocess",
    "__builtin__": "builtins",
    "SocketServer": "socketserver",
    "BaseHTTPServer": "http.server",
    "thread": "_thread",
    "sets": "set",
}
MEMBERS = {
    "iteritems": "items",
    "itervalues": "values",
    "iterkeys": "keys",
    "has_key": "the operator `in`",
}
NUMPY = {
    **dict.fromkeys(["float", "int", "bool", "object", "str", "complex"], "the name without np."),
    **{"long": "int", "unicode": "str", "float_": "np.float64", "complex_": "np.complex128"},
    **{"Inf": "np.inf", "Infinity": "np.inf", "infty": "np.inf", "NaN": "np.nan", "NAN": "np.nan"},
    **{"asscalar": "x.item()", "product": "np.prod", "cumproduct": "np.cumprod"},
    **{"alltrue": "np.all", "sometrue": "np.any", "row_stack": "np.vstack", "in1d": "np.isin"},
    **{"trapz": "np.trapezoid", "typeDict": "np.sctypeDict", "msort": "np.sort(x, axis=0)"},
    **{"string_": "np.bytes_", "unicode_": "np.str_", "find_common_type": "np.result_type"},
}
OTHERS = {
    ("time", "clock"): "time.perf_counter",
    ("sys", "maxint"): "sys.maxsize",
    ("string", "letters"): "string.ascii_letters",
    ("string", "maketrans"): "str.maketrans",
    ("string", "join"): "the method of a string",
    ("os", "getcwdu"): "os.getcwd",
    ("itertools", "izip"): "zip",
    ("itertools", "imap"): "map",
    ("itertools", "ifilter"): "filter",
    ("itertools", "izip_longest"): "itertools.zip_longest",
    ("inspect", "getargspec"): "inspect.getfullargspec",
    ("collections", "Iterable"): "collections.abc.Iterable",
    ("collections", "Mapping"): "collections.abc.Mapping",
    ("scipy.misc", "imread"): "caffe.io.load_image, or PIL.Image.open",
    ("scipy.misc", "imresize"): "caffe.io.resize_image, or PIL's Image.resize",
    ("scipy.misc", "imsave"): "PIL's Image.save",
}
"""Module and name, and what it is called now."""
MESSAGES = [
    (r"'(dict_\w+|map|filter|zip)' object is not subscriptable", "lists were made here", "list(x)"),
    (r"object of type '(map|filter|zip)' has no len", "lists were made here", "list(x)"),
    (
        r"'(numpy\.)?float\w*' object cannot be interpreted as an integer|"
        r"slice indices must be integers|only integers, slices|"
        r"can't multiply sequence by non-int of type 'float'|"
        r"Unknown format code 'd' for object of type 'float'",
        "a / b of whole numbers was a whole number",
        "a // b",
    ),
    (r"a bytes-like object is required, not 'str'", "text and bytes were one", "x.encode()"),
    (r"'str' object has no attribute 'decode'", "text and bytes were one", "x, as it is text"),
    (r"'utf-8' codec can't decode byte", "text and bytes were one", 'open(path, "rb") for bytes'),
    (r"StringIO cannot be used to open an image", "text and bytes were one", "io.BytesIO"),
]
"""What Python says, what was so in Python 2, what to write."""


def reason(error: BaseException, files: list[str]) -> Reason | None:
    """The reason that is known for this error, if any; `files` are those that it went through."""
    stale = [f for f in files if f.endswith("caffe_pb2.py") and "caffelite" not in f]
    if stale:
        return Reason(
            f"{stale[-1]} was generated by a protoc that the protobuf here does not go with",
            "`from caffe.proto import caffe_pb2`, which needs no generated code, and leave that "
            "file out",
            "import",
        )
    if isinstance(error, SyntaxError):
        return _syntax(error)
    name = str(getattr(error, "name", None) or "")
    if isinstance(error, NameError) and name in BUILTINS:
        return _python2(f"`{name}`", BUILTINS[name], name)
    if isinstance(error, ModuleNotFoundError) and name in MODULES:
        return _python2(f"the module `{name}`", MODULES[name], name)
    found = _member(error, name)
    if found is not None:
        return found
    if isinstance(error, ValueError) and "binary mode of fromstring is removed" in str(error):
        return Reason("NumPy has dropped np.fromstring of bytes", "np.frombuffer", "fromstring")
    for pattern, then, instead in MESSAGES:
        if isinstance(error, (TypeError, IndexError, AttributeError, ValueError)) and re.search(
            pattern, str(error)
        ):
            return Reason(f"in Python 2 {then}: {error}", instead)
    return None


def _python2(what: str, instead: str, word: str) -> Reason:
    return Reason(f"{what} is Python 2", instead, word)


def _syntax(error: SyntaxError) -> Reason | None:
    for part, what, instead, word in SYNTAX:
        if part in (error.msg or ""):
            return _python2(what, f"{instead}; {ALL_AT_ONCE}", word)
    for pattern, what, instead, word in LINES:
        if re.search(pattern, error.text or ""):
            return _python2(what, f"{instead}; {ALL_AT_ONCE}", word)
    return None


def _member(error: BaseException, name: str) -> Reason | None:
    """A name that an object, or a module, had once."""
    if isinstance(error, ImportError):
        missing = re.match(r"cannot import name '(\w+)' from '([\w.]+)'", str(error))
        home, name = (missing[2], missing[1]) if missing else ("", "")
    elif isinstance(error, AttributeError):
        home = error.obj.__name__ if isinstance(error.obj, ModuleType) else ""
        numpys = re.match(r"(?:module 'numpy' has no attribute '|`np\.)(\w+)", str(error))
        home, name = ("numpy", numpys[1]) if numpys else (home, name)
    else:
        return None
    if home == "numpy" and name in NUMPY:
        return Reason(f"NumPy has dropped np.{name}", NUMPY[name], name)
    if (home, name) in OTHERS:
        return Reason(f"there is no {home}.{name} any more", OTHERS[home, name], name)
    if isinstance(error, AttributeError) and not home and name in MEMBERS:
        return _python2(f"`{name}`", MEMBERS[name], name)
    return None
