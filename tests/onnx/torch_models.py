"""Small models of PyTorch's, with random weights, exported to ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _conv(
    a: int, b: int, k: int = 3, s: int = 1, g: int = 1, act: nn.Module | None = None
) -> nn.Module:
    layers = [nn.Conv2d(a, b, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(b)]
    return nn.Sequential(*layers, *([act] if act else []))


class Residual(nn.Module):
    def __init__(self, a: int, b: int, s: int) -> None:
        super().__init__()
        self.one, self.two = _conv(a, b, 3, s, act=nn.ReLU()), _conv(b, b)
        self.short = _conv(a, b, 1, s) if s != 1 or a != b else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.two(self.one(x)) + self.short(x))


class Inverted(nn.Module):
    """MobileNet's block; V3's with squeeze and excitation and HardSwish."""

    def __init__(self, a: int, b: int, s: int, three: bool) -> None:
        super().__init__()
        act = nn.Hardswish() if three else nn.ReLU6()
        self.first = nn.Sequential(
            _conv(a, 3 * a, 1, act=act), _conv(3 * a, 3 * a, 3, s, 3 * a, act)
        )
        self.squeeze = (
            nn.Sequential(
                nn.AdaptiveAvgPool2d(1),
                nn.Conv2d(3 * a, a, 1),
                nn.ReLU(),
                nn.Conv2d(a, 3 * a, 1),
                nn.Hardsigmoid(),
            )
            if three
            else None
        )
        self.last, self.adds = _conv(3 * a, b, 1), s == 1 and a == b

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        if self.squeeze is not None:
            y = y * self.squeeze(y)
        y = self.last(y)
        return x + y if self.adds else y


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = _conv(3, 8, act=nn.ReLU()), _conv(8, 16, act=nn.ReLU())
        self.up, self.c = nn.ConvTranspose2d(16, 8, 2, 2), _conv(16, 8, act=nn.ReLU())
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.up(self.b(F.max_pool2d(a, 2)))
        return torch.sigmoid(self.head(self.c(torch.cat([a, b], 1))))


class YoloHead(nn.Module):
    """SiLU, a spatial pyramid, nearest enlargement, and outputs as YOLO lays them out."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = _conv(3, 8, 3, 2, act=nn.SiLU()), _conv(8, 8, 3, 2, act=nn.SiLU())
        self.head = nn.Conv2d(32, 3 * 7, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.b(a)
        pools = [b, F.max_pool2d(b, 5, 1, 2), F.max_pool2d(b, 9, 1, 4)]
        up = F.interpolate(torch.cat(pools, 1), scale_factor=2.0, mode="nearest")
        y = self.head(torch.cat([a, up], 1))
        y = y.reshape(x.shape[0], 3, 7, y.shape[2], y.shape[3]).permute(0, 1, 3, 4, 2)
        xy, rest = torch.sigmoid(y).split([2, 5], 4)
        return torch.cat([xy * 2 - 0.5, rest], 4)


def _small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1),
        nn.ELU(), nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.Flatten(),
        nn.Linear(512, 20), nn.Tanh(), nn.Linear(20, 5), nn.Softmax(1),
    )  # fmt: skip


def _resnet() -> nn.Module:
    parts: list[nn.Module] = [_conv(3, 8, 7, 2, act=nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
    channels = 8
    for out, stride in ((8, 1), (16, 2), (32, 2), (64, 2)):
        parts += [Residual(channels, out, stride), Residual(out, out, 1)]
        channels = out
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _mobilenet(three: bool) -> nn.Module:
    blocks = [Inverted(8, 8, 1, three), Inverted(8, 16, 2, three), Inverted(16, 16, 1, three)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]
    return nn.Sequential(_conv(3, 8, 3, 2, act=nn.ReLU6()), *blocks, *head)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "small": _small,
    "resnet18": _resnet,
    "mobilenet_v2": lambda: _mobilenet(False),
    "mobilenet_v3": lambda: _mobilenet(True),
    "unet": UNet,
    "yolo_head": YoloHead,
}


def write(name: str, path: Path) -> None:
    """Export a model for inputs of 1 x 3 x 34 x 34 (32 x 32 where it halves and doubles)."""
    torch.manual_seed(0)
    model = MODELS[name]()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    side = 34 if name == "small" else 32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), (torch.zeros(1, 3, side, side),), str(path), dynamo=False,
            input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "N"}, "y": {0: "N"}},
            opset_version=17, do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE,
        )  # fmt: skip


class Words(nn.Module):
    """Two recurrent layers in both directions over a batch of sequences, and a product."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.walk = getattr(nn, kind)(4, 3, 2, batch_first=True, bidirectional=True)
        self.last = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.walk(x)[0])


def write_recurrent(kind: str, path: Path) -> None:
    """Export a recurrent model (LSTM, GRU, RNN) for inputs of 1 x 6 x 4."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Words(kind).eval(), (torch.zeros(1, 6, 4),), str(path), dynamo=False,
            input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "N"}, "y": {0: "N"}},
            opset_version=17,
        )  # fmt: skip
