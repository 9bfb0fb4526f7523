"""Arrays handed to a net, as pycaffe's scripts do."""

import numpy as np
import pytest

from caffelite import TEST, Net
from caffelite.errors import NetError
from caffelite.files import parse_net
from caffelite.schema.net import LayerParameter, NetParameter

MEMORY = (
    'layer { name: "d" type: "MemoryData" top: "data" top: "label" memory_data_param '
    "{ batch_size: 2 channels: 1 height: 1 width: 3 } }"
)


def test_arrays_are_served_in_batches() -> None:
    net = Net(parse_net(MEMORY), TEST)
    net.set_input_arrays(np.arange(12).reshape(4, 1, 1, 3), np.arange(4))
    assert net.forward()["label"].tolist() == [0, 1]
    assert net.forward()["data"].ravel().tolist() == [6, 7, 8, 9, 10, 11]


def test_a_net_without_memory_refuses_them() -> None:
    net = Net(
        parse_net(
            'layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 1 } } }'
        ),
        TEST,
    )
    with pytest.raises(NetError, match="no MemoryData layer"):
        net.set_input_arrays(np.zeros((2, 1, 1, 3)), np.zeros(2))


def test_a_message_with_old_inputs_is_brought_up_to_date() -> None:
    old = NetParameter(
        input=["x"],
        input_shape=[{"dim": [2, 3]}],
        layer=[LayerParameter(name="r", type="ReLU", bottom=["x"], top=["y"])],
    )
    assert Net(old, TEST).inputs == ["x"]
