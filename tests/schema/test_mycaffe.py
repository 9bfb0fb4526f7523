"""MyCaffe's own words: the phase RUN, its database, fields that its data layers have."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError, SchemaError
from caffelite.files import parse_net
from caffelite.layers.base import Context
from caffelite.plan.build import plan_net
from caffelite.plan.graph import state_for
from caffelite.report.standin import stand_in
from caffelite.schema.common import Phase

INPUT = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "t" type: "TanH" bottom: "x" top: "y" }
"""


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.TEST])
def test_a_layer_for_the_phase_run_is_in_no_net(phase: Phase) -> None:
    run = 'layer { name: "s" type: "Sigmoid" bottom: "y" top: "y" include { phase: RUN } }'
    both = 'layer { name: "r" type: "ReLU" bottom: "y" top: "y" exclude { phase: RUN } }'
    net = caffelite.Net(parse_net(INPUT + run + both), phase)
    assert list(net.layer_dict) == ["in", "t", "r"]


def test_another_word_is_no_phase() -> None:
    with pytest.raises(SchemaError, match="phase cannot be RUNS"):
        parse_net(INPUT + 'layer { name: "s" type: "TanH" include { phase: RUNS } }')


DATA = """
layer {{ name: "data" type: "Data" top: "x" top: "label"
  transform_param {{ color_order: RGB crop_size: 8 }}
  data_param {{ source: "MNIST" batch_size: 2 backend: {backend} images_per_blob: 2 }} }}
layer {{ name: "pair" type: "Slice" bottom: "x" top: "a" top: "b" }}
"""


def test_its_database_has_stand_ins_of_stacked_images() -> None:
    net = parse_net(DATA.format(backend="IMAGEDB"))
    state = state_for(net, Phase.TEST)
    with pytest.raises(NetError, match="backend is a field of MyCaffe"):
        plan_net(net, state, Context(Phase.TEST, data=False))
    plan = plan_net(stand_in(net, [state], {}), state, Context(Phase.TEST))
    shapes = {version.name: shape for version, shape in plan.shapes.items()}
    assert (shapes["x"], shapes["b"]) == ((2, 6, 8, 8), (2, 3, 8, 8))


def test_another_word_is_no_database() -> None:
    with pytest.raises(SchemaError, match="backend cannot be IMAGDB"):
        parse_net(DATA.format(backend="IMAGDB"))


def test_a_source_that_a_fork_s_field_refuses_has_a_stand_in() -> None:
    net = parse_net(
        'layer { name: "m" type: "MemoryData" top: "x" transform_param { color_order: BGR } '
        "memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 label_type: NONE } }"
    )
    state = state_for(net, Phase.TEST)
    with pytest.raises(NetError, match="color_order is a field of MyCaffe"):
        plan_net(net, state, Context(Phase.TEST))
    assert stand_in(net, [state], {}).layer[0].type == "DummyData"


def test_its_lstm_is_caffe_s() -> None:
    text = """
      layer {{ name: "in" type: "Input" top: "x" top: "cont"
        input_param {{ shape {{ dim: 3 dim: 2 dim: 4 }} shape {{ dim: 3 dim: 2 }} }} }}
      layer {{ name: "l" type: "{kind}" bottom: "x" bottom: "cont" top: "h"
        recurrent_param {{ num_output: 5 weight_filler {{ type: "xavier" }} }} }}"""
    nets = [
        caffelite.Net(parse_net(text.format(kind=k)), caffelite.TEST, seed=3)
        for k in ("Lstm", "LSTM")
    ]
    for net in nets:
        net.blobs["x"].data[...] = np.arange(24).reshape(3, 2, 4) / 24
        net.blobs["cont"].data[1:] = 1
    first, second = (net.forward()["h"] for net in nets)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first).max() > 0.01


def test_two_words_for_one_margin() -> None:
    with pytest.raises(NetError, match="margin and alpha are both given"):
        caffelite.Net(
            parse_net(
                'input: "a" input_shape { dim: 1 dim: 2 } layer { name: "t" type: "TripletLoss" '
                'bottom: "a" bottom: "a" bottom: "a" triplet_loss_param { alpha: 1 margin: 2 } }'
            ),
            caffelite.TRAIN,
        )


def test_matches_are_asked_for() -> None:
    with pytest.raises(NetError, match="has 2 tops"):
        caffelite.Net(
            parse_net(
                'input: "a" input_shape { dim: 1 dim: 2 } input: "s" input_shape { dim: 1 } '
                'layer { name: "c" type: "ContrastiveLoss" bottom: "a" bottom: "a" bottom: "s" '
                'top: "loss" top: "match" }'
            ),
            caffelite.TRAIN,
        )
