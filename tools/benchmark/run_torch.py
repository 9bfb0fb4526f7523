"""PyTorch's part of `bench.py`: the same net as its users write it, trained and run as they do.

    python -m benchmark.run_torch FOLDER train|forward THREADS default|channels-last|export

FOLDER is what `run_prepare` left there. A training step is zero_grad, forward with the loss,
backward, torch.optim.SGD with momentum and weight decay, and reading the loss, as caffelite's step
does; inference is the module in eval() under inference_mode(). "channels-last" moves module and
images to that memory order, before the clock runs. "export" writes FOLDER/forward.onnx.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .child import apart, peak_mb, say, serve, skip

try:
    import torch

    from . import torch_layers  # noqa: F401  (each registers its translations)
    from .torch_module import Builder, Unknown, exportable
except ImportError as missing:
    skip(f"PyTorch is not installed ({missing})")

Tensor = Any


class Task:
    """The module of one pass with its batches."""

    def __init__(self, folder: str, which: str, last: bool) -> None:
        with open(os.path.join(folder, f"{which}.json")) as file:
            self.net = json.load(file)
        self.arrays = np.load(os.path.join(folder, f"{which}.npz"))
        self.training, self.last = which == "train", last
        try:
            self.built = Builder(self.net, self.arrays, self.training)
        except Unknown as why:
            skip(str(why))
        self.module = self.built.module
        if last:
            if not self.built.images:
                skip("no convolution, so nothing that channels-last memory would change")
            self.module.to(memory_format=torch.channels_last)
        self.optimizer: Any = self.built.optimizer() if self.training else None

    def tensor(self, name: str, values: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(values)
        if name in self.built.whole:
            return tensor.long()
        if self.last and tensor.ndim == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor

    def batch(self, k: int) -> list[Tensor]:
        k = 0 if self.net["fixed"] else k
        return [
            self.tensor(n, self.arrays[f"batch/{k}/{i}"]) for i, n in enumerate(self.net["inputs"])
        ]

    def step(self, batch: list[Tensor]) -> float:
        self.optimizer.zero_grad()
        loss = self.module(*batch)
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def difference(self) -> float:
        """The largest difference from what caffelite recorded; after it Dropout drops."""
        worst = 0.0
        for k in range(self.net["recorded"]):
            batch = self.batch(k)
            if self.training:
                got = np.array([self.step(batch)])
            else:
                with torch.inference_mode():
                    got = np.concatenate([out.numpy().ravel() for out in self.module(*batch)])
            worst = max(worst, apart(got, self.arrays[f"expected/{k}"]))
        for name, module in self.built.dropouts.items():
            module.p = self.net["dropout"][name]
        return worst

    def source(self) -> Callable[[], list[Tensor]]:
        """Batches: the spiral's points in a new order each epoch, or always the same."""
        fixed = self.batch(0)
        if "points" not in self.arrays:
            return lambda: fixed
        points: Any = torch.from_numpy(self.arrays["points"])
        labels, size = torch.from_numpy(self.arrays["labels"]).long(), len(fixed[0])

        def shuffled() -> Any:
            places: Any = torch.randperm(len(points))
            return places.split(size)

        at, order = 0, shuffled()

        def take() -> list[Tensor]:
            nonlocal at, order
            if at == len(order) or len(order[at]) < size:
                at, order = 0, shuffled()
            chosen = order[at]
            at += 1
            return [points[chosen], labels[chosen]]

        return take

    def export(self, path: str) -> None:
        warnings.simplefilter("ignore")  # the exporter that needs no further package is the old one
        names = list(self.net["inputs"])
        outputs = [f"out{i}" for i in range(len(self.net["outputs"]))]
        options: Any = {"input_names": names, "output_names": outputs, "opset_version": 17}
        module = exportable(self.module)
        torch.onnx.export(module, tuple(self.batch(0)), path, dynamo=False, **options)


def main(folder: str, which: str, threads: str, how: str) -> None:
    torch.set_num_threads(int(threads))
    imported = peak_mb()
    task = Task(folder, which, how == "channels-last")
    if how == "export":
        task.export(os.path.join(folder, "forward.onnx"))
        say(written="forward.onnx")
        return
    difference = task.difference()
    take = task.source()

    def run(count: int) -> None:
        if task.training:
            for _ in range(count):
                task.step(take())
            return
        with torch.inference_mode():
            for _ in range(count):
                task.module(*take())

    version = torch.__version__
    serve(
        run,
        version=version,
        versions={"torch": version, "numpy": np.__version__},
        import_mb=imported,
        difference=difference,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
