"""Loggers: they note a training's settings, and each epoch's numbers, while it runs.

>>> import random, tempfile
>>> from micrograd_plus import data, fit, nn
>>> path = Path(tempfile.mkdtemp()) / "log.jsonl"
>>> X, y = data.moons(20)
>>> model = nn.MLP(2, [4, 1], generator=random.Random(0))
>>> history = fit(model, X, y, loss="hinge", epochs=3, progress=False, logger=JSONLines(path))
>>> settings, *epochs = map(json.loads, path.read_text().splitlines())
>>> settings["settings"]["optimizer"], [epoch["loss"] for epoch in epochs] == history.loss
('Adam', True)

A logger of your own is an object with the three methods of `Logger`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from .support.files import write_atomically
from .support.libraries import missing
from .support.sweeping import warn

__all__ = ["JSONLines", "Logger", "MLflow", "TensorBoard"]


@runtime_checkable
class Logger(Protocol):
    """The three methods of a logger, which `fit` calls.

    >>> class Print:
    ...     def begin(self, training, settings, epoch):
    ...         print("loss:", settings["loss"])
    ...     def log(self, epoch, numbers):
    ...         print("epoch", epoch, *numbers)
    ...     def close(self):
    ...         print("done")
    >>> from micrograd_plus import data, fit, nn
    >>> X, y = data.moons(20)
    >>> model = nn.MLP(2, [1])
    >>> history = fit(model, X, y, loss="hinge", epochs=1, progress=False, logger=Print())
    loss: hinge
    epoch 1 loss accuracy grad_norm lr
    done
    """

    def begin(self, training: str, settings: Mapping[str, Any], epoch: int) -> None:
        """Called first: the training begins, or continues after `epoch` epochs.

        training: its name, the same when it continues and different for every other training. What
            is known of its epochs after `epoch` must be dropped: they come again.
        settings: numbers, texts and nested dictionaries, by their names in `fit`.
        """

    def log(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Called after each epoch, from 1 on, with the numbers that the history then has.

        When it returns, the numbers must be safe if the process is killed.
        """

    def close(self) -> None:
        """Called at the end, also after an error or Ctrl-C."""


_START = '{"training": "'  # of every line of JSONLines


