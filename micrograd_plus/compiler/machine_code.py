"""Machine code on disk: what one process has compiled, later ones load.

A file is found by everything that made it: the sources, the versions of Python, llvmlite and LLVM,
and the processor. A first call takes 3 s where there are no files, and 0.1 s where there are.
"""

from __future__ import annotations

import hashlib
import marshal
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ..support.store import stored

Code = tuple[dict[str, str], list[str], bytes]
"""Of one source: its functions' symbols by their names, the symbols it calls, its machine code."""


def load(title: str, text: str, compiled: Callable[[str, str], Code]) -> dict[str, int]:
    """The addresses of the functions of a source text, by their names.

    compiled: gives the machine code for a name that belongs to this text alone, and the text; it
        is called if there is no file, or a damaged one.
    """
    found_by = key(text)
    code: Code = stored(
        title,
        found_by,
        lambda: marshal.dumps(compiled(f"micrograd_plus_{title}_{found_by}", text)),
        marshal.loads,
    )
    return _link(*code)


def key(text: str) -> str:
    """What machine code depends on, as a short text: if any of it changes, so does the key."""
    found = _surroundings().copy()
    found.update(text.encode())
    return str(found.hexdigest())[:20]


@cache
def _surroundings() -> Any:
    """The hash of what machine code depends on, in addition to its own source."""
    import llvmlite
    from llvmlite import binding

    known = [
        *[(_HERE / name).read_text(encoding="utf-8") for name in _SOURCES],
        sys.version,
        llvmlite.__version__,
        str(binding.llvm_version_info),
        binding.get_process_triple(),
        binding.get_host_cpu_name(),
        binding.get_host_cpu_features().flatten(),
    ]
    return hashlib.sha256("".join(f"{text}\0" for text in known).encode())


_HERE = Path(__file__).parent
_SOURCES = ("dtypes.py", "tape.py", "translate.py", "native.py", "machine_code.py")
"""In addition to the text itself, these decide which machine code comes out."""


# ---- in memory


def machine_code(symbols: dict[str, str], llvm: str) -> Code:
    """The machine code of functions that are given in LLVM's language."""
    from llvmlite import binding

    module = _improved(binding.parse_assembly(llvm))
    llvm = str(module)  # without what is not called any more
    called = re.findall(r"^(?:declare .*?|(?=@))@(\w+)(?:\(| = external)", llvm, re.MULTILINE)
    # LLVM may call C for these: llvm.pow.f64, pow; llvm.pow.f32, powf
    intrinsics = re.findall(r"^declare .*?@llvm\.(\w+)\.(?:v\d+)?f(64|32)\(", llvm, re.MULTILINE)
    called += [name + "f" * (bits == "32") for name, bits in intrinsics]
    return symbols, called, _target().emit_object(module)


def _improved(module: Any) -> Any:
    """The module after LLVM's improvements, with vector units for its loops."""
    from llvmlite import binding

    options = binding.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization, options.slp_vectorization = True, False
    options.loop_unrolling = False  # most loops here have few turns
    builder = binding.create_pass_builder(_target(), options)
    builder.getModulePassManager().run(module, builder)
    return module


@cache
def _libraries() -> list[Any]:
    """Where the C functions are that machine code calls: those of the system, and Python's own."""
    import ctypes

    windows = ("ucrtbase", "vcruntime140", "kernel32", "ntdll")
    system = [ctypes.CDLL(name) for name in (windows if sys.platform == "win32" else (None,))]
    return [*system, ctypes.pythonapi]


def _resolve(name: str) -> None:
    """Tells LLVM where a C function is; one that does not exist here must not be called."""
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


@cache
def _engine() -> Any:
    """What holds machine code in memory."""
    from llvmlite import binding

    return binding.create_mcjit_compiler(binding.parse_assembly(""), _target())


def _link(symbols: dict[str, str], called: list[str], code: bytes) -> dict[str, int]:
    """Loads machine code; the addresses of its functions by their names."""
    from llvmlite import binding

    for function in (*called, "memset", "memcpy", "memmove", "__chkstk"):  # which LLVM adds
        _resolve(function)
    engine = _engine()
    engine.add_object_file(binding.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return {name: int(engine.get_function_address(symbol)) for name, symbol in symbols.items()}
