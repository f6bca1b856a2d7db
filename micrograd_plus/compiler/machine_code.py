"""Machine code on disk: what one process has compiled, later ones load without numba.

A file is found by everything that made it: the sources, the versions of Python, numba and LLVM,
and the processor. It begins with a digest of its content: a damaged file is compiled again and
never run. Where nothing can be written, every new process compiles again.

numba's own cache needs numba in every process. Measured with the same kernels, a first call takes
10.7 s with an empty cache and 0.56 s with a full one; with the files of this module it takes 8 s
and 0.10 s. The half second is felt at every start, and is why there is a store of our own.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from ..support.files import write_atomically

Code = tuple[dict[str, str], list[str], bytes]
"""Of one source: its functions' symbols by their names, the symbols it calls, its machine code."""


def load(title: str, text: str, compiled: Callable[[str, str], Code]) -> dict[str, int]:
    """The addresses of the functions of a source text, by their names.

    compiled: gives the machine code for a name that belongs to this text alone, and the text; it
        is called if there is no file, or a damaged one.
    """
    name = f"micrograd_plus_{title}_{key(text)}"
    path = folder() / f"{name}.bin"
    try:
        code = _read(path)
    except (OSError, ValueError):  # not there yet, or damaged
        code = compiled(name, text)
        with suppress(OSError):  # nothing may be written there: the next process compiles again
            _write(path, code)
            remove_unused(path, f"micrograd_plus_{title}_*.bin")
    return _link(*code)


def key(text: str) -> str:
    """What machine code depends on, as a short text: if any of it changes, so does the key."""
    from importlib.metadata import version

    from llvmlite import binding

    made_of = [
        *[(_HERE / name).read_text(encoding="utf-8") for name in _SOURCES],
        text,
        sys.version,
        version("numba"),
        version("llvmlite"),
        str(binding.llvm_version_info),
        binding.get_process_triple(),
        binding.get_host_cpu_name(),
        binding.get_host_cpu_features().flatten(),
    ]
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:20]


_HERE = Path(__file__).parent
_SOURCES = ("dtypes.py", "tape.py", "native.py", "machine_code.py")
"""What decides, besides the text itself, which machine code comes out."""

_DIGEST = hashlib.sha256().digest_size


def _read(path: Path) -> Code:
    """The machine code in a file; ValueError if it is damaged."""
    content = path.read_bytes()
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        raise ValueError(f"{path} is damaged")
    with suppress(OSError):
        os.utime(path)  # it is in use
    return marshal.loads(content[_DIGEST:])  # type: ignore[no-any-return]


def _write(path: Path, code: Code) -> None:
    content = marshal.dumps(code)
    write_atomically(path, hashlib.sha256(content).digest() + content)


def remove_unused(path: Path, pattern: str) -> None:
    """Removes what was compiled for the same units with another key, and not used for a month."""
    for other in path.parent.glob(pattern):
        if other != path and time.time() - other.stat().st_mtime > _MONTH:
            other.unlink(missing_ok=True)


_MONTH = 30 * 24 * 3600  # seconds; several versions in use at a time do not remove each other's


def folder() -> Path:
    """Where machine code is stored: MICROGRAD_PLUS_CACHE, or the user's cache folder."""
    if chosen := os.environ.get("MICROGRAD_PLUS_CACHE"):
        return Path(chosen)
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "micrograd_plus"


# ---- in memory


def machine_code(symbols: dict[str, str], llvm: str) -> Code:
    """The machine code of functions that are given in LLVM's language."""
    from llvmlite import binding

    called = re.findall(r"^(?:declare .*?|(?=@))@(\w+)(?:\(| = external)", llvm, re.MULTILINE)
    # LLVM may call C for these: llvm.pow.f64, pow; llvm.pow.f32, powf
    intrinsics = re.findall(r"^declare .*?@llvm\.(\w+)\.f(64|32)\(", llvm, re.MULTILINE)
    called += [name + "f" * (bits == "32") for name, bits in intrinsics]
    return symbols, called, _target().emit_object(binding.parse_assembly(llvm))


@cache
def _libraries() -> list[Any]:
    """Where the C functions are that machine code calls."""
    import ctypes

    windows = ("ucrtbase", "vcruntime140", "kernel32")
    return [ctypes.CDLL(name) for name in (windows if sys.platform == "win32" else (None,))]


def _resolve(name: str) -> None:
    """Tells LLVM where a C function is.

    What numba writes to report errors has no place without numba; kernels raise none.
    """
    import ctypes

    from llvmlite import binding

    if binding.address_of_symbol(name) is None:
        known = [getattr(library, name, None) for library in _libraries()]
        function = next(filter(None, known), _libraries()[0].abort)
        binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)


def _target() -> Any:
    """This machine, as LLVM writes code for it; an engine keeps the one that it is given."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=3,
        codemodel="jitdefault",
        jit=True,
    )


_engines: list[Any] = []  # what holds machine code in memory


def _link(symbols: dict[str, str], called: list[str], code: bytes) -> dict[str, int]:
    """Loads machine code; the addresses of its functions by their names."""
    from llvmlite import binding

    for function in (*called, "memset", "memcpy", "memmove"):  # which LLVM adds
        _resolve(function)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _target())
    engine.add_object_file(binding.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return {name: int(engine.get_function_address(symbol)) for name, symbol in symbols.items()}
