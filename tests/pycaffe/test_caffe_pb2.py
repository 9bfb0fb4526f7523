"""caffe_pb2: Caffe's messages, as protobuf's own classes."""

from __future__ import annotations

import copy
import csv
import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from hypothesis import given, settings

import caffelite
from caffelite.errors import CaffeliteError, NetError, Source
from caffelite.files import parse_message
from caffelite.protobufs import from_protobuf, net_from_protobuf
from caffelite.pycaffe.proto import caffe_pb2 as pb
from caffelite.pycaffe.proto.building import ROOTS, described
from caffelite.schema.binary import array_of, decode, encode
from caffelite.schema.message import Message
from caffelite.schema.net import NetParameter
from caffelite.schema.solver import SolverParameter

from ..schema.made import messages

HERE = Path(__file__).parents[1]
NETS = sorted((HERE.parent / "nets").glob("*.net"))
SOLVERS = sorted((HERE.parent / "solvers").glob("*.solver"))


def rows(name: str) -> list[dict[str, str]]:
    with open(HERE / "schema" / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", restval=""))


# They are Caffe's.


def test_every_field_is_as_caffe_declares_it() -> None:
    labels = {1: "optional", 2: "required", 3: "repeated"}
    found = {}
    for message in described().message_type:
        for field in message.field:
            kind = field.type_name.removeprefix(".caffe.")
            found[message.name, field.name] = {
                "number": str(field.number),
                "label": labels[field.label],
                "type": kind
                or descriptor_pb2.FieldDescriptorProto.Type.Name(field.type)[5:].lower(),
                "packed": "packed" if field.options.packed else "",
                "default": field.default_value,
            }
    for row in rows("fields.tsv"):
        mine = found[row["message"], row["field"]]
        for what, value in mine.items():
            same = value == row[what]
            if what == "default" and not same:
                same = float(value) == float(row[what])
            assert same, f"{row['message']}.{row['field']}: {what} is {value}"


OF_FORKS = {"PRE_FIXED", "AVE_EXC_PAD"}
"""Values that Caffe does not have."""


def test_every_enum_is_where_caffe_declares_it() -> None:
    enums: dict[str, dict[str, int]] = defaultdict(dict)
    for row in [*rows("enums.tsv"), *rows("fork_enums.tsv")]:
        enums[row["enum"]][row["name"]] = int(row["number"])
    for name, values in enums.items():
        home, _, own = name.rpartition(".")
        place = getattr(pb, home) if home else pb
        mine = dict(getattr(place, own).items())
        assert {value: mine[value] for value in values} == values
        assert mine.keys() - values.keys() <= OF_FORKS
        for value, number in values.items():
            assert getattr(place, value) == number


def test_the_names_that_protoc_makes() -> None:
    assert (pb.TRAIN, pb.TEST, pb.Phase.Value("TEST"), pb.Phase.Name(0)) == (0, 1, 1, "TRAIN")
    assert pb.NetParameter.DESCRIPTOR is pb._NETPARAMETER
    assert pb._NETPARAMETER.fields_by_name["layer"].message_type is pb._LAYERPARAMETER
    assert pb._PHASE.values_by_name["TEST"].number == 1
    assert pb._POOLINGPARAMETER_POOLMETHOD.name == "PoolMethod"
    assert pb.DESCRIPTOR.package == "caffe"
    assert pb.LayerParameter.TYPE_FIELD_NUMBER == 2
    assert pb.V1LayerParameter.LayerType.Name(pb.V1LayerParameter.CONVOLUTION) == "CONVOLUTION"
    with pytest.raises(AttributeError, match="no 'NetParam'"):
        pb.NetParam  # noqa: B018


def test_presence_and_defaults_are_proto2s() -> None:
    layer = pb.LayerParameter()
    assert not layer.HasField("convolution_param") and layer.convolution_param.group == 1
    assert layer.convolution_param.bias_term and layer.pooling_param.stride == 1
    layer.convolution_param.group = 1
    assert layer.HasField("convolution_param") and layer.convolution_param.HasField("group")
    layer.ClearField("convolution_param")
    assert not layer.ListFields()
    assert pb.SolverParameter().snapshot_format == pb.SolverParameter.BINARYPROTO
    assert pb.BlobProto(data=[1.0, 2.0]).SerializeToString() == bytes.fromhex(
        "2a080000803f00000040"
    )
    with pytest.raises(AttributeError):
        layer.nonsense = 1
    with pytest.raises(text_format.ParseError, match='no field named "nonsense"'):
        text_format.Merge("nonsense: 1", layer)


def test_editing_as_scripts_do() -> None:
    net = pb.NetParameter()
    text_format.Merge(NETS[0].read_text(), net)
    del net.layer[0]
    net.layer.add(name="more", type="ReLU").bottom.append("x")
    net.layer[-1].param.add(lr_mult=2)
    net.layer.extend([net.layer[0]])
    twin = copy.deepcopy(net)
    assert twin == net and pickle.loads(pickle.dumps(net)) == net
    twin.layer[-1].CopyFrom(pb.LayerParameter(name="other"))
    assert twin != net


def test_ssds_messages() -> None:
    labels = pb.LabelMap()
    text_format.Merge('item { name: "cat" label: 8 display_name: "Cat" }', labels)
    assert labels.item[0].label == 8
    layer = pb.LayerParameter()
    layer.multibox_loss_param.code_type = pb.PriorBoxParameter.CENTER_SIZE
    layer.transform_param.resize_param.interp_mode.append(pb.ResizeParameter.LINEAR)
    layer.transform_param.emit_constraint.emit_type = pb.EmitConstraint.CENTER
    assert layer.multibox_loss_param.mining_type == pb.MultiBoxLossParameter.MAX_NEGATIVE
    assert pb.AnnotatedDatum.BBOX == 0 and pb.AnnotatedDatum().datum.encoded is False
    assert pb.SolverParameter(eval_type="detection").eval_type == "detection"


def test_another_caffe_pb2_is_none_of_its_business() -> None:
    other = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe")
    other.message_type.add(name="NetParameter").field.add(
        name="name", number=1, label=1, type=descriptor_pb2.FieldDescriptorProto.TYPE_STRING
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(other)
    net = message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))(
        name="x"
    )
    assert pb.NetParameter.FromString(net.SerializeToString()).name == "x"
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("caffe.NetParameter")


