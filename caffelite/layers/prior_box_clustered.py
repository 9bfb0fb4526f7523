"""PriorBoxClustered: the boxes that a detector starts from, each with sides of its own."""

from __future__ import annotations

from typing import ClassVar

from caffelite.layers.base import Shapes, register
from caffelite.layers.cases import Case, random
from caffelite.layers.prior_box import PriorBox


@register
class PriorBoxClustered(PriorBox):
    """As PriorBox, with boxes of the sides that the text lists, as clusters of a data set's boxes:
    at each cell one for each `width` and `height`, in this order, in pixels and not rounded.

    Gradient: none.
    Shapes: feature map (N, C, H, W), image (N, C, H, W); top (1, 2, H·W·boxes·4).
    Source: Intel's detectors (open_model_zoo); OpenVINO's operation of this name.
    """

    extension = "Intel (open_model_zoo), prior_box_param = 203"
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "PriorBoxClustered" prior_box_param { width: 4 height: 2 width: 1.5 height: 3 '
            "variance: 0.1 step: 4 }",
            # centres (2, 2) and (6, 2) of an 8 x 4 image
            {"x": random(1, 3, 1, 2), "image": random(1, 3, 4, 8)},
            {
                "priors": [
                    [
                        [
                            *(0.0, 0.25, 0.5, 0.75, 0.15625, 0.125, 0.34375, 0.875),
                            *(0.5, 0.25, 1.0, 0.75, 0.65625, 0.125, 0.84375, 0.875),
                        ],
                        [0.1] * 16,
                    ]
                ]
            },
        ),
        Case(
            'type: "PriorBoxClustered" prior_box_param { width: 6 height: 6 clip: true }',
            {"x": random(1, 1, 1, 1), "image": random(1, 1, 4, 10)},
            {"priors": [[[0.2, 0.0, 0.8, 1.0], [0.1] * 4]]},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        for name in ("width", "height"):
            self.need("prior_box_param", name, expected="width and height of each box")
        if len(p.width) != len(p.height):
            message = f"{len(p.width)} width for {len(p.height)} height"
            self._refuse(message, "width", "a width and a height for each box")
        for name in ("min_size", "max_size", "aspect_ratio"):
            if p.has(name):
                self._refuse(f"{name} is for PriorBox", name, "width and height alone")
        super().setup(bottom)

    def _sides(self) -> list[tuple[float, float]]:
        return list(zip(self.param.width, self.param.height, strict=True))
