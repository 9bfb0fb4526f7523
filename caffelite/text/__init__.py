"""The protobuf text format: text ↔ a tree of blocks. It knows nothing of nets."""

from caffelite.text.dump import dump, scalar_text
from caffelite.text.parse import parse
from caffelite.text.read import read_source
from caffelite.text.tree import NOWHERE, Block, Field, Scalar

__all__ = ["NOWHERE", "Block", "Field", "Scalar", "dump", "parse", "read_source", "scalar_text"]
