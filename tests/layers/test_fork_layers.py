"""Which class a layer of a fork's file gets, and nets of such layers in one piece."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net
from caffelite.layers.base import Context, layer_class
from caffelite.plan.build import plan_net
from caffelite.plan.graph import state_for
from caffelite.schema.common import Phase


def kind(text: str) -> str:
    cls = layer_class(parse_net(f'layer {{ name: "a" bottom: "x" top: "y" {text} }}').layer[0])
    assert cls is not None
    return cls.type


@pytest.mark.parametrize(
    "text, expected",
    [
        ('type: "BatchNorm"', "BatchNorm"),
        ('type: "BatchNorm" batch_norm_param { scale_bias: true }', "ScaledBatchNorm"),
        ('type: "BatchNorm" batch_norm_param { filler { value: 1 } }', "ScaledBatchNorm"),
        ('type: "ReLU" relu_param { relu6: true }', "ReLU6"),
        ('type: "Dropout" dropout_param { scale_train: false }', "ForkDropout"),
        ('type: "Dropout" dropout_param { scale_train: true }', "Dropout"),
        ('type: "Pooling" pooling_param { pool: AVE_EXC_PAD kernel_size: 2 }', "PaddedPooling"),
        ('type: "Pooling" pooling_param { pad_r: 1 kernel_size: 2 }', "PaddedPooling"),
        ('type: "Pooling" pooling_param { pad_r: 1 pad_l: 1 kernel_size: 2 }', "Pooling"),
        ('type: "Convolution" convolution_param { pad_b: 1 kernel_size: 2 }', "PaddedConvolution"),
        ('type: "Convolution" convolution_param { pad_b: 1 pad_t: 1 }', "Convolution"),
        ('type: "Pooling" pooling_param { kernel_size: 2 kernel_depth: 2 }', "Pooling3D"),
        ('type: "Convolution" convolution_param { temporal_stride: 2 }', "Convolution3D"),
        (
            'type: "Python" python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" }',
            "Proposal",
        ),
        (
            'type: "Python" python_param { module: "x.anchor_target_layer" '
            'layer: "AnchorTargetLayer" }',
            "AnchorTarget",
        ),
        ('type: "Python" python_param { module: "mine" layer: "Mine" }', "Python"),
    ],
)
def test_the_class(text: str, expected: str) -> None:
    assert kind(text) == expected


def test_alike_pads_are_those_of_caffe() -> None:
    def run(pads: str) -> np.ndarray:
        net = caffelite.Net(
            parse_net(
                'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 '
                'dim: 4 dim: 5 } } } layer { name: "c" type: "Convolution" bottom: "x" top: "y" '
                f"convolution_param {{ num_output: 2 kernel_size: 3 {pads} "
                'weight_filler { type: "xavier" } } }'
            ),
            caffelite.TEST,
            seed=1,
        )
        net.blobs["x"].data[...] = np.arange(40).reshape(1, 2, 4, 5)
        net.forward()
        return np.array(net.blobs["y"].data)

    sides = run("pad_l: 1 pad_r: 1 pad_t: 2 pad_b: 2")
    np.testing.assert_array_equal(sides, run("pad_h: 2 pad_w: 1"))
    # as the same with a wider pad, of which the first row and column are left out
    np.testing.assert_allclose(
        run("pad_l: 1 pad_r: 2 pad_t: 1 pad_b: 2"), run("pad: 2")[:, :, 1:, 1:], atol=1e-5
    )


@pytest.mark.parametrize(
    "text, word",
    [
        ('type: "BN" bn_param { momentum: 0.5 bn_mode: LEARN }', "of PSPNet's BN"),
        (
            'type: "Deconvolution" convolution_param { num_output: 1 kernel_size: 2 pad_l: 1 }',
            "side",
        ),
        (
            'type: "Deconvolution" convolution_param { num_output: 1 kernel_size: 2 '
            "kernel_depth: 1 }",
            "for Convolution3D",
        ),
        (
            'type: "Convolution3D" convolution_param { num_output: 1 kernel_size: 2 '
            "kernel_depth: 1 }",
            "3 spatial axes",
        ),
        (
            'type: "Convolution" convolution_param { num_output: 1 kernel_size: 2 pad: 1 '
            "pad_l: 1 }",
            "go alone",
        ),
    ],
)
def test_refusals(text: str, word: str) -> None:
    net = parse_net(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 4 '
        f'dim: 5 }} }} }} layer {{ name: "a" bottom: "x" top: "y" {text} }}'
    )
    with pytest.raises(NetError, match=word):
        plan_net(net, state_for(net, Phase.TEST), Context(Phase.TEST))


def test_region_proposals_in_a_deploy_net() -> None:
    """ProposalLayer of Python, its regions pooled by position: R-FCN's end, in small."""
    net = caffelite.Net(
        parse_net(
            'input: "scores" input_shape { dim: 1 dim: 18 dim: 3 dim: 4 } '
            'input: "deltas" input_shape { dim: 1 dim: 36 dim: 3 dim: 4 } '
            'input: "im_info" input_shape { dim: 1 dim: 3 } '
            'layer { name: "p" type: "Python" bottom: "scores" bottom: "deltas" bottom: "im_info" '
            'top: "rois" python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" '
            "param_str: \"'feat_stride': 16, 'scales': [1, 2, 3]\" } } "
            'layer { name: "pool" type: "PSROIPooling" bottom: "scores" bottom: "rois" top: "y" '
            "psroi_pooling_param { spatial_scale: 0.0625 output_dim: 2 group_size: 3 } }"
        ),
        caffelite.TEST,
    )
    rng = np.random.default_rng(0)
    net.blobs["scores"].data[...] = rng.uniform(size=(1, 18, 3, 4))
    net.blobs["im_info"].data[...] = (48, 64, 1)
    net.forward()
    rois = net.blobs["rois"].data
    assert rois.shape[1] == 5 and 1 < len(rois) <= 108
    assert rois[:, 1:].min() >= 0 and rois[:, 3].max() <= 63 and rois[:, 4].max() <= 47
    assert net.blobs["y"].data.shape == (len(rois), 2, 3, 3)


