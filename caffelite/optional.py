"""Optional packages: imported when first needed, and named when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from caffelite.errors import CaffeliteError, DataError, Problem


def need(
    module: str,
    package: str,
    what: str,
    *,
    install: str = "caffelite[data]",
    error: type[CaffeliteError] = DataError,
) -> Any:
    """Import `module` of the PyPI package `package`; `what` needs it. `install` is what to give to
    pip. Raises `error`."""
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        raise error(
            Problem(
                f"{what} needs the package {package}, which cannot be imported: {missing}",
                hint=f'pip install "{install}"',
            )
        ) from None