class JSONLines:
    """Writes a file with one JSON object per line, for pandas, jq and spreadsheets.

    The first line of a training has its settings, every other line an epoch. Several trainings may
    share a file. A number that is inf or nan becomes null.

    >>> import tempfile
    >>> logger = JSONLines(Path(tempfile.mkdtemp()) / "log.jsonl")
    >>> logger.begin("first", {"lr": 0.1}, epoch=0)
    >>> logger.log(1, {"loss": 0.5})
    >>> logger.close()
    >>> print(logger.path.read_text(), end="")
    {"training": "first", "settings": {"lr": 0.1}}
    {"training": "first", "epoch": 1, "loss": 0.5}
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._training = ""
        self._file: Any = None

    def begin(self, training: str, settings: Mapping[str, Any], epoch: int) -> None:
        """Opens the file. Lines of other trainings stay, and of this one those up to `epoch`."""
        old = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        kept, begun = [], False
        for line in old.splitlines(keepends=True):
            if not line.endswith("\n") and _START.startswith(line[: len(_START)]):
                break  # its writer was killed
            try:
                noted = json.loads(line)
                own = noted["training"] == training
            except (ValueError, TypeError, KeyError):
                raise ValueError(
                    f"{self.path} is not a file of this logger, and is left as it is: name another"
                ) from None
            if not own or noted.get("epoch", 0) <= epoch:
                kept.append(line)
                begun |= own
        if "".join(kept) != old or not old:
            write_atomically(self.path, "".join(kept))
        self._training = training
        self._file = self.path.open("a", encoding="utf-8")
        if not begun:
            self._write({"settings": settings})

    def log(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Writes a line."""
        finite = {name: n if math.isfinite(n) else None for name, n in numbers.items()}
        self._write({"epoch": epoch, **finite})

    def _write(self, content: Mapping[str, Any]) -> None:
        self._file.write(json.dumps({"training": self._training, **content}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoard:
    """Writes event files for TensorBoard; needs tensorboardX, or PyTorch and tensorboard.

    folder: one for each training; `tensorboard --logdir` takes the folder above several. What a
        training logged after its last checkpoint stays in the files and is marked as outdated:
        TensorBoard shows each epoch once.

    >>> import tempfile
    >>> logger = TensorBoard(tempfile.mkdtemp())
    >>> logger.begin("first", {"lr": 0.1}, epoch=0)
    >>> logger.log(1, {"loss": 0.5})
    >>> logger.close()
    >>> len(list(logger.folder.glob("events.*")))
    1
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._writer: Any = None

    def begin(self, training: str, settings: Mapping[str, Any], epoch: int) -> None:
        """Opens an event file, and notes the settings as a table."""
        self._writer = _summary_writer()(
            str(self.folder),
            purge_step=epoch + 1 if epoch else 0,
            filename_suffix=f".{time.time_ns()}",  # else one file a second overwrites another
        )
        if not epoch:
            rows = [f"| {name} | `{value}` |" for name, value in settings.items()]
            self._writer.add_text("settings", "\n".join(["| | |", "|-|-|", *rows]), 0)

    def log(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Writes a point for each curve."""
        for name, number in numbers.items():
            self._writer.add_scalar(name, number, epoch)
        self._writer.flush()

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()


def _summary_writer() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise missing(
                "TensorBoard's files are written by",
                "tensorboardX or torch.utils.tensorboard",
                "pip install tensorboardX",
            ) from None
    return SummaryWriter


class MLflow:
    """Logs to MLflow: a run of its own for each training.

    experiment: the name of the runs' experiment, which is made if it is missing.
    tracking_uri: the server or the database, such as "sqlite:///mlflow.db"; by default MLflow's
        own, which MLFLOW_TRACKING_URI changes.

    >>> logger = MLflow("moons", tracking_uri="sqlite:///mlflow.db")  # for fit(..., logger=logger)
    >>> logger.experiment
    'moons'
    """

    def __init__(self, experiment: str = "micrograd_plus", tracking_uri: str | None = None) -> None:
        self.experiment, self.tracking_uri = experiment, tracking_uri
        self._client: Any = None
        self._run = ""
        self._last: dict[str, int] = {}  # the last epoch of each metric: MLflow drops none

    def begin(self, training: str, settings: Mapping[str, Any], epoch: int) -> None:
        """Makes a run, or finds the one of this training; the settings are its parameters."""
        try:
            from mlflow import MlflowClient
            from mlflow.entities import Param
        except ImportError:
            raise missing("MLflow's runs are written by", "mlflow", "pip install mlflow") from None

        self._client = client = MlflowClient(self.tracking_uri)
        known = client.get_experiment_by_name(self.experiment)
        where = known.experiment_id if known else client.create_experiment(self.experiment)
        runs = client.search_runs([where], f"tags.training = '{training}'")
        run = runs[0] if runs else client.create_run(where, tags={"training": training})
        self._run = run.info.run_id
        self._last = {
            name: max(metric.step for metric in client.get_metric_history(self._run, name))
            for name in run.data.metrics
        }
        new = settings.keys() - run.data.params.keys()  # a parameter cannot be changed
        client.log_batch(self._run, params=[Param(name, str(settings[name])) for name in new])
        client.update_run(self._run, "RUNNING")

    def log(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Logs a metric for each number, unless it has been logged."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        new = [name for name in numbers if epoch > self._last.get(name, 0)]
        metrics = [Metric(name, numbers[name], now, epoch) for name in new]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self) -> None:
        """Ends the run."""
        self._client.set_terminated(self._run)


class Loggers:
    """Several loggers as one, for `fit`: one that fails does not stop the training."""

    def __init__(self, given: Logger | Iterable[Logger]) -> None:
        is_list = isinstance(given, Iterable) and not isinstance(given, (Logger, str))
        self.given: list[Any] = [*given] if is_list else [given]  # type: ignore[misc]
        for logger in self.given:
            if not isinstance(logger, Logger) or isinstance(logger, type):
                raise TypeError(
                    "logger must be a logger, such as loggers.JSONLines('log.jsonl'), or a list "
                    f"of them, not {logger!r}"
                )
        self._open: list[Logger] = []

    def begin(self, training: str, settings: Mapping[str, Any], epoch: int) -> None:
        """Begins all; an error of one is raised, as nothing has been trained yet."""
        for logger in self.given:
            logger.begin(training, settings, epoch)
            self._open.append(logger)

    def log(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Logs an epoch; of a logger that fails a warning says so, and it gets no more calls."""
        for logger in list(self._open):
            try:
                logger.log(epoch, numbers)
            except Exception as error:  # of any kind: the logger may be the user's own
                self._open.remove(logger)
                _say_failed(logger, error)

    def close(self) -> None:
        """Closes those that have begun."""
        while self._open:
            logger = self._open.pop()
            try:
                logger.close()
            except Exception as error:
                _say_failed(logger, error)


def _say_failed(logger: Logger, error: Exception) -> None:
    warn(
        f"{type(logger).__name__} failed with {type(error).__name__}: {error}. The training goes "
        "on without this logger",
        RuntimeWarning,
        stacklevel=4,
    )
