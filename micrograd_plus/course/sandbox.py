"""Limits for the process that runs a student's code: memory, time, files, network, solutions.

There are two fences. On Linux the process gets namespaces of its own, where the kernel allows that
without root: no network, no other processes, all files read-only but the working folder, and the
hidden files empty. On every system a hook of Python's audit refuses the same things. The hook stops
Python code; code that reaches C through `ctypes` can get around it, but not around the namespaces.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

READS = "tried to read the solutions"
NETWORK = "tried to use the network"
PROGRAMS = "tried to run another program, or to reach another process"

_LARGEST_FILE = 50_000_000  # bytes


# ---- limits


def limit(memory: int, seconds: float) -> list[str]:
    """Limits the memory in bytes and the processor time. Gives what the system cannot limit."""
    try:
        import resource
    except ImportError:  # Windows
        return ["memory", "processor time"]
    # RLIMIT_DATA, not RLIMIT_AS: WebAssembly reserves gigabytes that it never uses.
    limits = {
        "memory": (resource.RLIMIT_DATA, memory),
        "processor time": (resource.RLIMIT_CPU, int(seconds) + 1),
        "the size of files": (resource.RLIMIT_FSIZE, _LARGEST_FILE),
        "memory dumps": (resource.RLIMIT_CORE, 0),
    }
    unlimited = [] if sys.platform == "linux" else ["memory"]  # macOS takes it, and does nothing
    for name, (kind, most) in limits.items():
        allowed = resource.getrlimit(kind)[1]
        if allowed != resource.RLIM_INFINITY:
            most = min(most, allowed)
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):  # some versions of macOS refuse it
            unlimited.append(name)
    return unlimited


# ---- namespaces of Linux

_NEWNS, _NEWUSER, _NEWPID, _NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _READ_ONLY = 442, -100, 0x8000, 1
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "namespace")]


def separate(folder: Path, hidden: Sequence[Path], memory: int) -> bool:
    """Goes on in a new process in namespaces of its own; says whether that worked completely.

    folder: the only one in which files can be written. hidden: files and folders that appear empty.
    The process that called this waits for the new one, ends it when it gets SIGTERM or when the
    new one uses too much memory, and exits with it.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    users = os.geteuid(), os.getegid()
    try:
        _call(libc.unshare, _NEWUSER | _NEWNS | _NEWPID | _NEWNET)
    except OSError:
        return False
    is_complete = False
    with suppress(OSError):
        _hide(libc, users, folder, hidden)
        is_complete = True
    if inner := os.fork():  # the first process in the new namespace of processes
        _watch(libc, inner, memory)
    with suppress(OSError):
        _call(libc.unshare, _NEWUSER)  # gives up the right to undo the mounts
    libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    return is_complete


def _hide(libc: Any, users: tuple[int, int], folder: Path, hidden: Sequence[Path]) -> None:
    """Empties the hidden places, and makes all but the folder read-only, for this process alone."""
    user, group = users
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _mount(libc, "none", "/", _RECURSIVE | _PRIVATE)
    empty = folder / "empty"
    empty.touch()
    for place in hidden:
        if place.is_dir():
            _mount(libc, "tmpfs", str(place), 0, "tmpfs")
        elif place.is_file():
            _mount(libc, str(empty), str(place), _BIND)
    empty.unlink()
    _mount(libc, str(folder), str(folder), _BIND)
    _set_attributes(libc, "/", _AT_RECURSIVE, _Attributes(set=_READ_ONLY))
    _set_attributes(libc, str(folder), 0, _Attributes(clear=_READ_ONLY))
    os.chdir(folder)  # the same folder, now that it can be written


def _mount(libc: Any, source: str, target: str, flags: int, kind: str | None = None) -> None:
    names = [None if name is None else os.fsencode(name) for name in (source, target, kind)]
    _call(libc.mount, *names, ctypes.c_ulong(flags), None)


