"""Which layers are there, and whose blob is whose."""

from __future__ import annotations

import pytest

from caffelite.errors import NetError, Problem, Source
from caffelite.files import parse_message, parse_net
from caffelite.plan.graph import Graph, build_graph, included, rule_holds, state_for
from caffelite.schema.common import Phase
from caffelite.schema.net import LayerParameter, NetParameter, NetState, NetStateRule

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }\n'


def graph(text: str, phase: Phase = Phase.TEST, level: int = 0, stages: str = "") -> Graph:
    net = parse_net(text, "f.net")
    return build_graph(net, state_for(net, phase, level, stages.split()))


def names(built: Graph) -> list[str]:
    return [node.spec.name for node in built.nodes]


def relu(bottom: str, top: str, more: str = "") -> str:
    return f'layer {{ name: "{top}" type: "ReLU" bottom: "{bottom}" top: "{top}" {more} }}\n'


def refusal(text: str) -> list[str]:
    """The first lines of the problems, without their places."""
    with pytest.raises(NetError) as caught:
        graph(text)
    return [problem.message for problem in caught.value.problems]


class TestRules:
    @pytest.mark.parametrize(
        ("rule", "state", "holds"),
        [
            ({}, {}, True),
            ({"phase": "TRAIN"}, {"phase": "TRAIN"}, True),
            ({"phase": "TRAIN"}, {"phase": "TEST"}, False),
            ({"min_level": 2}, {"level": 2}, True),
            ({"min_level": 2}, {"level": 1}, False),
            ({"max_level": 2}, {"level": 2}, True),
            ({"max_level": 2}, {"level": 3}, False),
            ({"max_level": -1}, {}, False),
            ({"stage": ["a"]}, {"stage": ["a", "b"]}, True),
            ({"stage": ["a", "b"]}, {"stage": ["a"]}, False),
            ({"not_stage": ["a"]}, {"stage": ["b"]}, True),
            ({"not_stage": ["a", "c"]}, {"stage": ["b", "c"]}, False),
            ({"phase": "TEST", "min_level": 1}, {"phase": "TEST", "level": 0}, False),
        ],
    )
    def test_a_rule_holds_when_all_it_says_does(
        self, rule: dict[str, object], state: dict[str, object], holds: bool
    ) -> None:
        assert rule_holds(NetStateRule(**rule), NetState(**state)) is holds

    def test_one_include_rule_is_enough(self) -> None:
        layer = LayerParameter(include=[{"phase": "TRAIN"}, {"stage": ["x"]}])
        assert included(layer, NetState(phase="TRAIN"))
        assert included(layer, NetState(phase="TEST", stage=["x"]))
        assert not included(layer, NetState(phase="TEST"))

    def test_one_exclude_rule_is_enough(self) -> None:
        layer = LayerParameter(exclude=[{"phase": "TRAIN"}, {"stage": ["x"]}])
        assert not included(layer, NetState(phase="TRAIN"))
        assert not included(layer, NetState(phase="TEST", stage=["x"]))
        assert included(layer, NetState(phase="TEST"))

    def test_an_empty_include_rule_always_holds(self) -> None:
        assert included(LayerParameter(include=[{}]), NetState())
        assert not included(LayerParameter(exclude=[{}]), NetState())

    def test_phase_level_and_stages_come_on_top_of_the_nets_own_state(self) -> None:
        text = 'state { level: 3 stage: "own" }' + DATA
        text += relu("data", "a", 'include { min_level: 3 stage: "own" stage: "new" }')
        assert names(graph(text, stages="new")) == ["data", "a"]
        assert names(graph(text)) == ["data"]
        assert names(graph(text, level=1, stages="new")) == ["data"]

    def test_names_are_resolved_after_filtering(self) -> None:
        text = DATA + relu("data", "a", "include { phase: TRAIN }")
        text += relu("data", "a", "include { phase: TEST }")
        text += relu("a", "b")
        assert names(graph(text, Phase.TRAIN)) == names(graph(text, Phase.TEST))


