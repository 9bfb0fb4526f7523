"""What AnnotatedData says: how parts of its images are drawn."""

from __future__ import annotations

from caffelite.schema.message import Message, field


class Sampler(Message):
    """Bounds of a part of an image that is drawn."""

    min_scale: float = field(
        1, "float", default=1.0, above=0, most=1, doc="least √(area), in parts of the image"
    )
    max_scale: float = field(2, "float", default=1.0, above=0, most=1, doc="largest √(area)")
    min_aspect_ratio: float = field(
        3, "float", default=1.0, above=0, below=1e6, doc="least width / height"
    )
    max_aspect_ratio: float = field(
        4, "float", default=1.0, above=0, below=1e6, doc="largest width / height"
    )


class SampleConstraint(Message):
    """What a drawn part must have in common with one of the objects."""

    min_jaccard_overlap: float = field(
        1, "float", doc="least common area over the area of both together"
    )
    max_jaccard_overlap: float = field(2, "float", doc="most of it")
    min_sample_coverage: float = field(
        3, "float", doc="least share of the part that the object covers"
    )
    max_sample_coverage: float = field(4, "float", doc="most of it")
    min_object_coverage: float = field(
        5, "float", doc="least share of the object that lies in the part"
    )
    max_object_coverage: float = field(6, "float", doc="most of it")


class BatchSampler(Message):
    """How parts of images are drawn."""

    use_original_image: bool = field(
        1, "bool", default=True, doc="draw from the image; false: this sampler draws nothing"
    )
    sampler: Sampler = field(2, Sampler, doc="how large they are")
    sample_constraint: SampleConstraint = field(3, SampleConstraint, doc="which of them count")
    max_sample: int = field(4, "uint32", doc="stop at so many that count; left out: at no number")
    max_trials: int = field(5, "uint32", default=100, most=10_000, doc="draw at most so many")
