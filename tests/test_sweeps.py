"""Sweeps: all runs, whatever happens to a process; results on disk; the table and the picture."""

from __future__ import annotations

import inspect
import itertools
import math
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import micrograd_plus as mp
from micrograd_plus.sweeps import Outcome, Row, Sweep

GRID = {"lr": [0.1, 1.0], "width": [4, 8]}


def sweep(train, grid=GRID, **options):
    return mp.sweep(train, grid, **{"jobs": 1, "progress": False} | options)


def curve(lr, width, seed):
    return [lr * width + seed, lr + 10 * seed * seed]


# ---- the numbers


def test_every_setting_is_run_with_every_seed():
    calls = []

    def train(lr, width, seed):
        calls.append((lr, width, seed))
        return lr * width + seed

    result = sweep(train, seeds=3)
    wanted = [(lr, width, seed) for seed in range(3) for lr in (0.1, 1.0) for width in (4, 8)]
    assert calls == wanted, "each setting once before the next seed"
    assert [row.settings for row in result.rows] == [
        {"lr": lr, "width": width} for lr in (0.1, 1.0) for width in (4, 8)
    ]
    for row in result.rows:
        numbers = [row.settings["lr"] * row.settings["width"] + seed for seed in range(3)]
        assert [outcome.number for outcome in row.outcomes.values()] == numbers
        assert row.spread == (statistics.median(numbers), min(numbers), max(numbers))
    assert result.best == {"lr": 0.1, "width": 4}
    assert sweep(train, mode="max").best == {"lr": 1.0, "width": 8}


def test_what_train_may_return():
    numpy = pytest.importorskip("numpy")
    results = {
        "float": 2,
        "Value": mp.Value(2.0),
        "list": [1.0, mp.Value(2.0)],
        "array": numpy.array([1.0, 2.0]),
        "scalar": numpy.float64(2.0),
    }
    rows = sweep(lambda kind, seed: results[kind], {"kind": [*results]}).rows
    curves = [row.outcomes[0].curve for row in rows]
    assert curves == [(2.0,), (2.0,), (1.0, 2.0), (1.0, 2.0), (2.0,)]


def fitted(lr, seed, **options):
    X, y = mp.data.moons(20, seed=seed)
    model = mp.nn.MLP(2, [2, 1], generator=random.Random(seed))
    optimizer = mp.optim.SGD(model.parameters(), lr=lr)
    fit = {"loss": "hinge", "optimizer": optimizer, "epochs": 8, "compiled": False}
    return mp.fit(model, X, y, **fit | options)


def test_a_history_is_its_loss_or_that_of_the_validation():
    losses = fitted(0.1, 0, progress=False).loss
    (row,) = sweep(fitted, {"lr": [0.1]}).rows
    assert row.outcomes[0].curve == tuple(losses)

    def validated(lr, seed):
        return fitted(lr, seed, validation=mp.data.moons(10, seed=9))

    (row,) = sweep(validated, {"lr": [0.1]}).rows
    assert row.outcomes[0].curve == tuple(
        fitted(0.1, 0, validation=mp.data.moons(10, seed=9), progress=False).val_loss
    )


def test_a_run_that_diverges_is_worse_than_all_others_and_warns_in_the_table(capfd):
    result = sweep(fitted, {"lr": [0.1, 1e60]}, seeds=2)
    good, bad = result.rows
    assert math.isnan(bad.outcomes[0].number)
    assert bad.remarks == "2 of 2 not finite"
    assert result.best == {"lr": 0.1}
    assert "2 runs with a warning, the first lr=1e+60, seed=0: the" in str(result)
    assert capfd.readouterr().err == "", "neither the bars of fit nor its warnings"
    assert good.remarks == ""


def test_a_median_with_runs_that_are_not_finite():
    def row(*numbers, mode="min"):
        return Row({}, {i: Outcome((number,)) for i, number in enumerate(numbers)}, mode)

    nan, inf = math.nan, math.inf
    assert row(1.0, nan, 3.0).spread == (3.0, 1.0, 3.0)
    assert row(1.0, nan, 3.0, mode="max").spread == (1.0, 1.0, 3.0)
    assert math.isnan(row(1.0, inf).spread.median)
    assert math.isnan(row(nan, nan).spread.lowest)
    with pytest.raises(ValueError, match=r"no settings are the best: .* no finite number"):
        Sweep([row(nan)], "min").best  # noqa: B018