class TestVersions:
    def test_an_in_place_layer_makes_a_new_version(self) -> None:
        built = graph(DATA + relu("data", "data") + relu("data", "b"))
        data, again, last = built.nodes
        assert data.tops[0] is not again.tops[0]
        assert again.tops[0].previous is data.tops[0] is again.bottoms[0]
        assert last.bottoms == again.tops == (built.blobs["data"],)

    def test_a_reader_before_the_rewrite_reads_the_old_version(self) -> None:
        built = graph(DATA + relu("data", "a") + relu("data", "data") + relu("data", "b"))
        data, before, rewrite, after = built.nodes
        assert before.bottoms == data.tops
        assert after.bottoms == rewrite.tops

    def test_outputs_are_what_nobody_reads(self) -> None:
        assert graph(DATA + relu("data", "a") + relu("data", "b")).outputs == ["a", "b"]
        assert graph(DATA + relu("data", "data")).outputs == ["data"]

    def test_every_reader_of_a_version_is_known(self) -> None:
        text = DATA + relu("data", "a")
        text += 'layer { name: "s" type: "Eltwise" bottom: "data" bottom: "data" top: "s" }'
        data, a, s = graph(text).nodes
        assert data.tops[0].readers == ((a, 0), (s, 0), (s, 1))

    def test_a_loss_without_a_top_gets_one(self) -> None:
        loss = 'layer { name: "l" type: "EuclideanLoss" bottom: "data" bottom: "data" }'
        assert len(graph(DATA + loss).nodes[1].tops) == 1

    def test_a_graph_is_a_net_of_its_own(self) -> None:
        text = DATA + relu("data", "a", "include { phase: TRAIN }") + relu("data", "b")
        for forced in (False, True):
            net = graph(text).net_parameter(forced)
            assert [layer.name for layer in net.layer] == ["data", "b"]
            assert (net.force_backward, net.has("force_backward")) == (forced, forced)


