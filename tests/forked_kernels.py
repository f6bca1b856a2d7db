"""Kernels for notebooks that start at once: forks of a process that has imported everything.

A kernel of its own for each notebook costs three seconds before its first cell: the imports of
ipykernel and matplotlib, and loading Graphviz.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest


class Kernel:
    """A forked process, as far as jupyter_client uses the Popen of a kernel."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def wait(self) -> int:
        while self.poll() is None:
            time.sleep(0.01)
        return 0

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@contextmanager
def forked_kernels() -> Iterator[None]:
    """Inside, jupyter_client starts its kernels by forking one process."""
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None
    requests, answers = server.stdin, server.stdout

    def launch_kernel(command: list[str], cwd: Any, env: dict[str, str], **_: Any) -> Kernel:
        arguments = command[command.index("ipykernel_launcher") + 1 :]
        print(json.dumps([arguments, str(cwd), env]), file=requests, flush=True)
        return Kernel(int(answers.readline()))

    with server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("jupyter_client.provisioning.local_provisioner.launch_kernel", launch_kernel)
        yield
        requests.close()


# ---- the process that is forked


def serve() -> None:
    """For each request a fork, which becomes a kernel; prints its id."""
    prepare()
    signal.signal(signal.SIGCHLD, reap)
    for line in sys.stdin:
        arguments, folder, environment = json.loads(line)
        ours, forks = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.setsid()  # jupyter_client sends its signals to the group of a kernel
                os.close(forks)
                become_kernel(arguments, folder, environment)
            finally:
                os._exit(0)
        os.close(forks)
        os.read(ours, 1)  # ends when the fork has its group and closes its end
        os.close(ours)
        print(pid, flush=True)


def prepare() -> None:
    """Does what every notebook needs once in a process."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    import ipykernel.debugger
    import ipykernel.kernelapp
    import ipykernel.zmqshell  # noqa: F401
    import IPython.core.oinspect
    import IPython.extensions.storemagic  # noqa: F401
    import matplotlib.pyplot  # noqa: F401

    import micrograd_plus as mp

    weight = mp.Value(2.0)
    mp.draw(weight * weight)._repr_mimebundle_()
    mp.compile(lambda x: weight * x)([1.0])
    model = mp.nn.MLP(1, [1])
    model([1.0]).backward()
    mp.plot_gradients(model)._repr_png_()  # with the fonts of text and of powers of ten


def reap(*_: Any) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def become_kernel(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    from ipykernel.kernelapp import launch_new_instance

    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):  # the requests and the answers of the other process
        os.dup2(nowhere, stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    launch_new_instance(argv=arguments)


if __name__ == "__main__":
    serve()
