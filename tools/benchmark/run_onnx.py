"""ONNX Runtime's part of `bench.py`: inference of the net as PyTorch exports it.

    python -m benchmark.run_onnx FOLDER forward THREADS ...    (started by bench.py)

FOLDER/forward.onnx is what `run_torch ... export` wrote. The session's settings are the usual ones:
all optimisations, the CPU.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np

from .child import apart, peak_mb, serve, skip

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # asked once, at the import
try:
    import onnxruntime
except ImportError as missing:
    skip(f"ONNX Runtime is not installed ({missing})")


def main(folder: str, which: str, threads: str, *_: str) -> None:
    imported = peak_mb()
    with open(os.path.join(folder, f"{which}.json")) as file:
        net = json.load(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        os.path.join(folder, f"{which}.onnx"), options, providers=["CPUExecutionProvider"]
    )
    kinds = {given.name: given.type for given in session.get_inputs()}  # unused ones are not there
    feeds: dict[str, np.ndarray] = {}
    difference = 0.0
    with np.load(os.path.join(folder, f"{which}.npz")) as arrays:
        for k in range(net["recorded"]):
            for i, name in enumerate(net["inputs"]):
                if name in kinds:
                    values = arrays[f"batch/{0 if net['fixed'] else k}/{i}"]
                    feeds[name] = values.astype(np.int64) if "int64" in kinds[name] else values
            got = np.concatenate([np.ravel(out) for out in session.run(None, feeds)])
            difference = max(difference, apart(got, arrays[f"expected/{k}"]))

    def run(count: int) -> None:
        for _ in range(count):
            session.run(None, feeds)

    version = onnxruntime.__version__
    serve(
        run,
        version=version,
        versions={"onnxruntime": version, "numpy": np.__version__},
        import_mb=imported,
        difference=difference,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