def test_the_centres_move_to_their_samples() -> None:
    """CenterLoss's rule, (Σ c − x)/(1 + k), whatever the loss weight; the features' gradient."""
    net = caffelite.Net(
        parse_net(
            'force_backward: true input: "x" input_shape { dim: 3 dim: 1 } input: "label" '
            'input_shape { dim: 3 } layer { name: "c" type: "CenterLoss" bottom: "x" '
            'bottom: "label" top: "loss" loss_weight: 6 center_loss_param { num_output: 3 } }'
        ),
        caffelite.TRAIN,
    )
    net.params["c"][0].data[...] = [[1.0], [0.0], [5.0]]
    net.blobs["x"].data[...] = [[2.0], [4.0], [-1.0]]
    net.blobs["label"].data[...] = [0, 0, 1]
    net.forward()
    net.backward()
    assert net.blobs["loss"].data == pytest.approx((1 + 9 + 1) / 6)
    np.testing.assert_allclose(net.params["c"][0].diff, [[-4 / 3], [1 / 2], [0]], rtol=1e-6)
    np.testing.assert_allclose(net.blobs["x"].diff, [[2], [6], [-2]], rtol=1e-6)


def test_the_losses_of_hard_examples_add_up() -> None:
    """R-FCN's end: the losses of each region, of its class and of its box, go into one Eltwise."""
    net = caffelite.Net(
        parse_net(
            'input: "score" input_shape { dim: 3 dim: 2 dim: 1 dim: 1 } '
            'input: "label" input_shape { dim: 3 } '
            'input: "box" input_shape { dim: 3 dim: 8 dim: 1 dim: 1 } '
            'input: "target" input_shape { dim: 3 dim: 8 } '
            'layer { name: "c" type: "SoftmaxWithLossOHEM" bottom: "score" bottom: "label" '
            'top: "a" top: "p" top: "each_class" } '
            'layer { name: "b" type: "SmoothL1LossOHEM" bottom: "box" bottom: "target" top: "l" '
            'top: "each_box" } '
            'layer { name: "e" type: "Eltwise" bottom: "each_class" bottom: "each_box" '
            'top: "each" }'
        ),
        caffelite.TRAIN,
    )
    net.blobs["target"].data[1, 0] = 3
    net.forward()
    np.testing.assert_allclose(
        net.blobs["each"].data.ravel(), np.log(2) + np.array([0, 2.5, 0]), rtol=1e-6
    )


