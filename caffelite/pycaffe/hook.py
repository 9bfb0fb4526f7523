"""The import hook: `import caffe` means `caffelite.pycaffe`.

It comes before all folders of `sys.path`, so that a tree of Caffe's sources there does not get in
the way. `caffe.io` is the very module `caffelite.pycaffe.io`: there is one of each.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from caffelite import mode
from caffelite.errors import CaffeliteError, Problem

NAME, HOME = "caffe", "caffelite.pycaffe"


class _Alias(Loader):
    """Gives the module of the other name; runs nothing twice."""

    def __init__(self, real: str) -> None:
        self._real = real
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._real)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has put the alias's there


class _Finder(MetaPathFinder):
    """Finds `caffe` and its modules in `caffelite.pycaffe`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != NAME and not fullname.startswith(NAME + "."):
            return None
        real = HOME + fullname[len(NAME) :]
        found = find_spec(real)
        if found is None:
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: of Caffe's Python interface caffelite has no such "
                "part",
                name=fullname,
            )
        is_package = found.submodule_search_locations is not None
        return ModuleSpec(fullname, _Alias(real), origin=found.origin, is_package=is_package)


_FINDER = _Finder()


def install() -> None:
    """From now on `import caffe` means `caffelite.pycaffe`. Raises CaffeliteError if another caffe
    has been imported already."""
    other = sys.modules.get(NAME)
    if other is not None and other.__name__ != HOME:
        raise CaffeliteError(
            Problem(
                f"another caffe has been imported already, {getattr(other, '__file__', '')}",
                hint="install the hook before the first `import caffe`",
            )
        )
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def import_layers(name: str) -> ModuleType:
    """The module of a `Python` layer, in which `import caffe` means this."""
    install()
    return import_module(name)


def allow_layers() -> None:
    """Let `Python` layers run, as in Caffe: a program that makes its nets by pycaffe's names has
    decided to."""
    mode.request.import_layers = import_layers


def uninstall() -> None:
    """`import caffe` means what it did before; who has imported it keeps what he has."""
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
    for name in [n for n in sys.modules if n == NAME or n.startswith(NAME + ".")]:
        del sys.modules[name]
