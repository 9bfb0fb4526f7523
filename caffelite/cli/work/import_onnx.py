"""The work of `caffelite import-onnx`."""

from __future__ import annotations

import argparse
import os

from caffelite.cli.console import refuse_overwriting
from caffelite.cli.nets import given_shapes
from caffelite.schema.binary import write_atomically


def run(args: argparse.Namespace) -> int:
    """Import and verify; 0."""
    from caffelite.net import Net
    from caffelite.onnx.extra import require

    for package in ("onnx", "onnxruntime"):
        require(package)
    from caffelite.onnx.importing import import_model, verify_batches
    from caffelite.onnx.profiles import PROFILES, refuse
    from caffelite.onnx.rewriting import rewrite
    from caffelite.onnx.verify import check, in_lines
    from caffelite.schema.common import Phase

    weights = f"{os.path.splitext(args.output)[0]}.caffemodel"
    for target in (args.output, weights, f"{args.output}.verify.txt"):
        refuse_overwriting(args.model, target, args.force)
    imported = import_model(args.model, given_shapes(args))
    net = imported.fill(Net(imported.net, Phase.TEST, seed=0))
    if args.profile:
        profile = PROFILES[args.profile]
        imported = rewrite(imported, net, profile)
        net = imported.fill(Net(imported.net, Phase.TEST, seed=0))
        refuse(net, profile)
    reports, batch = verify_batches(imported, net, seed=args.seed, tolerance=args.tolerance)
    table = "\n\n".join(map(str, reports))
    print(table)
    check(reports, "the net")
    for note in [*imported.notes, batch]:
        print(in_lines(f"{args.output}: {note}"))
    net.save(weights)
    write_atomically(args.output, str(imported.net).encode("utf-8", "surrogateescape"))
    write_atomically(f"{args.output}.verify.txt", f"{table}\n".encode())
    summary = f"{len(net.layers)} layers; {weights}: {net.parameter_count} parameters"
    print(in_lines(f"{args.output}: {summary}"))
    return 0
