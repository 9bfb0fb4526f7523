"""ContrastiveLoss: the gradient of dissimilar pairs, with Caffe's guard."""

import numpy as np

from caffelite.layers.cases import Case
from caffelite.testing import Bench


def test_gradient_of_dissimilar_pairs() -> None:
    # distances 5, 10 and 0, margin 6
    bench = Bench(
        Case(
            'type: "ContrastiveLoss" contrastive_loss_param { margin: 6 }',
            {
                "a": [[3.0, 4.0], [6.0, 8.0], [1.0, 1.0]],
                "b": [[0, 0], [0, 0], [1, 1]],
                "s": [0] * 3,
            },
        )
    )
    bench.top_diff[0][...] = 1
    bench.run()
    pushed = -(6 - 5) / (5 + 1e-4) / 3
    expected = np.array([[3 * pushed, 4 * pushed], [0, 0], [0, 0]])
    np.testing.assert_allclose(bench.bottom_diff[0], expected, atol=1e-12)
    np.testing.assert_allclose(bench.bottom_diff[1], -expected, atol=1e-12)