def test_a_net_of_c3d() -> None:
    """In the V1 format, as C3D's files are."""
    net = caffelite.Net(
        parse_net(
            'input: "x" input_shape { dim: 1 dim: 2 dim: 5 dim: 6 dim: 6 } '
            'layers { name: "c" type: CONVOLUTION3D bottom: "x" top: "c" convolution_param { '
            "num_output: 3 kernel_size: 3 kernel_depth: 3 pad: 1 temporal_pad: 1 } } "
            'layers { name: "p" type: POOLING3D bottom: "c" top: "p" pooling_param { pool: MAX '
            "kernel_size: 2 stride: 2 kernel_depth: 2 temporal_stride: 2 } }"
        ),
        caffelite.TEST,
    )
    assert [layer.type for layer in net.layers[1:]] == ["Convolution3D", "Pooling3D"]
    assert net.params["c"][0].shape == (3, 2, 3, 3, 3)
    rng = np.random.default_rng(0)
    net.params["c"][0].data[...] = rng.uniform(-1, 1, (3, 2, 3, 3, 3))
    net.blobs["x"].data[...] = rng.uniform(-1, 1, (1, 2, 5, 6, 6))
    net.forward()
    c, p = net.blobs["c"].data, net.blobs["p"].data
    assert c.shape == (1, 3, 5, 6, 6) and p.shape == (1, 3, 3, 3, 3)
    assert p[0, 1, 2, 1, 2] == c[0, 1, 4:, 2:4, 4:].max()
    assert p[0, 2, 0, 0, 0] == c[0, 2, :2, :2, :2].max()


def test_scales_of_a_python_proposal_may_be_a_tuple_of_yamls() -> None:
    text = """
        layer { name: "in" type: "Input" top: "s" top: "d" top: "info" input_param {
          shape { dim: 1 dim: 24 dim: 4 dim: 4 } shape { dim: 1 dim: 48 dim: 4 dim: 4 }
          shape { dim: 1 dim: 3 } } }
        layer { name: "p" type: "Python" bottom: "s" bottom: "d" bottom: "info" top: "rois"
          python_param { module: "rpn.proposal_layer" layer: "ProposalLayer"
          param_str: "'feat_stride': 16 \\n'scales': !!python/tuple [4, 8, 16, 32]" } }"""
    net = caffelite.Net(parse_net(text), caffelite.TEST, seed=1)
    assert len(net.layer_dict["p"].anchors) == 12  # 4 scales, 3 ratios


def test_rates_beside_frozen_are_passed_over() -> None:
    text = """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
        layer { name: "bn" type: "BN" bottom: "x" top: "y" param { lr_mult: 1 } param { lr_mult: 1 }
          param { lr_mult: 0 } param { lr_mult: 0 } bn_param { frozen: true } }"""
    net = caffelite.Net(parse_net(text), caffelite.TRAIN, seed=1)
    assert not any(net.layer_dict["bn"].learns)
    with pytest.raises(NetError, match="parameter 2 is not learned"):
        caffelite.Net(parse_net(text.replace("lr_mult: 0", "lr_mult: 1")), caffelite.TRAIN)