def _set_attributes(libc: Any, path: str, flags: int, attributes: _Attributes) -> None:
    number, at, how, size = map(
        ctypes.c_long, (_MOUNT_SETATTR, _AT_FDCWD, flags, ctypes.sizeof(attributes))
    )
    _call(libc.syscall, number, at, os.fsencode(path), how, ctypes.byref(attributes), size)


def _call(function: Callable[..., int], *arguments: Any) -> None:
    if function(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _watch(libc: Any, inner: int, memory: int) -> NoReturn:
    """Waits for the process, ends it on SIGTERM or when it is too large, and exits."""
    libc.prctl(_DIE_WITH_PARENT, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(inner, signal.SIGKILL))
    page = os.sysconf("SC_PAGE_SIZE")
    while os.waitpid(inner, os.WNOHANG) == (0, 0):
        with suppress(OSError):
            resident = int(Path(f"/proc/{inner}/statm").read_text().split()[1]) * page
            if resident > 2 * memory:  # shared memory, which RLIMIT_DATA does not count
                os.kill(inner, signal.SIGKILL)
        time.sleep(0.05)
    os._exit(0)


# ---- the hook of Python's audit


def fence(folder: Path, hidden: Sequence[Path], report: Callable[[str], None]) -> None:
    """Refuses what a solution of an exercise does not need, and reports it; there is no way back.

    folder: the only one in which files can be written. hidden: what must not be read.
    """
    inside, secret = _real(folder), tuple(map(_real, hidden))

    def refuse(what: str) -> None:
        if what != PROGRAMS:  # libraries ask programs about the system, and go on without
            report(what)
        raise PermissionError(f"not allowed while a notebook is graded: this {what}")

    def to_write(*paths: Any) -> None:
        for path in paths:
            if isinstance(path, (str, bytes, os.PathLike)) and not _real(path).startswith(inside):
                raise PermissionError(f"not allowed while a notebook is graded: to change {path!r}")

    def on_open(path: Any, mode: Any, flags: Any) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        if _real(path).startswith(secret):
            refuse(READS)
        is_written = flags & _TO_WRITE if isinstance(flags, int) else False
        if is_written and os.fsdecode(path) != os.devnull:
            to_write(path)

    def on_socket(_: Any, family: int, *__: Any) -> None:
        if family in _INTERNET:
            refuse(NETWORK)

    def on_kill(process: int, *_: Any) -> None:
        if process != os.getpid():
            refuse(PROGRAMS)

    handlers: dict[str, Callable[..., None]] = {
        "open": on_open, "socket.__new__": on_socket, "os.kill": on_kill,
        **{event: (lambda *_: refuse(NETWORK)) for event in _NETWORK_EVENTS},
        **{event: (lambda *_: refuse(PROGRAMS)) for event in _PROGRAM_EVENTS},
        **{event: (lambda path, *_: to_write(path)) for event in _ONE_PATH},
        **{event: (lambda a, b, *_: to_write(a, b)) for event in _TWO_PATHS},
    }  # fmt: skip

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        handler = handlers.get(event)
        if handler is not None:
            handler(*arguments)

    sys.addaudithook(hook)


_INTERNET = (2, 10, 23, 30)  # AF_INET, and AF_INET6 on Linux, Windows and macOS
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NETWORK_EVENTS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_PROGRAM_EVENTS = (
    "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn",
    "os.spawn", "os.startfile", "os.killpg", "pty.spawn",
)  # fmt: skip
_ONE_PATH = (
    "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "os.utime",
    "os.setxattr", "os.removexattr", "shutil.rmtree",
)  # fmt: skip
_TWO_PATHS = ("os.rename", "os.link", "os.symlink")


def _real(path: Any) -> str:
    """The whole path, to compare; where capitals and small letters are the same, in small ones."""
    real = os.path.join(os.path.realpath(os.fsdecode(path)), "")
    return real if sys.platform == "linux" else real.casefold()
