"""ONNX's backend tests: none imports wrongly, and as many import as the table says.

`python -m tests.onnx.backend` runs them all and prints why the others do not.
"""

from __future__ import annotations

import json

import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from .backend import SHIPPED, TABLE, counted, versions


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")
def test_as_many_import_as_the_table_says() -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    found = counted(SHIPPED)
    assert not any(count.get("wrong") for count in [*found.values(), table["node"]])
    if {name: table[name] for name in versions()} != versions():
        pytest.skip("the table was made with other versions of onnx and onnxruntime")
    assert found == {kind: table[kind] for kind in SHIPPED}