# The same as caffelite's own.


@pytest.mark.parametrize("path", [*NETS, *SOLVERS], ids=lambda p: p.name)
def test_our_files_round_trip(path: Path) -> None:
    is_net = path.suffix == ".net"
    cls: type[Message] = NetParameter if is_net else SolverParameter
    ours = parse_message(Source(path.name, path.read_text(encoding="utf-8")), cls)
    theirs = getattr(pb, cls.__name__)()
    text_format.Merge(path.read_text(encoding="utf-8"), theirs)
    assert decode(theirs.SerializeToString(), cls) == ours
    assert type(theirs).FromString(encode(ours)) == theirs
    assert text_format.Parse(str(ours), type(theirs)()) == theirs
    assert from_protobuf(theirs, cls) == ours


@pytest.mark.parametrize("cls", [root for root in ROOTS if hasattr(pb, root.__name__)])
def test_every_message_round_trips(cls: type[Message]) -> None:
    @settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @given(messages(cls, 3))
    def check(message: Message) -> None:
        data = encode(message)
        theirs = getattr(pb, cls.__name__)()
        theirs.ParseFromString(data)
        again = theirs.SerializePartialToString()
        assert again == data or decode(again, cls) == message

    check()


def test_a_file_of_weights_reads_as_caffes(tmp_path: Path) -> None:
    path = sorted((HERE / "reference" / "solvers").glob("*.caffemodel"))[0]
    theirs = pb.NetParameter.FromString(path.read_bytes())
    ours = decode(path.read_bytes(), NetParameter)
    pairs = zip(theirs.layer, ours.layer)
    for a, b in ((x, y) for p, q in pairs for x, y in zip(p.blobs, q.blobs)):
        assert list(a.shape.dim) == list(b.shape.dim)
        assert np.array_equal(np.float32(a.data), array_of(b).ravel())


# Nets and solvers take them.

TEXT = """
name: "n"
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""


def net_of(text: str) -> pb.NetParameter:
    return text_format.Parse(text, pb.NetParameter())


def test_a_net_is_made_of_one() -> None:
    net = caffelite.Net(net_of(TEXT), caffelite.TEST, seed=1)
    assert net.forward(x=np.ones((2, 3)))["y"].shape == (2, 4)
    assert list(net.params) == ["ip"]


def test_an_old_net_is_brought_up_to_date() -> None:
    old = 'layers { name: "r" type: RELU bottom: "x" top: "y" } input: "x" input_dim: [1, 2, 3, 4]'
    net = caffelite.Net(net_of(old), caffelite.TEST)
    assert net.blobs["y"].data.shape == (1, 2, 3, 4)


def test_stored_parameters_come_along() -> None:
    proto = net_of(TEXT)
    blob = proto.layer[1].blobs.add(data=range(12))
    blob.shape.dim.extend([4, 3])
    param = net_from_protobuf(proto)
    assert array_of(param.layer[1].blobs[0]).tolist() == np.arange(12).reshape(4, 3).tolist()
    assert not param.layer[0].blobs and len(proto.layer[1].blobs) == 1


def test_mistakes_have_their_place() -> None:
    proto = net_of(TEXT.replace("InnerProduct", "InnerProdukt"))
    with pytest.raises(NetError) as caught:
        caffelite.Net(proto, caffelite.TEST)
    assert "<NetParameter>:15:9: " in str(caught.value) and "InnerProduct" in str(caught.value)
    with pytest.raises(TypeError, match="a NetParameter is needed, not a SolverParameter"):
        caffelite.Net(pb.SolverParameter(), caffelite.TEST)


def test_a_solver_is_made_of_one() -> None:
    param = pb.SolverParameter(base_lr=0.1, lr_policy="fixed", max_iter=2, random_seed=1)
    loss = 'layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "y" top: "l" }'
    param.net_param.CopyFrom(net_of(TEXT + loss))
    solver = caffelite.get_solver(param)
    solver.step(1)
    assert solver.iter == 1
    with pytest.raises(CaffeliteError, match=r"<SolverParameter>:\d+:\d+: "):
        caffelite.get_solver(pb.SolverParameter(net="nowhere.net", base_lr=0.1, lr_policy="fxed"))
