"""The package, and a program of a user without a word of help, pass a strict type checker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import micrograd_plus as mp

class Line(mp.nn.Module):
    def __init__(self) -> None:
        self.a = mp.Value(2.0, label="a")

    def forward(self, x: float) -> mp.Value:
        return (self.a * x + 1).tanh()

@mp.no_grad()
def predict(model: mp.nn.Module, x: float) -> float:
    with mp.detect_anomaly(), mp.scope("prediction"):
        value: mp.Value = model(x)
    return value.data

def main() -> mp.Value:
    v: mp.Value = mp.tanh(mp.Value(1.0)) + 2 * mp.Value(3.0).relu()
    first: mp.Value = mp.softmax([v, 1.0])[0]
    first.backward()
    X, y = mp.data.moons(10)
    model = mp.nn.MLP(2, [4, 1], activation="tanh")
    optimizer = mp.optim.Adam(model.parameters(), lr=0.1)
    history = mp.fit(model, X, y, loss="hinge", optimizer=optimizer, epochs=1, progress=False)
    step = mp.compile(lambda x, target: mp.losses.hinge(model(x), target), optimizer)
    losses: list[float] = step.run(X, y, epochs=2, progress=False)
    loss: float = mp.compile(lambda x, target: mp.losses.hinge(model(x), target))(X, y)
    print(losses, loss, mp.compile(model)(X))
    mp.save(model, "model.json")
    mp.draw(first).save("first.svg")
    print(history.loss[-1], mp.gradcheck(first), predict(Line(), 1.0))
    return first
"""


def test_the_package_and_a_users_program_are_typed(tmp_path):
    """One run of mypy: most of its time is for the package, which both need."""
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "micrograd_plus", str(program)]
    command += ["--cache-dir", os.devnull]  # no other run reads it, and writing it takes long
    root = Path(__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.stdout.startswith("Success"), done.stdout
