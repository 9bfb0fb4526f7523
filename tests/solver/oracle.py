"""Update rules in plain Python, one number at a time, as their papers have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt

Step = Callable[[float, float, float, float], float]
"""(value, gradient, learning rate, gradient of a decoupled penalty) → the next value."""


def sgd(mu: float) -> Step:
    v = 0.0

    def step(w: float, g: float, lr: float, penalty: float) -> float:
        nonlocal v
        v = mu * v - lr * g
        return w + v

    return step


def nesterov(mu: float) -> Step:
    """Sutskever's form: g is the gradient at w + mu·v, which is the value that comes and goes."""
    v = 0.0

    def step(ahead: float, g: float, lr: float, penalty: float) -> float:
        nonlocal v
        w = ahead - mu * v
        v = mu * v - lr * g
        return (w + v) + mu * v

    return step


def adagrad(delta: float) -> Step:
    seen: list[float] = []

    def step(w: float, g: float, lr: float, penalty: float) -> float:
        seen.append(g)
        return w - lr / (sqrt(sum(x * x for x in seen)) + delta) * g

    return step


def rmsprop(rho: float, delta: float) -> Step:
    mean = 0.0

    def step(w: float, g: float, lr: float, penalty: float) -> float:
        nonlocal mean
        mean = rho * mean + (1 - rho) * g**2
        return w - lr * g / (sqrt(mean) + delta)

    return step


def adadelta(rho: float, eps: float) -> Step:
    mean_g = mean_step = 0.0

    def step(w: float, g: float, lr: float, penalty: float) -> float:
        nonlocal mean_g, mean_step
        mean_g = rho * mean_g + (1 - rho) * g**2
        change = -sqrt(mean_step + eps) / sqrt(mean_g + eps) * g
        mean_step = rho * mean_step + (1 - rho) * change**2
        return w + lr * change

    return step


def adam(beta1: float, beta2: float, delta: float) -> Step:
    """Algorithm 1 of the paper; its ε is δ / √(1 − β₂ᵗ). With a penalty, AdamW."""
    m = v = 0.0
    t = 0

    def step(w: float, g: float, lr: float, penalty: float) -> float:
        nonlocal m, v, t
        t += 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        eps = delta / sqrt(1 - beta2**t)
        return w - lr * m_hat / (sqrt(v_hat) + eps) - lr * penalty

    return step


def gradients(w: Sequence[float], xs: list[list[float]], ts: list[float]) -> list[float]:
    """Of ½·mean((w·x + b − t)²), for the weights and then the bias, the last of `w`."""
    total = [0.0] * len(w)
    for x, t in zip(xs, ts):
        row = [*x, 1.0]
        error = sum(a * b for a, b in zip(w, row)) - t
        for j, value in enumerate(row):
            total[j] += error * value / len(xs)
    return total


def train(
    rules: list[Step],
    w: list[float],
    xs: list[list[float]],
    ts: list[float],
    rates: Sequence[float],
    *,
    lr_mult: list[float],
    decay: list[float],
    l1: bool = False,
    decoupled: bool = False,
    clip: float = -1,
    iter_size: int = 1,
) -> list[list[float]]:
    """The values after each iteration; one learning rate for each."""
    history = []
    for rate in rates:
        g = [iter_size * value for value in gradients(w, xs, ts)]
        norm = sqrt(sum(value**2 for value in g))
        if 0 <= clip < norm:
            g = [value * clip / norm for value in g]
        g = [value / iter_size for value in g]
        penalty = [d * ((x > 0) - (x < 0) if l1 else x) for d, x in zip(decay, w)]
        if not decoupled:
            g = [a + b for a, b in zip(g, penalty)]
        w = [
            step(x, a, rate * m, p if decoupled else 0.0)
            for step, x, a, m, p in zip(rules, w, g, lr_mult, penalty)
        ]
        history.append(w)
    return history