class TestMistakes:
    """What is said of each, with its place, is in cli/mistakes.txt."""

    def test_a_mistake_is_told_once_and_what_follows_from_it_not_at_all(self) -> None:
        text = DATA + relu("nope", "a") + relu("nope", "b") + relu("a", "c") + relu("b", "d")
        assert refusal(text) == ['layer "a" reads "nope", which no layer before it makes']
        unknown = 'layer { name: "u" type: "Unknown" bottom: "data" top: "u" }'
        assert refusal(DATA + unknown + relu("u", "v")) == ['unknown layer type "Unknown"']

    def test_what_ends_a_layer_may_have_is_said(self) -> None:
        with pytest.raises(NetError) as caught:
            graph(DATA + 'layer { name: "c" type: "Concat" top: "c" }')
        assert [p.expected for p in caught.value.problems] == ["1 or more bottoms"]
        with pytest.raises(NetError) as caught:
            graph(DATA + relu("data", "a").replace('bottom: "data"', ""))
        (problem,) = caught.value.problems
        assert problem.expected == "1 bottom"
        assert problem.message == 'layer "a" (ReLU) has no bottoms'
        with pytest.raises(NetError) as caught:
            graph(DATA + relu("data", "a").replace('top: "a"', 'top: "a" top: "b"'))
        (problem,) = caught.value.problems
        assert problem.expected == "1 top"
        assert problem.message == 'layer "a" (ReLU) has 2 tops: "a", "b"'

    @pytest.mark.parametrize(
        ("ends", "expected", "place"),
        [
            ('top: "a"', "2 to 3 bottoms", "layer {"),
            ('bottom: "data" top: "a"', "2 to 3 bottoms", '"data" top'),
            (
                'bottom: "data" bottom: "data" bottom: "data" bottom: "data" top: "a"',
                "2 to 3 bottoms",
                '"data" top',
            ),
        ],
    )
    def test_a_wrong_number_of_ends_is_said_where_it_is_seen(
        self, ends: str, expected: str, place: str
    ) -> None:
        line = f'layer {{ name: "a" type: "DecodeBBox" {ends} }}'
        with pytest.raises(NetError) as caught:
            graph(DATA + line)
        (problem,) = caught.value.problems
        assert problem.expected == expected and problem.span
        assert (problem.span.line, problem.span.col) == (2, line.index(place) + 1)

    def test_all_mistakes_are_told(self) -> None:
        text = DATA + relu("dat", "a") + relu("data", "b") + relu("a", "b")
        assert refusal(text) == [
            'layer "a" reads "dat", which no layer before it makes',
            'layer "b" makes "b", which layer "b" has made already',
        ]

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            (
                relu("a", "b") + relu("data", "a"),
                'layer "a" on line 3 makes it: layers run in the order of the file',
            ),
            (
                relu("a", "b") + relu("data", "a", "include { phase: TRAIN }"),
                'layer "a" on line 3 makes it, but is left out in phase TEST',
            ),
            (relu("data", "a") * 2, "the first is on line 2"),
            (relu("a", "a"), None),  # nobody but who reads it
        ],
    )
    def test_who_makes_a_blob_elsewhere_is_said(self, text: str, hint: str | None) -> None:
        with pytest.raises(NetError) as caught:
            graph(DATA + text)
        assert [p.hint for p in caught.value.problems] == [hint]

    def test_a_net_made_in_python_has_no_lines_to_name(self) -> None:
        first, again = (LayerParameter(name=n, type="ReLU", bottom=["x"], top=["y"]) for n in "ab")
        data = LayerParameter(name="x", type="Input", top=["x"])
        for layers, hint in (
            ([first, data], 'layer "x" makes it: layers run in the order of the file'),
            ([data, first, again], None),
        ):
            net = NetParameter(layer=layers)
            with pytest.raises(NetError) as caught:
                build_graph(net, state_for(net, Phase.TEST))
            assert [p.hint for p in caught.value.problems] == [hint]

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (
                relu("data", "a", 'include { phase: TEST } exclude { stage: "x" }'),
                'layer "a" has both include and exclude rules',
            ),
            (
                relu("data", "a", "propagate_down: true propagate_down: true"),
                'layer "a" has 1 bottom but 2 propagate_down',
            ),
            (
                'layer { name: "s" type: "Split" bottom: "data" top: "a" top: "a" }',
                'layer "s" names the top "a" twice',
            ),
        ],
    )
    def test_what_a_layer_says_against_itself_is_refused(self, more: str, message: str) -> None:
        assert refusal(DATA + more) == [message]

    def test_behind_a_hundred_mistakes_no_names_are_suggested(self) -> None:
        text = DATA + "".join(relu(f"dat{i}", f"t{i}") for i in range(9))
        with pytest.raises(NetError) as caught:
            graph(text)
        assert {p.hint for p in caught.value.problems} == {'did you mean "data"?'}
        text = DATA + "".join(relu(f"dat{i:03}", f"t{i}") for i in range(102))
        text += 'layer { name: "u" type: "Relu" }'
        with pytest.raises(NetError) as caught:
            graph(text)
        hints = [p.hint for p in caught.value.problems]
        assert all(hints[:100]) and not any(hints[100:102]) and "ReLU" not in str(hints[102])

    def test_the_first_layer_finds_no_blobs_at_all(self) -> None:
        with pytest.raises(NetError) as caught:
            graph(relu("data", "a"))
        (problem,) = caught.value.problems
        assert problem.expected == "a top of an earlier layer: there is none yet"

    @pytest.mark.parametrize("tops", ['top: "a" kernel: 1', 'top: "a" top: 5'])
    def test_who_reads_a_layer_whose_text_is_wrong_is_not_blamed(self, tops: str) -> None:
        text = DATA + f'layer {{ name: "w" type: "ReLU" bottom: "data" {tops} }}\n'
        said: list[Problem] = []
        net = parse_message(Source("f.net", text + relu("a", "b")), NetParameter, said)
        assert len(said) == 1
        found: list[Problem] = []
        built = build_graph(net, state_for(net, Phase.TEST), found)
        assert names(built) == ["data", "b"] and found == []
        # another blob may be the one whose name is not known
        net = parse_message(Source("f.net", text + relu("c", "b")), NetParameter, [])
        build_graph(net, state_for(net, Phase.TEST), found)
        assert len(found) == ("5" not in tops)

    def test_a_net_without_layers_in_a_phase_is_refused(self) -> None:
        text = DATA.replace(" top", " include { phase: TRAIN } top")
        assert refusal(text) == ["the net has no layers in phase TEST"]
        assert refusal('name: "x"') == ["the net has no layers"]


@pytest.mark.parametrize(
    ("count", "listed"),
    [
        (1, '"b1"'),
        (6, '"b1", "b2", "b3", "b4", "b5", "b6"'),
        (7, '..., "b2", "b3", "b4", "b5", "b6", "b7"'),
    ],
)
def test_where_a_bottom_is_missing_the_last_six_blobs_are_named(count: int, listed: str) -> None:
    text = "".join(
        f'layer {{ name: "{n}" type: "Input" top: "b{n}" input_param {{ shape {{ dim: 1 }} }} }}'
        for n in range(1, count + 1)
    )
    with pytest.raises(NetError) as caught:
        graph(text + relu("quite_another", "y"))
    (problem,) = caught.value.problems
    assert problem.expected == f"a top of an earlier layer: {listed}"