def test_curves_of_different_lengths():
    curves = [(4.0, 2.0, 1.0), (6.0, 4.0), (8.0, math.nan)]
    row = Row({}, {seed: Outcome(curve) for seed, curve in enumerate(curves)}, "min")
    first, second, third = row.spreads
    assert first == (6.0, 4.0, 8.0)
    assert second == (4.0, 2.0, 4.0)
    assert third[1:] == (1.0, 1.0), "one ended early, and one is lost for good"
    assert math.isnan(third.median)


# ---- what goes wrong


def test_a_run_that_raises_costs_only_itself():
    def train(lr, width, seed):
        if width == 8 and seed == 1:
            raise ValueError(f"no {lr}")
        return lr + seed

    result = sweep(train, seeds=3)
    assert [row.remarks for row in result.rows] == ["", "1 of 3 failed"] * 2
    assert "lr=0.1, width=8, seed=1: ValueError: no 0.1\n" in str(result)
    failed = result.rows[1].outcomes[1]
    assert failed.traceback.endswith("ValueError: no 0.1\n")
    assert 'raise ValueError(f"no {lr}")' in failed.traceback


def test_if_every_run_fails_the_first_error_is_raised():
    def train(lr, width, seed):
        return lr / 0

    with pytest.raises(
        RuntimeError, match=r"the first, with lr=0.1, width=4, seed=0:\n(.*\n)*.*Zero"
    ):
        sweep(train)
    for nothing, said in (
        (None, "not None: is a `return` missing"),
        ([], r"not \[\]"),
        ("a", "'a'"),
    ):
        with pytest.raises(RuntimeError, match=f"train must return a number, .*{said}"):
            sweep(lambda lr, width, seed, nothing=nothing: nothing)


def test_many_errors_are_counted():
    def train(lr, seed):
        return lr / seed

    shown = str(sweep(train, {"lr": [*range(1, 9)]}, seeds=2))
    assert shown.count("ZeroDivisionError") == 5
    assert "… and 3 errors more" in shown


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"train": 3.0}, TypeError, "train must be a function, not 3.0: write sweep.train, ..."),
        ({"train": lambda lr, seed: 1}, TypeError, "unexpected keyword argument 'width'"),
        ({"train": lambda lr, width: 1}, TypeError, "train.lr=..., width=..., seed=....*'seed'"),
        ({"train": lambda lr, width, seed, n: 1}, TypeError, "missing a required argument: 'n'"),
        ({"grid": {}}, TypeError, "grid must give for each name the settings"),
        ({"grid": [1]}, TypeError, "grid must give for each name the settings"),
        ({"grid": {"lr": []}}, ValueError, r"grid\['lr'\] is empty"),
        ({"grid": {"lr": 0.1}}, TypeError, r"grid\['lr'\] must be a list of settings, not 0.1"),
        ({"grid": {"lr": "relu"}}, TypeError, r"grid\['lr'\] must be a list of settings"),
        ({"grid": {"lr": [0.1, 0.2, 0.1]}}, ValueError, r"grid\['lr'\] has 0.1 twice"),
        ({"grid": {"seed": [1]}}, ValueError, "the seeds are not part of the grid: write seeds=5"),
        ({"seeds": 2.5}, ValueError, "seeds must be a whole number of at least 1, not 2.5"),
        ({"seeds": 0}, ValueError, "seeds must be a whole number"),
        ({"jobs": 0}, ValueError, "jobs must be a whole number"),
        ({"mode": "most"}, ValueError, "mode is 'min' or 'max', not 'most'"),
    ],
)
def test_bad_input(changed, error, says):
    arguments = {"train": curve, "grid": GRID} | changed
    with pytest.raises(error, match=says):
        sweep(**arguments)


