"""LSTM: the input part of all steps is one product; the steps follow one by one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, Unsupported, takes


@takes("LSTM")
class LSTM(Op):
    """Caffe's LSTM with `cont`; gates in the order i, f, o, g. The state that is carried from pass
    to pass stays with the layer, on the host, where snapshots find it."""

    def prepare(self) -> None:
        layer = self.layer
        self.t, self.n, self.h = layer.top_shapes[0]
        if not self.t * self.n * self.h:
            raise Unsupported
        self.exposed: int = layer.exposed  # type: ignore[attr-defined]
        self.static: bool = layer.static  # type: ignore[attr-defined]
        self.own: int = layer.own  # type: ignore[attr-defined]
        self.on_host = "" if self.exposed else "carries its state from pass to pass on the host"
        shape = (self.t, self.n, self.h)
        self.gates = self.numbers((self.t, self.n, 4 * self.h))
        self.before, self.tanh = self.numbers(shape), self.numbers(shape)
        self.cell = self.numbers((self.t + 1, self.n, self.h))

    def start(self, bottom: Tensors) -> list[Tensor]:
        """h and c before the first step."""
        if self.exposed:
            return [b[0] for b in bottom[2 + self.static :]]
        carried = self.layer._carried  # type: ignore[attr-defined]
        return [torch.from_numpy(c).to(self.device) for c in carried]

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        rows, cont = self.t * self.n, bottom[1].unsqueeze(2)
        z = torch.addmm(self.weights[1], bottom[0].reshape(rows, -1), self.weights[0].t())
        z = z.view(self.gates.shape)
        if self.static:
            z += bottom[2].reshape(self.n, -1) @ self.weights[2].t()
        weight, three = self.weights[self.own].t(), 3 * self.h
        h, c = self.start(bottom)
        self.cell[0].copy_(c)
        top = torch.empty_like(self.before)
        for t in range(self.t):
            torch.mul(h, cont[t], out=self.before[t])
            gates = torch.addmm(z[t], self.before[t], weight, out=self.gates[t])
            gates[:, :three].sigmoid_()
            gates[:, three:].tanh_()
            i, f, o, g = gates.chunk(4, 1)
            c = torch.mul(f, self.cell[t], out=self.cell[t + 1]).mul_(cont[t]).addcmul_(i, g)
            torch.tanh(c, out=self.tanh[t])
            h = torch.mul(o, self.tanh[t], out=top[t])
        if self.exposed:
            return (top, h.clone().unsqueeze(0), c.clone().unsqueeze(0))
        self.layer._carried = [h.cpu().numpy().copy(), c.cpu().numpy().copy()]  # type: ignore[attr-defined]
        return (top,)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        x, cont = torch.as_tensor(bottom[0]), torch.as_tensor(bottom[1]).unsqueeze(2)
        if self.exposed:
            dh, dc = (d[0].clone() for d in top_diff[1:])
        else:
            dh, dc = self.numbers((self.n, self.h)), self.numbers((self.n, self.h))
        weight, dz = self.weights[self.own], torch.empty_like(self.gates)
        for t in reversed(range(self.t)):
            dh = dh + top_diff[0][t]
            i, f, o, g = self.gates[t].chunk(4, 1)
            di, df, do, dg = dz[t].chunk(4, 1)
            tanh = self.tanh[t]
            dc = dc + dh * o * (1 - tanh * tanh)
            torch.mul(dc * g, i * (1 - i), out=di)
            torch.mul(dc * cont[t] * self.cell[t], f * (1 - f), out=df)
            torch.mul(dh * tanh, o * (1 - o), out=do)
            torch.mul(dc * i, 1 - g * g, out=dg)
            dc = dc * cont[t] * f
            dh = (dz[t] @ weight) * cont[t]
        rows, learns = dz.view(self.t * self.n, -1), self.layer.learns
        if learns[self.own]:
            self.learn_product(self.own, rows.t(), self.before.view(-1, self.h))
        if learns[0]:
            self.learn_product(0, rows.t(), x.reshape(len(rows), -1))
        if learns[1]:
            self.learn(1, rows.sum(0))
        found: list[Tensor | None] = [None] * len(bottom)
        if needed[0]:
            found[0] = (rows @ self.weights[0]).view(self.shapes[0][0])
        if self.static:
            over_time, static = dz.sum(0), torch.as_tensor(bottom[2])
            if learns[2]:
                self.learn_product(2, over_time.t(), static.reshape(self.n, -1))
            if needed[2]:
                found[2] = (over_time @ self.weights[2]).view(self.shapes[0][2])
        if self.exposed:
            for place, first in zip(range(2 + self.static, len(bottom)), (dh, dc)):
                found[place] = first.unsqueeze(0) if needed[place] else None
        return found
