"""The public surface of Net: pycaffe's names, and refusals for what cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite import TEST, TRAIN, CaffeliteError, Net
from caffelite.errors import NetError
from caffelite.files import parse_net

TEXT = """
name: "small"
layer { name: "data" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "h"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "h" top: "h" }
layer { name: "drop" type: "Dropout" bottom: "h" top: "h" include { phase: TRAIN } }
layer { name: "ip2" type: "InnerProduct" bottom: "h" top: "y"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" } } }
"""
X = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]], np.float32)


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "small.net"
    file.write_text(TEXT)
    return str(file)


def small(phase: int = TEST, **more: object) -> Net:
    return Net(parse_net(TEXT), phase, **{"seed": 1, **more})  # type: ignore[arg-type]


def by_hand(net: Net, x: np.ndarray) -> np.ndarray:
    (w1, b1), (w2, b2) = ([blob.data for blob in net.params[name]] for name in ("ip1", "ip2"))
    return np.maximum(x @ w1.T + b1, 0) @ w2.T + b2


class TestMaking:
    def test_all_forms_of_arguments(self, path: str, tmp_path: Path) -> None:
        weights = str(tmp_path / "w.caffemodel")
        first = Net(path, TEST, seed=1)
        first.save(weights)
        expected = first.params["ip1"][0].data
        for net in (
            Net(path, weights, TEST),
            Net(path, TEST, weights=weights),
            Net(path, phase=TEST, weights=weights),
            Net(Path(path), Path(weights), int(TEST)),
        ):
            np.testing.assert_array_equal(net.params["ip1"][0].data, expected)

    def test_a_phase_is_needed_and_must_be_one(self, path: str) -> None:
        with pytest.raises(TypeError, match=r"caffelite\.TRAIN or caffelite\.TEST"):
            Net(path)
        with pytest.raises(ValueError, match="7"):
            Net(path, 7)

    def test_a_missing_file_is_said(self) -> None:
        with pytest.raises(CaffeliteError, match=r"nothere\.net: no such file"):
            Net("nothere.net", TEST)

    def test_one_seed_is_one_net(self) -> None:
        one, same, other = small(), small(), small(seed=2)
        for a, b, c in zip(one.params["ip2"], same.params["ip2"], other.params["ip2"]):
            np.testing.assert_array_equal(a.data, b.data)
            assert (a.data != c.data).any() or not a.data.any()

    def test_training_and_test_nets_start_alike(self) -> None:
        train, test = small(TRAIN), small(TEST)
        np.testing.assert_array_equal(train.params["ip2"][0].data, test.params["ip2"][0].data)

    def test_another_layer_changes_nobody_elses_start(self) -> None:
        more = TEXT + TEXT[TEXT.index('layer { name: "ip2"') :].replace('"ip2"', '"ip0"').replace(
            '"y"', '"z"'
        )
        bigger = Net(parse_net(more), TEST, seed=1)
        np.testing.assert_array_equal(bigger.params["ip2"][0].data, small().params["ip2"][0].data)
        assert (bigger.params["ip0"][0].data != bigger.params["ip2"][0].data).all()

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_every_array_is_of_the_nets_type(self, dtype: type) -> None:
        net = Net(parse_net("force_backward: true" + TEXT), TRAIN, dtype=dtype)
        net.forward(x=X)
        net.backward(y=1)
        blobs = [*net.blobs.values(), *(b for bs in net.params.values() for b in bs)]
        assert {b.data.dtype for b in blobs} == {b.diff.dtype for b in blobs} == {np.dtype(dtype)}

    def test_other_types_are_refused(self) -> None:
        with pytest.raises(TypeError, match="float32 or float64, not of int32"):
            small(dtype=np.int32)


class TestNames:
    def test_the_names_of_things(self) -> None:
        net = small(TRAIN)
        assert net.name == "small"
        assert net.inputs == ["x"] and net.outputs == ["y"]
        assert list(net.blobs) == ["x", "h", "y"]
        assert list(net.params) == ["ip1", "ip2"]
        assert net._layer_names == ["data", "ip1", "relu", "drop", "ip2"]
        assert [layer.type for layer in net.layers][:3] == ["Input", "InnerProduct", "ReLU"]
        assert net.top_names["relu"] == net.bottom_names["relu"] == ["h"]
        assert net.layer_dict["drop"] is net.layers[3]
        assert set(net.blob_loss_weights.values()) == {0.0}
        assert [b.shape for b in net.params["ip1"]] == [(4, 3), (4,)]
        assert "drop" not in small(TEST)._layer_names

    def test_blobs_have_caffes_old_extents(self) -> None:
        blob = small().blobs["x"]
        assert (blob.num, blob.channels, blob.height, blob.width, blob.count) == (2, 3, 1, 1, 6)

    def test_arrays_are_written_not_replaced(self) -> None:
        net = small()
        for blob in (net.blobs["x"], net.params["ip1"][0]):
            with pytest.raises(AttributeError, match=r"data\[\.\.\.\] = values"):
                blob.data = np.zeros(blob.shape)
            with pytest.raises(AttributeError, match=r"diff\[\.\.\.\] = values"):
                blob.diff = np.zeros(blob.shape)
        with pytest.raises(TypeError):
            net.blobs["x"] = X  # type: ignore[index]
        with pytest.raises(TypeError):
            net.params["ip1"][0] = X  # type: ignore[index]


class TestForward:
    def test_the_outputs_come_back(self) -> None:
        net = small()
        out = net.forward(x=X)
        assert list(out) == ["y"] and out["y"] is net.blobs["y"].data
        np.testing.assert_allclose(out["y"], by_hand(net, X), rtol=1e-5)

    def test_inputs_may_be_written_beforehand(self) -> None:
        net = small()
        net.blobs["x"].data[...] = X
        np.testing.assert_allclose(net.forward()["y"], by_hand(net, X), rtol=1e-5)

    def test_named_blobs_come_too(self) -> None:
        assert list(small().forward(blobs=["h", "y"])) == ["y", "h"]

    def test_a_stretch_of_the_layers(self) -> None:
        net = small()
        assert list(net.forward(x=X, end="ip1")) == ["h"]
        np.testing.assert_allclose(net.blobs["h"].data, X @ net.params["ip1"][0].data.T, rtol=1e-5)
        net.blobs["h"].data[...] = 1
        net.forward(start="ip2")
        np.testing.assert_allclose(
            net.blobs["y"].data[0], net.params["ip2"][0].data.sum(1), rtol=1e-5
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"x": np.zeros((5, 3))}, r'input "x" is 2 x 3 \(6\), but was given 5 x 3 \(15\)'),
            ({"x": np.zeros((5, 3))}, r'net\.blobs\["x"\]\.reshape\(5, 3\)'),
            ({"data": X}, '"data" is not an input of the net\n  expected one of x'),
            ({"end": "ipp1"}, 'no layer "ipp1"\n  did you mean "ip1"'),
            ({"blobs": ["hh"]}, 'no blob "hh"'),
            ({"start": "ip2", "end": "ip1"}, 'no layers lie between start="ip2" and end="ip1"'),
        ],
    )
    def test_refusals(self, arguments: dict[str, object], message: str) -> None:
        with pytest.raises(NetError, match=message):
            small().forward(**arguments)  # type: ignore[arg-type]


class TestBackward:
    @pytest.fixture
    def net(self) -> Net:
        net = Net(parse_net("force_backward: true" + TEXT), TEST, seed=1, dtype=np.float64)
        net.forward(x=X)
        net.clear_param_diffs()
        return net

    def test_gradients_by_hand(self, net: Net) -> None:
        d = np.array([[1.0, -2.0], [0.5, 3.0]])
        out = net.backward(y=d)
        hidden = (d @ net.params["ip2"][0].data) * (net.blobs["h"].data > 0)
        assert list(out) == ["x"]
        np.testing.assert_allclose(out["x"], hidden @ net.params["ip1"][0].data)
        np.testing.assert_allclose(net.params["ip1"][0].diff, hidden.T @ X)
        np.testing.assert_allclose(net.params["ip2"][1].diff, d.sum(0))

    def test_the_gradient_of_an_output_may_be_written_beforehand(self, net: Net) -> None:
        d = np.array([[1.0, -2.0], [0.5, 3.0]])
        net.blobs["y"].diff[...] = d
        first = net.backward()["x"].copy()
        np.testing.assert_array_equal(net.backward(y=d)["x"], first)

    def test_parameter_gradients_add_up_until_cleared(self, net: Net) -> None:
        net.backward(y=1)
        once = net.params["ip1"][0].diff.copy()
        net.backward(y=1)
        np.testing.assert_allclose(net.params["ip1"][0].diff, 2 * once)
        net.clear_param_diffs()
        assert not net.params["ip1"][0].diff.any()

    def test_a_stretch_of_the_layers(self, net: Net) -> None:
        net.backward(y=1)
        whole = net.blobs["x"].diff.copy()
        net.backward(y=1, end="ip2")
        assert list(net.backward(start="relu", end="ip1")) == ["x"]
        np.testing.assert_allclose(net.blobs["x"].diff, whole)
        assert list(net.backward(diffs=["h"], y=1)) == ["x", "h"]

    def test_a_gradient_that_a_layer_would_overwrite_is_refused(self, net: Net) -> None:
        with pytest.raises(NetError, match='gradient of "h" is computed by layer "ip2"'):
            net.backward(h=np.zeros((2, 4)))
        net.backward(start="relu", h=np.zeros((2, 4)))
        assert not net.blobs["x"].diff.any()

    def test_other_refusals(self, net: Net) -> None:
        with pytest.raises(NetError, match="force_backward: true in the net"):
            small().backward(y=1)
        with pytest.raises(NetError, match='no blob "yy"'):
            net.backward(yy=1)
        with pytest.raises(NetError, match=r'"y" is 2 x 2 \(4\), but its gradient 3 \(3\)'):
            net.backward(y=[1, 2, 3])


class TestReshape:
    def test_another_batch_size(self) -> None:
        net = small()
        net.blobs["x"].reshape(5, 3)
        x = np.arange(15).reshape(5, 3)
        np.testing.assert_allclose(net.forward(x=x)["y"], by_hand(net, x), rtol=1e-5)
        net.blobs["x"].reshape(2, 3)
        assert net.forward(x=X)["y"].shape == (2, 2)

    def test_backward_follows(self) -> None:
        net = Net(parse_net("force_backward: true" + TEXT), TRAIN)
        net.forward(x=X)
        net.backward(y=1)
        net.blobs["x"].reshape(1, 3)
        net.forward(x=X[:1])
        net.clear_param_diffs()
        net.backward(y=np.ones((1, 2)))
        np.testing.assert_array_equal(net.params["ip2"][1].diff, [1, 1])

    def test_a_fully_convolutional_net_takes_any_size(self) -> None:
        net = Net(
            parse_net("""
            layer { name: "in" type: "Input" top: "x"
              input_param { shape { dim: 1 dim: 1 dim: 4 dim: 4 } } }
            layer { name: "c" type: "Convolution" bottom: "x" top: "y"
              convolution_param { num_output: 2 kernel_size: 3 weight_filler { value: 1 } } }
            layer { name: "r" type: "ReLU" bottom: "y" top: "y" }
            """),
            TEST,
        )
        assert net.forward(x=np.ones((1, 1, 4, 4)))["y"].shape == (1, 2, 2, 2)
        net.blobs["x"].reshape(3, 1, 7, 5)
        out = net.forward(x=np.ones((3, 1, 7, 5)))["y"]
        assert out.shape == (3, 2, 5, 3) and (out == 9).all()

    def test_reshape_tells_the_shapes_before_a_pass(self) -> None:
        net = small()
        net.blobs["x"].reshape(7, 3)
        net.reshape()
        assert net.blobs["y"].shape == (7, 2)

    def test_a_shape_that_does_not_fit_the_parameters_is_refused(self) -> None:
        net = small()
        net.blobs["x"].reshape(2, 8)
        with pytest.raises(NetError, match="ip1"):
            net.forward()

    def test_what_is_not_an_input_cannot_be_reshaped(self) -> None:
        net = small()
        with pytest.raises(ValueError, match="reshape an input instead"):
            net.blobs["y"].reshape(3, 2)
        with pytest.raises(ValueError, match="reshape an input instead"):
            net.params["ip1"][0].reshape(3, 2)
        with pytest.raises(ValueError, match="cannot have the shape"):
            net.blobs["x"].reshape(-1, 3)


class TestFiles:
    @pytest.mark.parametrize("ending", [".caffemodel", ".caffemodel.h5"])
    def test_saved_and_read_back(self, tmp_path: Path, ending: str) -> None:
        path = str(tmp_path / f"w{ending}")
        one, other = small(seed=1), small(seed=2)
        one.save(path)
        other.copy_from(path)
        np.testing.assert_array_equal(one.forward(x=X)["y"], other.forward(x=X)["y"])

    def test_what_is_not_parameters_is_refused(self, tmp_path: Path, path: str) -> None:
        with pytest.raises(CaffeliteError, match="not a file of parameters"):
            small().copy_from(path)
        with pytest.raises(CaffeliteError, match="no such file"):
            small().copy_from(str(tmp_path / "none.caffemodel"))

    def test_share_with_lets_both_use_one_array_but_own_gradients(self) -> None:
        one, other = small(seed=1), small(seed=2)
        other.share_with(one)
        np.testing.assert_array_equal(one.forward(x=X)["y"], other.forward(x=X)["y"])
        one.params["ip2"][0].data[...] += 1
        np.testing.assert_array_equal(one.forward(x=X)["y"], other.forward(x=X)["y"])
        one.params["ip2"][0].diff[...] = 3
        assert not other.params["ip2"][0].diff.any()

    def test_share_with_refuses_other_shapes_and_shares_nothing(self) -> None:
        other = small(seed=2)
        narrow = Net(parse_net(TEXT.replace("num_output: 4", "num_output: 5")), TEST, seed=1)
        before = other.params["ip1"][0].data.copy()
        with pytest.raises(NetError, match='layer "ip1"'):
            other.share_with(narrow)
        np.testing.assert_array_equal(before, other.params["ip1"][0].data)


def test_a_loss_has_its_weight_as_gradient() -> None:
    loss = (
        'layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "y" top: "l" loss_weight: 3 }'
    )
    net = Net(parse_net(TEXT + loss), caffelite.TRAIN)
    assert net.blobs["l"].diff == 3
    net.forward(x=X)
    net.blobs["l"].diff[...] = 5  # stays: as in Caffe, it is the user's to change
    net.backward()
    assert net.blobs["l"].diff == 5


def test_a_field_of_the_data_that_has_moved_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    text = (
        'layer {{ name: "d" type: "{}" top: "x" {} {{ source: "s" batch_size: 1 scale: 0.5 }} '
        "transform_param {{ mirror: true }} }}"
    )
    for kind, message, warned in (
        ("Data", "data_param", True),
        ("ImageData", "image_data_param", True),
        ("WindowData", "window_data_param", False),  # the one that reads its own scale
    ):
        caplog.clear()
        parse_net(text.format(kind, message))
        assert ("scale in" in caplog.text) == warned
        assert "mirror in" not in caplog.text


def test_backward_before_the_first_forward_is_refused() -> None:
    net = small(TRAIN)
    with pytest.raises(NetError, match="no forward pass before it"):
        net.backward()


def test_a_name_that_is_not_there_gets_a_suggestion() -> None:
    net = small()
    with pytest.raises(KeyError, match="did you mean"):
        net.blobs["hh"]
    with pytest.raises(KeyError, match='did you mean "ip1"'):
        net.params["Ip1"]
    assert net.blobs.get("hh") is None and "hh" not in net.blobs
