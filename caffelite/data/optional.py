"""Optional packages: imported when first needed, and named when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from caffelite.errors import DataError, Problem


def need(module: str, package: str, what: str) -> Any:
    """Import `module` of the PyPI package `package`; `what` needs it. Raises DataError."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            Problem(
                f"{what} needs the package {package}, which cannot be imported: {error}",
                hint='pip install "caffelite[data]"',
            )
        ) from None
