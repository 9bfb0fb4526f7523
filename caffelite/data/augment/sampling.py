"""Parts of images that are drawn, and held against the objects in them: `batch_sampler`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from caffelite.blob import Array
from caffelite.data.augment.boxes import UNIT, covered, covers, jaccard, locate
from caffelite.schema.sampling import BatchSampler, SampleConstraint, Sampler


def sample(
    objects: Array, samplers: Sequence[BatchSampler], rng: np.random.Generator
) -> Array | None:
    """One of the parts (4,) that the samplers find in an image with these objects (number, 4); None
    if they find none. All are drawn first, then one of them."""
    found: list[Array] = []
    for sampler in samplers:
        if sampler.use_original_image:
            found += _parts(objects, sampler, rng)
    return found[int(rng.integers(len(found)))] if found else None


def _parts(objects: Array, sampler: BatchSampler, rng: np.random.Generator) -> list[Array]:
    found: list[Array] = []
    most = sampler.max_sample if sampler.has("max_sample") else math.inf
    for _ in range(sampler.max_trials):
        if len(found) >= most:
            break
        part = locate(UNIT, draw_part(sampler.sampler, rng))
        if satisfies(part, objects, sampler.sample_constraint):
            found.append(part)
    return found


def draw_part(sampler: Sampler, rng: np.random.Generator) -> Array:
    """A part of the scale s and the aspect ratio a: s·√a wide, s/√a high, anywhere in the image. A
    ratio that would make it larger than the image is brought nearer to 1, to s² or 1/s²."""
    scale = rng.uniform(sampler.min_scale, sampler.max_scale)
    ratio = rng.uniform(sampler.min_aspect_ratio, sampler.max_aspect_ratio)
    ratio = min(max(ratio, scale**2), 1 / scale**2)
    width, height = min(scale * math.sqrt(ratio), 1.0), min(scale / math.sqrt(ratio), 1.0)
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return np.array([x, y, x + width, y + height])


def satisfies(part: Array, objects: Array, constraint: SampleConstraint) -> bool:
    """Is there an object whose measures all lie in the bounds? Without bounds: yes.

    (With bounds on more than one measure the original may take a part too if only the first one
    lies in its bounds.)"""
    measures: tuple[tuple[str, Callable[[], Array]], ...] = (
        ("jaccard_overlap", lambda: jaccard(part, objects)),
        ("sample_coverage", lambda: covers(part, objects)),
        ("object_coverage", lambda: covered(objects, part)),
    )
    fits = np.ones(len(objects), bool)
    bound = False
    for name, measure in measures:
        low, high = f"min_{name}", f"max_{name}"
        if not (constraint.has(low) or constraint.has(high)):
            continue
        bound = True
        values = measure()
        if constraint.has(low):
            fits &= values >= constraint.get(low)
        if constraint.has(high):
            fits &= values <= constraint.get(high)
    return not bound or bool(fits.any())
