"""The processor: which of OpenBLAS's kernels suit it, where OpenBLAS does not find that out.

NumPy's wheels bring an OpenBLAS that takes AMD's processors with AVX-512 for ones without (so does
0.3.31 with Zen 5); its matrix products then run at about half their speed. OpenBLAS reads the
variable OPENBLAS_CORETYPE when it is loaded, with NumPy.
Source: https://www.openmathlib.org/OpenBLAS/docs/runtime_variables/
"""

from __future__ import annotations

import os
import sys

VARIABLE, KERNELS = "OPENBLAS_CORETYPE", "SkylakeX"
NEEDED = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}
"""What these kernels use, by Linux's names."""
CPUINFO = "/proc/cpuinfo"
ENOUGH = 8192
"""Bytes that tell of the first core; of hundreds it takes long to tell."""


def choose_kernels() -> None:
    """Name the kernels for OpenBLAS, unless that was done, or NumPy is loaded already."""
    if "numpy" in sys.modules or os.environ.get(VARIABLE):
        return
    try:
        with open(CPUINFO, encoding="ascii", errors="replace") as file:
            text = file.read(ENOUGH)
    except OSError:
        return
    if suits(text):
        os.environ[VARIABLE] = KERNELS


def suits(cpuinfo: str) -> bool:
    """Is this a processor of AMD's that has all that the kernels need?"""
    facts: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    flags = set(facts.get("flags", "").split())
    return facts.get("vendor_id") == "AuthenticAMD" and flags >= NEEDED
