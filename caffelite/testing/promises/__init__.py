"""The promises, in the order in which they are held against a layer."""

from caffelite.testing.promises import forward

# isort: split
from caffelite.testing.promises import backward

# isort: split
from caffelite.testing.promises import life

__all__ = ["backward", "forward", "life"]
