"""The engine `torch`: PyTorch's kernels, without autograd, on the memory of a planned net.

PyTorch is imported when the engine is chosen, never before: importing this package is free, its
modules are not.
"""
