"""Checkpoints: files from which a training that was killed continues, to the same numbers.

A checkpoint is the file of a model, as `mp.save` writes it. Beside the model it contains all that
`fit` keeps from one step to the next: the optimizer's state, the schedule, the states of the random
generators, the history, the place in the epoch, and the numbers to go back to.

A file's name contains a digest of its content, so that a damaged file is recognised. The last two
files stay: if one is damaged, there is the one before it.

>>> import contextlib, tempfile
>>> from micrograd_plus import data, fit, nn
>>> X, y = data.moons(20)
>>> def train(folder, **options):
...     model = nn.MLP(2, [4, 1], generator=random.Random(0))
...     return fit(model, X, y, loss="hinge", checkpoint=folder, progress=False, **options)
>>> def kill(history):
...     if len(history.loss) == 2:
...         raise SystemExit
>>> folder = Path(tempfile.mkdtemp())
>>> with contextlib.suppress(SystemExit):
...     train(folder, epochs=4, checkpoint_seconds=0, callbacks=[kill])
>>> train(folder, epochs=4, resume=True) == train(None, epochs=4)
True
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..nn import saving
from ..nn.init import GLOBAL
from ..optim import Schedule
from ..support.files import remove_unfinished, write_atomically
from ..support.interrupts import LateCtrlC
from ..support.sweeping import warn
from .runs import Run
from .settings import differences

_NAME = re.compile(r"checkpoint-\d+-[0-9a-f]{12}\.json")


class Checkpoints:
    """The checkpoints of one training.

    folder: where they are; None for a training that has none.
    seconds: the time from one to the next.
    settings: what must be the same in the process that continues.
    generator: shuffles the examples. Those of the model's modules, and Python's own, are saved too.
    """

    def __init__(
        self,
        folder: str | Path | None,
        seconds: float,
        run: Run,
        schedule: Schedule | None,
        generator: random.Random,
        settings: Mapping[str, Any],
    ) -> None:
        if not seconds >= 0:
            raise ValueError(f"checkpoint_seconds must be 0 or more seconds, not {seconds!r}")
        self.folder = None if folder is None else Path(folder)
        self.seconds, self.run, self.schedule, self.settings = seconds, run, schedule, settings
        owned = [v for m in run.model.modules() for v in vars(m).values()]
        found = [generator, *(v for v in owned if isinstance(v, random.Random)), GLOBAL]
        self.generators = list(dict.fromkeys(found))  # one may be shared
        self.training = os.urandom(6).hex()  # its name, for loggers
        self.written: list[Path] = []
        self.number = 0
        self.due = 0.0
        self.ctrl_c = LateCtrlC()

    def find(self, resume: bool, epochs: int) -> None:
        """Goes on from the newest checkpoint, if `resume` is true and there is one.

        FileExistsError if there is one and `resume` is false, ValueError if it is of another
        training or in a later epoch; then nothing has changed. One from before the first update
        has nothing to lose: if it does not fit, the training starts from the beginning.
        """
        if self.folder is None:
            if resume:
                raise ValueError(
                    "resume=True needs checkpoint=FOLDER, the folder with the checkpoint"
                )
            return
        path, content = self._newest(self.folder)
        if path is None:
            return
        state = content["training"]
        begun = state["run"]["steps"] > 0
        if not resume:
            if begun:
                raise FileExistsError(
                    f"{self.folder} has the checkpoint of a training: pass resume=True to continue "
                    "with it, in a command --resume, or name another folder"
                )
            return
        if problems := self._problems(state, epochs):
            if begun:
                raise ValueError(
                    f"{path} is of another training: {'; '.join(problems)}. Nothing was changed: "
                    "give the same arguments as there, or name another folder"
                )
            return
        self._load(content)
        self.written = [path]

    def _problems(self, state: Mapping[str, Any], epochs: int) -> list[str]:
        """Why a training with this state cannot continue here."""
        problems = differences(state["settings"], self.settings)
        shapes = len(state["generators"]), len(self.generators)
        if shapes[0] != shapes[1]:
            problems.append(f"there are {shapes[0]} random generators there and {shapes[1]} here")
        done = len(state["run"]["history"]["loss"]) + bool(state["run"]["epoch"])
        if done > epochs:
            problems.append(f"epoch {done} has begun there, and epochs is {epochs} here")
        return problems

    def _load(self, content: Mapping[str, Any]) -> None:
        state = content["training"]
        self.run.model.load_state_dict(content["parameters"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        self.run.load_state_dict(state["run"])
        for generator, (version, words, gauss) in zip(self.generators, state["generators"]):
            generator.setstate((version, tuple(words), gauss))
        self.training, self.number = state["name"], state["number"]

    def begin(self) -> None:
        """Writes the first checkpoint; OSError if that fails. From then on Ctrl-C waits for one."""
        if self.folder is not None:
            self.ctrl_c.begin()
        self.write()

    def close(self) -> None:
        """From now on Ctrl-C does not wait."""
        self.ctrl_c.end()

    def write(self) -> None:
        """Writes a checkpoint; OSError if that fails."""
        if self.folder is None:
            return
        self.number += 1
        text = saving.text_of(
            self.run.model,
            training={
                "name": self.training,
                "number": self.number,
                "settings": self.settings,
                "schedule": self.schedule and self.schedule.state_dict(),
                "generators": [generator.getstate() for generator in self.generators],
                "run": self.run.state_dict(),
            },
        )
        name = f"checkpoint-{self.number:06}-{_digest(text.encode())}.json"
        self.written = [*self.written[-1:], write_atomically(self.folder / name, text)]
        for path in _files(self.folder):
            if path not in self.written:
                path.unlink(missing_ok=True)
        remove_unfinished(self.folder)
        self.due = time.monotonic() + self.seconds

    def write_if_due(self, last: bool = False) -> None:
        """Writes a checkpoint if the one before it is `seconds` old, or if it is the last.

        A warning says if that fails. KeyboardInterrupt after Ctrl-C, when it is written.
        """
        if self.folder is None:
            return
        if not (last or self.ctrl_c.pressed or time.monotonic() >= self.due):
            return
        try:
            self.write()
        except OSError as error:
            self.due = time.monotonic() + self.seconds
            warn(
                f"a checkpoint could not be written: {error}. The last one is {self.written[-1]}",
                RuntimeWarning,
                stacklevel=3,
            )
        if self.ctrl_c.pressed:
            raise KeyboardInterrupt

    def _newest(self, folder: Path) -> tuple[Path | None, dict[str, Any]]:
        """The newest checkpoint that is whole, and its content; ValueError if all are damaged."""
        files = _files(folder)
        for place, path in enumerate(files):
            if path.stem.endswith(_digest(path.read_bytes())):
                if place:
                    warn(
                        f"{files[0]} is damaged: {path}, the checkpoint before it, takes its place",
                        RuntimeWarning,
                        stacklevel=4,
                    )
                return path, saving.read(path)
        if files:
            raise ValueError(
                f"{' and '.join(map(str, files))} are damaged: there is no checkpoint to continue "
                "from; restore a copy, or name another folder to begin again"
            )
        return None, {}


def _files(folder: Path) -> list[Path]:
    """All checkpoints of a folder, the newest first."""
    found = [path for path in folder.glob("*") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.split("-")[1]), reverse=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
