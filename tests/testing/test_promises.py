"""The tester is tested: layers with one planted fault each, caught by the promise they break."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, registry
from caffelite.layers.cases import Case, random
from caffelite.schema.common import FillerParameter
from caffelite.testing import PROMISES, Broken, Promise, Subject, hold
from caffelite.testing.promises import backward, forward, life


class Affine(Layer):
    """y = x ∘ w + 2, without a fault: the sound layer that the others spoil."""

    backward_reads = ("bottom",)

    def setup(self, bottom: Shapes) -> None:
        self.declare(bottom[0][1:], FillerParameter())

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.multiply(bottom[0], self.params[0].data, top[0])
        np.add(top[0], 2, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        self.params[0].diff.__iadd__(np.add.reduce(top_diff[0] * bottom[0], 0))
        if bottom_diff[0] is not None:
            np.multiply(top_diff[0], self.params[0].data, bottom_diff[0])


class Noise(Layer):
    """y = x + r with r from the layer's stream, in place or not; sound as well."""

    in_place = True
    backward_reads = ()

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.add(bottom[0], self.rng.random(bottom[0].shape, self.dtype), top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            bottom_diff[0][...] = top_diff[0]


class BottomGradientOff(Affine):
    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        super().backward(top, top_diff, bottom, bottom_diff)
        if bottom_diff[0] is not None:
            bottom_diff[0][1, 2] *= 1.001


class WeightGradientOff(Affine):
    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        before = self.params[0].diff.copy()
        super().backward(top, top_diff, bottom, bottom_diff)
        self.params[0].diff[...] += 0.001 * (self.params[0].diff - before)


class GradientsOfTwoElementsSwapped(Affine):
    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        super().backward(top, top_diff, bottom, bottom_diff)
        if bottom_diff[0] is not None:
            bottom_diff[0][0] = bottom_diff[0][0, ::-1].copy()


class WeightGradientOverwritten(Affine):
    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        self.params[0].diff[...] = 0
        super().backward(top, top_diff, bottom, bottom_diff)


class BottomGradientAccumulated(Affine):
    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        super().backward(top, top_diff, bottom, [None])
        if bottom_diff[0] is not None:
            bottom_diff[0][...] += top_diff[0] * self.params[0].data


class BottomChangedForward(Affine):
    def forward(self, bottom: Arrays, top: Arrays) -> None:
        super().forward(bottom, top)
        bottom[0][0] += 1


class BottomChangedBackward(Affine):
    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        super().backward(top, top_diff, bottom, bottom_diff)
        bottom[0][0] = 0


class TopGradientChanged(Affine):
    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        super().backward(top, top_diff, bottom, bottom_diff)
        top_diff[0][...] *= 2


class ComputesInFloat64(Affine):
    def forward(self, bottom: Arrays, top: Arrays) -> None:
        top[0][...] = bottom[0] * self.params[0].data * np.float64(1) + np.ones(3)


class ComputesInFloat32(Affine):
    def forward(self, bottom: Arrays, top: Arrays) -> None:
        top[0][...] = bottom[0].astype(np.float32) * self.params[0].data + 2


class KeepsFloat64(Affine):
    def prepare(self) -> None:
        self.scratch = np.zeros(6)


class DeclaresAnotherShape(Affine):
    def reshape(self, bottom: Shapes) -> list[Shape]:
        return [(bottom[0][0] + 1, *bottom[0][1:])]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        super().forward(bottom, [top[0][:-1]])


class DeclaresTwoTops(Affine):
    def reshape(self, bottom: Shapes) -> list[Shape]:
        return [bottom[0], ()]


class TransposesItsTop(Affine):
    def reshape(self, bottom: Shapes) -> list[Shape]:
        return [bottom[0][::-1]]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        top[0].T[...] = bottom[0] * self.params[0].data + 2


class AddsToOldTop(Affine):
    def forward(self, bottom: Arrays, top: Arrays) -> None:
        top[0][top[0] == 7] += 1
        np.multiply(bottom[0], self.params[0].data, top[0][:, :], where=top[0] != 8)


class OwnGenerator(Noise):
    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.add(bottom[0], np.random.default_rng().random(bottom[0].shape, self.dtype), top[0])


class ReadsBottomInSecret(Affine):
    backward_reads = ()


class ReadsBottomOfForwardInSecret(Affine):
    backward_reads = ("top",)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        super().forward(bottom, top)
        self.kept = bottom[0]

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        super().backward(top, top_diff, [self.kept], bottom_diff)


class WrongInPlace(Noise):
    def forward(self, bottom: Arrays, top: Arrays) -> None:
        top[0][...] = 0
        for _ in range(2):
            top[0][...] += bottom[0]


class WrongInPlaceBackward(Noise):
    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            bottom_diff[0][...] = 0
            bottom_diff[0] += top_diff[0]


class NeedsContiguousBottoms(Affine):
    def forward(self, bottom: Arrays, top: Arrays) -> None:
        super().forward([bottom[0].ravel("K").reshape(bottom[0].shape)], top)


class InsistsOnItsGradient(Affine):
    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            super().backward(top, top_diff, bottom, bottom_diff)


class RemembersItsFirstBatch(Affine):
    def forward(self, bottom: Arrays, top: Arrays) -> None:
        if not hasattr(self, "largest"):
            self.largest = 0
        self.largest = max(self.largest, len(bottom[0]))
        super().forward(bottom, top)
        top[0][...] += self.largest


class ReliesOnItsOwnMemory(Affine):
    def forward(self, bottom: Arrays, top: Arrays) -> None:
        weights = self.params[0].data
        own = 0 if weights.base is None or weights.base.size == weights.size else 1
        super().forward(bottom, top)
        top[0][...] += own


class Undocumented(Affine):
    pass


class ClaimsToOverwrite(Affine):
    overwrites = True


class KeepsItsInputInThePlan(Affine):
    def setup(self, bottom: Shapes) -> None:
        super().setup(bottom)
        self.kept = [np.zeros(bottom[0])]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        super().forward(bottom, top)
        self.kept[0][...] = bottom[0]

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        super().backward(top, top_diff, self.kept, bottom_diff)


PLANTED: list[tuple[type[Layer], Promise, type]] = [
    (ClaimsToOverwrite, backward.fresh_gradients_are_written, np.float64),
    (KeepsItsInputInThePlan, life.one_plan_serves_two_runs, np.float64),
    (BottomGradientOff, backward.gradients_are_right, np.float64),
    (WeightGradientOff, backward.gradients_are_right, np.float64),
    (GradientsOfTwoElementsSwapped, backward.gradients_are_right, np.float64),
    (WeightGradientOverwritten, backward.gradients_overwrite_and_accumulate, np.float32),
    (BottomGradientAccumulated, backward.gradients_overwrite_and_accumulate, np.float32),
    (BottomChangedForward, forward.inputs_are_untouched, np.float32),
    (BottomChangedBackward, forward.inputs_are_untouched, np.float32),
    (TopGradientChanged, forward.inputs_are_untouched, np.float32),
    (ComputesInFloat64, forward.dtype_stays, np.float32),
    (ComputesInFloat32, forward.dtype_stays, np.float64),
    (KeepsFloat64, forward.dtype_stays, np.float32),
    (DeclaresAnotherShape, forward.tops_are_written_as_declared, np.float32),
    (DeclaresTwoTops, forward.tops_are_written_as_declared, np.float32),
    (AddsToOldTop, forward.tops_are_written_as_declared, np.float32),
    (TransposesItsTop, forward.outputs_are_as_expected, np.float32),
    (OwnGenerator, forward.a_seed_repeats, np.float32),
    (ReadsBottomInSecret, backward.backward_reads_what_it_says, np.float32),
    (ReadsBottomOfForwardInSecret, backward.backward_reads_what_it_says, np.float32),
    (WrongInPlace, forward.in_place_is_the_same, np.float32),
    (WrongInPlaceBackward, forward.in_place_is_the_same, np.float32),
    (NeedsContiguousBottoms, forward.layout_does_not_matter, np.float32),
    (InsistsOnItsGradient, backward.unneeded_gradients_may_be_none, np.float32),
    (ReliesOnItsOwnMemory, life.a_net_runs_it_alike, np.float64),
    (Undocumented, life.it_is_documented, np.float64),
    (RemembersItsFirstBatch, life.another_batch_size_and_back, np.float32),
]

X = [[1.0, -2.0, 0.5], [0.25, 3.0, -1.5]]
W = [2.0, -1.0, 0.5]
Y = [[4.0, 4.0, 2.25], [2.5, -1.0, 1.25]]
AFFINE = Case('type: "Planted"', {"x": X}, {"y": Y}, params=[W])
NOISE = Case('type: "Planted"', {"x": X})


def subject(cls: type[Layer], dtype: type) -> Subject:
    return Subject(cls, AFFINE if issubclass(cls, Affine) else NOISE, dtype)


def name_for_nets(cls: type[Layer]) -> None:
    """What @register does; the fixture takes it back."""
    cls.type = "Planted"
    registry["Planted"] = cls


@pytest.fixture(autouse=True)
def _registry_stays() -> Iterator[None]:
    before = dict(registry)
    yield
    registry.pop("Planted", None)
    assert registry == before


@pytest.mark.parametrize("check", PROMISES, ids=lambda check: check.name)
@pytest.mark.parametrize("cls", [Affine, Noise])
def test_a_sound_layer_passes(cls: type[Layer], check: Promise) -> None:
    name_for_nets(cls)
    outcome = hold(check, [subject(cls, np.float64)])
    assert outcome.broken == []


@pytest.mark.parametrize(
    ("cls", "check", "dtype"), [pytest.param(*p, id=p[0].__name__) for p in PLANTED]
)
def test_a_planted_fault_is_found(cls: type[Layer], check: Promise, dtype: type) -> None:
    name_for_nets(cls)
    faulty = subject(cls, dtype)
    with pytest.raises(Broken):
        check([faulty] if check.together else faulty)


def test_every_promise_has_a_planted_fault() -> None:
    planted = {check for _, check, _ in PLANTED}
    # nothing that a layer does can change how its message prints; the other has a test below
    elsewhere = {life.text_comes_back, backward.every_gradient_has_a_case}
    assert set(PROMISES) - planted == elsewhere


def test_a_wrong_text_round_trip_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'layer { name: "other" type: "Planted" }'
    monkeypatch.setattr("caffelite.schema.message.Message.__str__", lambda self: text)
    with pytest.raises(Broken):
        life.text_comes_back(subject(Affine, np.float64))


def test_gradients_that_no_case_checks_are_named() -> None:
    excused = replace(AFFINE, gradient=False)
    with pytest.raises(Broken, match="gradient of bottom 0, parameter 0"):
        backward.every_gradient_has_a_case([Subject(Affine, excused)])
    backward.every_gradient_has_a_case([Subject(Affine, excused), Subject(Affine, AFFINE)])


def test_a_crash_is_a_broken_promise_and_says_where() -> None:
    class Crashes(Affine):
        def forward(self, bottom: Arrays, top: Arrays) -> None:
            raise ZeroDivisionError("by zero")

    (first, _) = hold(forward.outputs_are_as_expected, [subject(Crashes, np.float64)]).broken
    assert "case 1, float64" in first
    assert "ZeroDivisionError: by zero (" in first and "test_promises.py:" in first


def test_large_random_inputs_are_drawn_alike_for_both_types() -> None:
    case = Case('type: "Planted"', {"x": random(4, 3)})
    small = Subject(Affine, case, np.float32).bench().bottom[0]
    large = Subject(Affine, case, np.float64).bench().bottom[0]
    assert np.array_equal(small, large.astype(np.float32))
