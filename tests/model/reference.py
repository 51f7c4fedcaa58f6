"""Each cell's step as the textbook has it: NumPy, one stream, one gate at a time. Shares no line with charlm."""

from collections.abc import Callable, Mapping

import numpy as np

Values = dict[str, np.ndarray]
Hold = Callable[[str, np.ndarray], np.ndarray]  # a part's name and its new values -> what a clamp leaves of them


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def free(_part: str, values: np.ndarray) -> np.ndarray:
    """Hold nothing."""
    return values


def lstm(x: list[np.ndarray], u: list[np.ndarray], now: Mapping[str, np.ndarray], hold: Hold = free) -> Values:
    i, f, o = sigmoid(x[0] + u[0]), sigmoid(x[1] + u[1]), sigmoid(x[3] + u[3])
    g = np.tanh(x[2] + u[2])
    c = hold("c", f * now["c"] + i * g)
    return {"c": c, "h": hold("h", o * np.tanh(c)), "i": i, "f": f, "o": o, "g": g}


def gru(x: list[np.ndarray], u: list[np.ndarray], now: Mapping[str, np.ndarray], hold: Hold = free) -> Values:
    r, z = sigmoid(x[0] + u[0]), sigmoid(x[1] + u[1])
    n = np.tanh(x[2] + r * u[2])
    return {"h": hold("h", (1 - z) * n + z * now["h"]), "r": r, "z": z, "n": n}


def rnn(x: list[np.ndarray], u: list[np.ndarray], _now: Mapping[str, np.ndarray], hold: Hold = free) -> Values:
    return {"h": hold("h", np.tanh(x[0] + u[0]))}


# By the cell's name: what W x + b and U h + b' give for each gate, and the state before -> every signal after the step.
REFERENCES: dict[str, Callable[..., Values]] = {"lstm": lstm, "gru": gru, "rnn": rnn}