def test_what_cannot_be_sent_to_another_process_is_said():
    pytest.importorskip("joblib")
    lock = threading.Lock()

    def train(lr, width, seed):
        with lock:
            return lr

    with pytest.raises(TypeError, match=r"cannot be sent to another process \(cannot pickle '_th"):
        sweep(train, jobs=2)
    assert sweep(train).best == {"lr": 0.1, "width": 4}


def test_without_joblib_there_is_advice(monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(
        ImportError, match=r'pip install "micrograd-plus\[sweep\]", or write jobs=1'
    ):
        sweep(curve, jobs=2)
    monkeypatch.setattr(sys, "platform", "emscripten")  # Pyodide, which has no processes
    assert sweep(curve, jobs=2).best == {"lr": 0.1, "width": 4}


# ---- several processes


def test_processes_give_what_one_gives_and_one_may_die():
    pytest.importorskip("joblib")

    def train(lr, width, seed):
        if lr == 1.0 and seed == 1:
            if width == 8:
                os._exit(3)
            raise ValueError("no")
        return [lr, width * lr + seed]

    together = sweep(train, seeds=3, jobs=2)
    for row in together.rows:
        for seed, outcome in row.outcomes.items():
            if row.settings["lr"] == 0.1 or seed != 1:
                assert outcome == Outcome(tuple(train(**row.settings, seed=seed)))
    assert [row.remarks for row in together.rows] == ["", "", "1 of 3 failed", "1 of 3 failed"]
    assert "lr=1, width=4, seed=1: ValueError: no" in together.remarks
    assert "lr=1, width=8, seed=1: the process of this run ended" in str(together)


def run(script: str, folder: Path) -> str:
    """What a script prints that runs in a folder of its own."""
    (folder / "script.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "script.py"]
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_back_end_that_gives_its_results_at_the_end(tmp_path):
    """In a small process of its own, of which the back end makes copies."""
    pytest.importorskip("joblib")
    script = f"""
import joblib
import micrograd_plus as mp

{inspect.getsource(curve)}

if __name__ == "__main__":
    with joblib.parallel_config("multiprocessing", n_jobs=2):  # as Ray's is
        print(mp.sweep(curve, {GRID}, seeds=3, progress=False))
"""
    assert run(script, tmp_path) == f"{sweep(curve, seeds=3)}\n"


LOGGED = """
import os, signal, time
import micrograd_plus as mp

def train(lr, seed):
    with open("log", "a") as file:
        file.write(f"{lr} {seed}\\n")
    LOSE
    return 10 * lr + seed
"""


def test_a_dask_cluster_that_loses_a_worker(tmp_path):
    pytest.importorskip("joblib")
    pytest.importorskip("distributed")
    lose = """
    if (lr, seed) == (2.0, 1) and not os.path.exists("lost"):
        open("lost", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    script = """
if __name__ == "__main__":
    import joblib
    from distributed import Client, LocalCluster

    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    )
    with cluster, Client(cluster), joblib.parallel_config("dask"):
        result = mp.sweep(train, {"lr": [1.0, 2.0, 3.0]}, seeds=4, progress=False)
    print([[outcome.number for outcome in row.outcomes.values()] for row in result.rows])
"""
    printed = run(LOGGED.replace("LOSE", lose) + script, tmp_path)
    assert printed == f"{[[10.0 * lr + seed for seed in range(4)] for lr in (1, 2, 3)]}\n"
    assert (tmp_path / "lost").exists()
    calls = (tmp_path / "log").read_text().splitlines()
    assert len(set(calls)) == 12
    assert calls.count("2.0 1") >= 2


def test_after_a_kill_only_the_missing_runs_are_made(tmp_path):
    pytest.importorskip("joblib")
    wait = """
    while (lr, seed) == (3.0, 5) and not os.path.exists("go"):
        time.sleep(0.02)
    """  # so that a run is missing, however slow the processes are
    script = (
        LOGGED.replace("LOSE", wait)
        + """
if __name__ == "__main__":
    print(mp.sweep(train, {"lr": [1.0, 2.0, 3.0]}, seeds=6, folder="kept", jobs=2, progress=False))
"""
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    path = str(Path(__file__).parent.parent)
    killed = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        while len([*tmp_path.glob("kept/*.json")]) < 4:
            assert killed.poll() is None
            time.sleep(0.02)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    (tmp_path / "go").touch()
    kept = len([*tmp_path.glob("kept/*.json")])
    assert 4 <= kept < 18
    (tmp_path / "log").unlink()
    assert f"{kept} runs read from the folder" in run(script, tmp_path)
    calls = (tmp_path / "log").read_text().splitlines()
    assert len(calls) == len(set(calls)) == 18 - kept


# ---- on disk


def test_finished_runs_are_found_again(tmp_path, capsys):
    def made(power):
        def train(lr, width, seed):
            print("a call")
            if width == 8 and seed == 1:
                raise ValueError("no")
            return [lr**power, width + seed, math.inf]

        return train

    kept = {"seeds": 2, "folder": tmp_path / "new" / "kept"}
    first = sweep(made(2), **kept)
    assert (capsys.readouterr().out.count("a call"), first.kept) == (8, 0)
    second = sweep(made(2), **kept)
    assert capsys.readouterr().out.count("a call") == 2, "what raised an error is tried again"
    assert second.kept == 6
    assert second.rows[0] == first.rows[0]
    more = sweep(made(2), {"lr": [0.1, 1.0, 7.0], "width": [4]}, seeds=3, folder=kept["folder"])
    assert more.kept == 4, "of a larger grid with more seeds"
    assert sweep(made(3), **kept).kept == 0, "another train"


def test_a_damaged_file_is_made_again(tmp_path):
    sweep(curve, folder=tmp_path)
    for path, content in zip(sorted(tmp_path.iterdir()), (b"", b"{", b'{"curve": 3}')):
        path.write_bytes(content)
    again = sweep(curve, folder=tmp_path)
    assert again.kept == 1
    assert str(again).split(";")[0] == str(sweep(curve)).split("\n")[0]
    assert sweep(curve, folder=tmp_path).kept == 4


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    def interrupt(history):
        raise KeyboardInterrupt

    def train(lr, seed):
        return fitted(lr, seed, callbacks=[interrupt] if (lr, seed) == (0.2, 1) else [])

    result = sweep(train, {"lr": [0.1, 0.2, 0.3]}, seeds=3, folder=tmp_path)
    assert "stopped by Ctrl-C after 4 of 9 runs" in str(result)
    assert [len(row.outcomes) for row in result.rows] == [2, 1, 1]
    assert len([*tmp_path.iterdir()]) == 4


# ---- the picture


def drawn(grid, numbers, mode="min"):
    """The picture of a sweep; numbers: for each setting of the grid one for each seed."""
    settings = [dict(zip(grid, chosen)) for chosen in itertools.product(*grid.values())]
    rows = [
        Row(of, {seed: Outcome((number,)) for seed, number in enumerate(row)}, mode)
        for of, row in zip(settings, numbers)
    ]
    return mp.plot_sweep(Sweep(rows, mode), name="loss")


def crosses(axes):
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "X"]


def lines(axes):
    return {
        line.get_label(): [*line.get_ydata()]
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def test_curves_are_lines_with_bands():
    pytest.importorskip("matplotlib")
    figure = mp.plot_sweep(sweep(curve, seeds=3), name="loss", unit="step")
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("width=4", "width=8")
    assert lines(left) == {"0.1": [1.4, 10.1], "1": [5.0, 11.0]}
    band = left.collections[1].get_paths()[0].vertices
    assert {*band[:, 1]} == {4.0, 6.0, 1.0, 41.0}
    assert left.get_xlabel() == "step"
    assert left.get_ylabel() == "loss\nmedian and range of 3 seeds"
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "lr"
    assert [text.get_text() for text in legend.get_texts()] == ["0.1", "1"]


def test_numbers_stand_over_a_logarithmic_axis():
    pytest.importorskip("matplotlib")
    figure = drawn({"lr": [0.01, 0.1, 1.0]}, [(3.0, 5.0, 4.0), (2.0, 2.0, 1.0), (9.0, 9.0, 9.0)])
    (axes,) = figure.axes
    assert [*axes.lines[0].get_ydata()] == [4.0, 2.0, 9.0]
    assert [*axes.lines[0].get_xdata()] == pytest.approx([0.01, 0.1, 1.0])
    assert [*axes.lines[1].get_ydata()] == [3.0, 5.0], "the range"
    assert [*axes.lines[2].get_ydata()] == [3.0, 5.0, 4.0], "the runs"
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert axes.get_xlabel() == "lr"
    assert not crosses(axes)
    assert not figure.legends


def test_lines_stand_beside_each_other_and_names_have_no_line_between_them():
    pytest.importorskip("matplotlib")
    grid = {"act": ["relu", "tanh"], "width": [4, 8]}
    (axes,) = drawn(grid, [(0.5,), (0.6,), (0.7,), (0.8,)], mode="max").axes
    assert lines(axes) == {"4": [0.5, 0.7], "8": [0.6, 0.8]}
    first, second = (line for line in axes.lines if line.get_label() in ("4", "8"))
    assert all(a < i < b for i, (a, b) in enumerate(zip(first.get_xdata(), second.get_xdata())))
    assert {first.get_linestyle(), second.get_linestyle()} == {"None"}
    assert axes.get_xscale() == "linear"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["relu", "tanh"]


def test_runs_that_are_lost_have_a_cross():
    pytest.importorskip("matplotlib")
    figure = drawn({"lr": [0.1, 0.2, 0.3]}, [(1.0, 2.0), (1.0, math.nan), (1.0, 1e300)])
    (axes,) = figure.axes
    assert crosses(axes) == pytest.approx([0.2, 0.3])
    assert axes.get_ylim()[1] < 3
    (text,) = figure.legends[0].get_texts()
    assert text.get_text() == "runs that failed, are\nnot finite, or too large"

    def diverges(lr, seed):
        return [1.0, 0.5, 0.2] if lr == 0.1 else [1.0, 50.0, math.inf]

    (axes,) = mp.plot_sweep(sweep(diverges, {"lr": [0.1, 9.0]})).axes
    assert crosses(axes) == [1.0]
    assert axes.get_ylim()[1] < 2


def test_all_texts_can_be_read_and_the_picture_is_saved(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    figure = mp.plot_sweep(sweep(curve, seeds=2), path=tmp_path / "sweep.png")
    texts = figure.findobj(lambda artist: isinstance(artist, matplotlib.text.Text))
    assert min(text.get_fontsize() for text in texts if text.get_text()) >= 12
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn():
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="at most 8 lines in at most 9 panels, not 9 in 1"):
        mp.plot_sweep(sweep(curve, {"lr": [*range(9)], "width": [1]}))
    with pytest.raises(ValueError, match="not 2 in 10"):
        mp.plot_sweep(sweep(curve, {"lr": [1, 2], "width": [*range(10)]}))
    for nothing in ([1.0], Sweep([], "min")):
        with pytest.raises(ValueError, match="takes the result of sweep, with a finished run"):
            mp.plot_sweep(nothing)


def test_a_notebook_shows_the_table_the_errors_and_the_picture():
    pytest.importorskip("matplotlib")

    def train(lr, seed):
        if lr == 2:
            raise ValueError("no <lr>")
        return lr

    shown = sweep(train, {"lr": [1, 2]})._repr_mimebundle_()
    assert re.findall(r"<t[dh] [^>]*>([^<]*)</t[dh]>", shown["text/html"]) == [
        *("lr", "result", ""),
        *("1", "1", ""),
        *("2", "–", "1 of 1 failed"),
    ]
    assert "<p>lr=2, seed=0: ValueError: no &lt;lr&gt;</p>" in shown["text/html"]
    assert '<img src="data:image/png;base64,' in shown["text/html"]
    assert shown["text/plain"].startswith("Sweep of 2 settings × 1 seed, best: lr=1 (1)")
