"""Translate: functions in a small part of Python, into LLVM's language.

The kernels, the passes and the loops of ops are such functions. numba can translate much more of
Python, and takes thirty times as long for these.

Annotations give the kinds of the arguments and of the result; a variable has the kind of what is
assigned to it first. There are whole numbers of 64 bits, which wrap around, floats, rows of numbers
at an address, and records; arithmetic, comparisons, `and`, `or`, `not` and `x if c else y`;
assignments, `if`, `while`, `for` over a range, `continue` and `return`; and calls of functions that
were added before, of min, max, abs and int, and of C's functions, as math.log. The step of a range
is positive, or a negative number. Nothing raises an error while it runs.

`for i in lanes(count)` is a range whose turns the CPU's vector units do together, VECTOR of them at
a time, then half as many if they are left, and so on down to one, without a test whether they may:
no turn may need what another one does. In it `row[i]` and `row[x + i]` are vectors, and so is every
float that is assigned to a variable; variables that are new in it end with it. Of `x if c else y`,
where c is a vector, both x and y are computed. `over_lanes(f, x, vector)` is what a function f of
two floats makes of x and all numbers of a vector, in an order that it does not say: so a sum of all
turns is computed.

>>> module = Module({"int": INT}, {"STEP": 3})
>>> source = "def first(x: int) -> int:\\n    return x // STEP * STEP"
>>> module.add(ast.parse(source).body[0], symbol="first")
>>> print(str(module.ir).split("{")[0].splitlines()[-1])
define i64 @"first"(i64 %".1")
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial, reduce
from typing import Any

from llvmlite import ir

I64, _I32, I1 = ir.IntType(64), ir.IntType(32), ir.IntType(1)


@dataclass(frozen=True)
class Kind:
    """What a value is, and LLVM's type for it."""

    name: str
    ir: Any


BOOL, INT = Kind("bool", I1), Kind("int", I64)
FLOAT32, FLOAT64 = Kind("float32", ir.FloatType()), Kind("float64", ir.DoubleType())
_WIDENING = (BOOL, INT, FLOAT32, FLOAT64)


@dataclass(frozen=True)
class Row(Kind):
    """Numbers at an address, each of them of this kind."""

    of: Kind


@dataclass(frozen=True)
class Vector(Kind):
    """Several numbers that are computed together, each of them of this kind."""

    of: Kind


@dataclass(frozen=True)
class Record(Kind):
    """Fields at an address: each one's name, kind, LLVM's type in memory, and first byte.

    size: how many bytes a record has.
    """

    fields: tuple[tuple[str, Kind, Any, int], ...]
    size: int


@dataclass(frozen=True)
class Rows(Kind):
    """Several rows of whole numbers by their names; as arguments they follow each other."""

    fields: tuple[str, ...]


def row_of(kind: Kind, stored: Any = None) -> Row:
    """Rows of numbers of a kind, which LLVM stores as the type `stored`."""
    return Row(f"row of {kind.name}", (stored or kind.ir).as_pointer(), kind)


def vector_of(kind: Kind, count: int) -> Vector:
    """So many numbers of a kind."""
    return Vector(f"vector of {kind.name}", ir.VectorType(kind.ir, count), kind)


WHOLE = row_of(INT, ir.IntType(32))  # what `Rows` have
LANE = Kind("lane", I64)  # the first of some whole numbers that follow each other


@dataclass(frozen=True)
class Typed:
    """A value in a function: its kind, and LLVM's value, or a dictionary of those of `Rows`."""

    kind: Kind
    ir: Any


@dataclass(frozen=True)
class _Callee:
    function: Any
    parameters: Sequence[Kind]
    result: Kind | None
    of_vectors: Callable[[int], _Callee]  # the same function of so long vectors instead of floats


class Module:
    """A module of LLVM with the functions that are added, each after those that it calls.

    kinds: what annotations name; None for no result.
    names: what functions find by name: numbers, and functions of (body, *arguments) that write an
        operation in LLVM's language and return what it gives.
    """

    def __init__(self, kinds: Mapping[str, Kind | None], names: Mapping[str, Any]) -> None:
        self.kinds, self.names = kinds, dict(names)
        self.ir = ir.Module()

    def add(
        self,
        source: ast.FunctionDef,
        flags: Sequence[str] = (),
        symbol: str = "",
        is_apart: bool = False,
    ) -> None:
        """Translates a function; with a symbol it can be called from outside.

        flags: how LLVM may change sums and products of floats.
        is_apart: whether it must not become a part of those that call it.
        """
        parameters = [self._kind(argument.annotation) for argument in source.args.args]
        result = self._kind(source.returns)

        def added(parameters: Sequence[Kind], result: Kind | None, symbol: str) -> _Callee:
            types = [part.ir for kind in parameters for part in _parts(kind)]
            type_ = ir.FunctionType(result.ir if result else ir.VoidType(), types)
            function = ir.Function(self.ir, type_, symbol)
            return _Callee(function, parameters, result, of_vectors)

        @cache
        def of_vectors(count: int) -> _Callee:
            vectors = [vector_of(kind, count) for kind in parameters]
            name = f"{source.name}.vectors_{count}"
            callee = added(vectors, result and vector_of(result, count), name)
            callee.function.linkage = "internal"
            Body(self, callee, source, tuple(flags))
            return callee

        # LLVM must not take a function for that of C with the same name.
        callee = added(parameters, result, symbol or f"{source.name}.internal")
        callee.function.linkage = "" if symbol else "internal"
        if is_apart:
            callee.function.attributes.add("noinline")
        self.names[source.name] = callee
        Body(self, callee, source, tuple(flags))

    def declared(self, name: str, result: Any, arguments: Sequence[Any]) -> Any:
        """A function of C, or of LLVM, by its name."""
        if name not in self.ir.globals:
            ir.Function(self.ir, ir.FunctionType(result, arguments), name)
        return self.ir.globals[name]

    def _kind(self, annotation: Any) -> Any:
        return self.kinds[ast.unparse(annotation)]


def _parts(kind: Kind) -> Sequence[Kind]:
    """The arguments that pass a value of this kind."""
    return [WHOLE] * len(kind.fields) if isinstance(kind, Rows) else [kind]


class Body:
    """The body of a function while it is translated. `builder` writes at its end."""

    def __init__(
        self, module: Module, callee: _Callee, source: ast.FunctionDef, flags: tuple[str, ...]
    ) -> None:
        self.module, self.callee, self.flags = module, callee, flags
        self.function = callee.function
        self._variables: dict[str, Typed] = {}  # an address each; `Rows` are what they are
        self._next: list[Any] = []  # where `continue` goes, for each loop
        vectors = [kind for kind in callee.parameters if isinstance(kind, Vector)]
        self._lanes = vectors[0].ir.count if vectors else 0  # how many a vector has; 0: no vectors
        begin, body = (self.function.append_basic_block() for _ in range(2))
        self._begin = ir.IRBuilder(begin)
        self.builder = ir.IRBuilder(body)
        given = iter(self.function.args)
        for argument, kind in zip(source.args.args, callee.parameters):
            if isinstance(kind, Rows):
                rows = {field: Typed(WHOLE, next(given)) for field in kind.fields}
                self._variables[argument.arg] = Typed(kind, rows)
            else:
                self._assign_name(argument.arg, Typed(kind, next(given)))
        self._run(source.body)
        if not self.builder.block.is_terminated:
            if callee.result:
                self.builder.unreachable()
            else:
                self.builder.ret_void()
        self._begin.branch(body)

    # ---- for what is written in LLVM's language

    def room(self, type_: Any) -> Any:
        """The address of a new variable of this type."""
        return self._begin.alloca(type_)

    def converted(self, kind: Kind | None, x: Typed) -> Any:
        """LLVM's value of x as another kind."""
        builder, was = self.builder, x.kind
        if kind == was:
            return x.ir
        if isinstance(kind, Vector) and not isinstance(was, Vector):
            none = ir.Constant(kind.ir, ir.Undefined)
            first = builder.insert_element(none, self.converted(kind.of, x), _I32(0))
            everywhere = ir.Constant(ir.VectorType(_I32, kind.ir.count), [0] * kind.ir.count)
            return builder.shuffle_vector(first, none, everywhere)
        if kind is BOOL and was in (INT, FLOAT32, FLOAT64):
            is_zero = builder.icmp_signed if was is INT else builder.fcmp_unordered
            return is_zero("!=", x.ir, was.ir(0))
        if kind is INT and was is BOOL:
            return builder.zext(x.ir, I64)
        if kind in (FLOAT32, FLOAT64):
            if was is INT:
                return builder.sitofp(x.ir, kind.ir)
            if was is BOOL:
                return builder.uitofp(x.ir, kind.ir)
            if was in (FLOAT32, FLOAT64):
                write = builder.fptrunc if kind is FLOAT32 else builder.fpext
                return write(x.ir, kind.ir)
        raise TypeError(f"{self.function.name}: {was.name} where {kind and kind.name} is needed")

    @contextmanager
    def counted(self, begin: Any, end: Any, step: Any, is_down: bool = False) -> Iterator[Any]:
        """Inside is the body of a loop; gives its counter."""
        builder, at = self.builder, self.room(I64)
        test, inside, following, after = (self.function.append_basic_block() for _ in range(4))
        builder.store(begin, at)
        builder.branch(test)
        builder.position_at_end(test)
        count = builder.load(at)
        builder.cbranch(builder.icmp_signed(">" if is_down else "<", count, end), inside, after)
        builder.position_at_end(inside)
        self._next.append(following)
        yield count
        self._next.pop()
        self._go(following)
        builder.position_at_end(following)
        builder.store(builder.add(count, step, flags=("nsw",)), at)
        builder.branch(test)
        builder.position_at_end(after)

    # ---- statements

    def _run(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            if not self.builder.block.is_terminated:
                self._writer("on", statement)(statement)

    def _writer(self, prefix: str, node: ast.AST) -> Any:
        """The method that writes this kind of statement or expression."""
        method = getattr(self, f"_{prefix}_{type(node).__name__.lower()}", None)
        if method is None:
            raise _refusal(node, "the part of Python that is translated does not have this")
        return method

    def _go(self, block: Any) -> None:
        if not self.builder.block.is_terminated:
            self.builder.branch(block)

    def _on_expr(self, statement: ast.Expr) -> None:
        if isinstance(statement.value, ast.Call):  # and no docstring
            self.value(statement.value)

    def _on_assign(self, statement: ast.Assign) -> None:
        def listed(one: ast.expr) -> Sequence[ast.expr]:
            return one.elts if isinstance(one, ast.Tuple) else [one]

        values = [self.value(one) for one in listed(statement.value)]
        for target in statement.targets:
            for place, value in zip(listed(target), values, strict=True):
                self._assign(place, value)

    def _on_augassign(self, statement: ast.AugAssign) -> None:
        target = statement.target
        before = ast.copy_location(ast.BinOp(target, statement.op, statement.value), statement)
        self._assign(target, self.value(before))

    def _on_return(self, statement: ast.Return) -> None:
        if statement.value is None:
            self.builder.ret_void()
        else:
            self.builder.ret(self.converted(self.callee.result, self.value(statement.value)))

    def _on_continue(self, _: ast.Continue) -> None:
        self.builder.branch(self._next[-1])

    def _on_if(self, statement: ast.If) -> None:
        yes, no, after = (self.function.append_basic_block() for _ in range(3))
        self.builder.cbranch(self.condition(statement.test), yes, no)
        for block, statements in ((yes, statement.body), (no, statement.orelse)):
            self.builder.position_at_end(block)
            self._run(statements)
            self._go(after)
        self.builder.position_at_end(after)

    def _on_while(self, statement: ast.While) -> None:
        test, inside, after = (self.function.append_basic_block() for _ in range(3))
        self.builder.branch(test)
        self.builder.position_at_end(test)
        self.builder.cbranch(self.condition(statement.test), inside, after)
        self.builder.position_at_end(inside)
        self._next.append(test)
        self._run(statement.body)
        self._next.pop()
        self._go(test)
        self.builder.position_at_end(after)

    def _on_for(self, statement: ast.For) -> None:
        given = [self.converted(INT, self.value(one)) for one in statement.iter.args]  # type: ignore[attr-defined]
        if statement.iter.func.id == "lanes":  # type: ignore[attr-defined]
            count, *sizes = given
            self._run_lanes(statement, count, [size.constant for size in sizes])
            return
        begin, end, step = ([I64(0)] * (len(given) == 1) + given + [I64(1)])[:3]
        is_down = isinstance(step, ir.Constant) and step.constant < 0
        with self.counted(begin, end, step, is_down) as count:
            self._assign(statement.target, Typed(INT, count))
            self._run(statement.body)

    def _run_lanes(self, statement: ast.For, count: Any, more: list[int]) -> None:
        """The loop is written for VECTOR turns at once, for half as many, and so on down to one.

        more: a number of turns above VECTOR to begin with, if there is one.
        """
        outside = self._variables
        begin, left = I64(0), count
        largest = max([self.module.names["VECTOR"], *more])
        for size in [1 << n for n in reversed(range(largest.bit_length()))]:
            rest = self.builder.and_(left, I64(size - 1))
            whole = self.builder.sub(left, rest)
            self._variables, self._lanes = dict(outside), size if size > 1 else 0
            with self.counted(I64(0), whole, I64(size)) as i:  # LLVM sees how few are left
                turn = Typed(LANE if size > 1 else INT, self.builder.add(begin, i))
                self._assign(statement.target, turn)
                self._run(statement.body)
            begin, left = self.builder.add(begin, whole), rest
        self._variables, self._lanes = outside, 0

    def _assign(self, target: ast.expr, value: Typed) -> None:
        if isinstance(target, ast.Name):
            self._assign_name(target.id, value)
        else:
            kind, address = self._address(target)
            number = self.converted(kind, value)
            if kind is INT and address.type.pointee != I64:
                number = self.builder.trunc(number, address.type.pointee)
            self.builder.store(number, address, align=_align(kind))

    def _assign_name(self, name: str, value: Typed) -> None:
        if name not in self._variables:
            kind = INT if value.kind is BOOL else value.kind
            if self._lanes and kind in (FLOAT32, FLOAT64):
                kind = vector_of(kind, self._lanes)
            self._variables[name] = Typed(kind, self.room(kind.ir))
        variable = self._variables[name]
        self.builder.store(self.converted(variable.kind, value), variable.ir)

    def _address(self, place: Any) -> tuple[Kind, Any]:
        """The kind and the address of an element of a row, or of a field of a record."""
        of = self.value(place.value)
        if isinstance(place, ast.Subscript) and isinstance(of.kind, Row):
            index = self.value(place.slice)
            if index.kind is LANE:
                vector = vector_of(of.kind.of, self._lanes)
                address = self.builder.gep(of.ir, [index.ir])
                return vector, self.builder.bitcast(address, vector.ir.as_pointer())
            return of.kind.of, self.builder.gep(of.ir, [self.converted(INT, index)])
        if isinstance(place, ast.Attribute) and isinstance(of.kind, Record):
            for name, kind, stored, begin in of.kind.fields:
                if name == place.attr:
                    address = self.builder.gep(of.ir, [I64(begin)])
                    return kind, self.builder.bitcast(address, stored.as_pointer())
        raise _refusal(place, f"{of.kind.name} has nothing there")

    # ---- expressions

    def value(self, expression: ast.expr) -> Typed:
        """What an expression gives."""
        return self._writer("of", expression)(expression)  # type: ignore[no-any-return]

    def condition(self, expression: ast.expr) -> Any:
        """Whether an expression is true, as LLVM's value of one bit."""
        return self.converted(BOOL, self.value(expression))

    def _of_constant(self, constant: ast.Constant) -> Typed:
        return _number(constant.value)

    def _of_name(self, name: ast.Name) -> Typed:
        if name.id not in self._variables:
            return _number(self.module.names[name.id])
        variable = self._variables[name.id]
        if isinstance(variable.kind, Rows):
            return variable
        return Typed(variable.kind, self.builder.load(variable.ir))

    def _of_attribute(self, attribute: ast.Attribute) -> Typed:
        if isinstance(attribute.value, ast.Name):
            variable = self._variables.get(attribute.value.id)
            if variable and isinstance(variable.kind, Rows):
                return variable.ir[attribute.attr]  # type: ignore[no-any-return]
        return self._loaded(attribute)

    def _loaded(self, place: ast.expr) -> Typed:
        kind, address = self._address(place)
        number = self.builder.load(address, align=_align(kind))
        if kind is INT and number.type != I64:
            number = self.builder.sext(number, I64)
        return Typed(kind, number)

    _of_subscript = _loaded

    def _of_unaryop(self, operation: ast.UnaryOp) -> Typed:
        if isinstance(operation.op, ast.Not):
            truth = self.value(operation.operand)
            kind = truth.kind if isinstance(truth.kind, Vector) else BOOL
            return Typed(kind, self.builder.not_(self.converted(kind, truth)))
        x = self._widened(self.value(operation.operand))
        if isinstance(operation.op, ast.Invert):
            return Typed(INT, self.builder.not_(x.ir))
        if isinstance(x.ir, ir.Constant):  # so that a step of a range is seen to be negative
            return Typed(x.kind, x.kind.ir(-x.ir.constant))
        return Typed(x.kind, self.builder.neg(x.ir) if x.kind is INT else self.builder.fneg(x.ir))

    def _of_binop(self, operation: ast.BinOp) -> Typed:
        x, y = (self._widened(self.value(one)) for one in (operation.left, operation.right))
        name = type(operation.op).__name__
        if LANE in (x.kind, y.kind) and name == "Add":
            return Typed(LANE, self.builder.add(x.ir, y.ir))
        kind = FLOAT64 if name in ("Div", "Pow") and x.kind is y.kind is INT else _common(x, y)
        a, b = self.converted(kind, x), self.converted(kind, y)
        if kind is INT:
            return Typed(INT, self._of_ints(name, a, b))
        if name == "Pow":
            return self._called("pow", Typed(kind, a), Typed(kind, b))
        write = getattr(self.builder, _FLOATS[name])
        return Typed(kind, write(a, b, flags=self.flags))

    def _of_ints(self, name: str, a: Any, b: Any) -> Any:
        builder = self.builder
        if name in _INTS:
            return getattr(builder, _INTS[name])(a, b)
        rest = builder.srem(a, b)
        is_below = builder.icmp_signed("<", builder.xor(rest, b), I64(0))
        is_mixed = builder.and_(builder.icmp_signed("!=", rest, I64(0)), is_below)
        if name == "FloorDiv":
            return builder.sub(builder.sdiv(a, b), builder.zext(is_mixed, I64))
        return builder.add(rest, builder.select(is_mixed, b, I64(0)))

    def _of_compare(self, comparison: ast.Compare) -> Typed:
        if len(comparison.ops) > 1:
            raise _refusal(comparison, "write two comparisons, with `and`")
        (op,), (right,) = comparison.ops, comparison.comparators
        if isinstance(op, ast.In):
            equal: list[ast.expr] = [
                ast.Compare(comparison.left, [ast.Eq()], [one])
                for one in right.elts  # type: ignore[attr-defined]
            ]
            return self.value(ast.BoolOp(ast.Or(), equal))
        x, y = self.value(comparison.left), self.value(right)
        return self._compared(_COMPARISONS[type(op).__name__], x, y)

    def _compared(self, op: str, x: Typed, y: Typed) -> Typed:
        kind = _common(self._widened(x), self._widened(y))
        a, b = self.converted(kind, x), self.converted(kind, y)
        if kind is INT:
            return Typed(BOOL, self.builder.icmp_signed(op, a, b))
        compare = self.builder.fcmp_unordered if op == "!=" else self.builder.fcmp_ordered
        truth = vector_of(BOOL, kind.ir.count) if isinstance(kind, Vector) else BOOL
        return Typed(truth, compare(op, a, b))

    def _selected(self, truth: Typed, x: Typed, y: Typed) -> Typed:
        """x where it is true, else y."""
        kind = _common(self._widened(x), self._widened(y))
        if isinstance(truth.kind, Vector) and not isinstance(kind, Vector):
            kind = vector_of(kind, truth.kind.ir.count)
        chosen = [self.converted(kind, number) for number in (x, y)]
        return Typed(kind, self.builder.select(truth.ir, *chosen))

    def _of_boolop(self, operation: ast.BoolOp) -> Typed:
        """The first operand that decides, or the last, as a whole number or a bool."""
        is_or, first = isinstance(operation.op, ast.Or), self.value(operation.values[0])
        if isinstance(first.kind, Vector):
            others = [self.converted(first.kind, self.value(one)) for one in operation.values[1:]]
            join = self.builder.or_ if is_or else self.builder.and_
            return Typed(first.kind, reduce(join, others, first.ir))
        after = self.function.append_basic_block()
        found = []
        for operand in operation.values:
            x = first if operand is operation.values[0] else self.value(operand)
            decides = self.converted(BOOL, x)
            number = x if x.kind is BOOL else Typed(INT, self.converted(INT, x))
            found.append((number, self.builder.block))
            if operand is operation.values[-1]:
                self.builder.branch(after)
            else:
                other = self.function.append_basic_block()
                self.builder.cbranch(decides, *((after, other) if is_or else (other, after)))
                self.builder.position_at_end(other)
        return self._joined(found, after)

    def _of_ifexp(self, choice: ast.IfExp) -> Typed:
        truth = self.value(choice.test)
        if isinstance(truth.kind, Vector):
            return self._selected(truth, self.value(choice.body), self.value(choice.orelse))
        yes, no, after = (self.function.append_basic_block() for _ in range(3))
        self.builder.cbranch(self.converted(BOOL, truth), yes, no)
        found = []
        for block, expression in ((yes, choice.body), (no, choice.orelse)):
            self.builder.position_at_end(block)
            found.append((self.value(expression), self.builder.block))
            self.builder.branch(after)
        return self._joined(found, after)

    def _joined(self, found: list[tuple[Typed, Any]], after: Any) -> Typed:
        """The value that comes from one of several blocks, each of which goes on to `after`."""
        kind = found[0][0].kind
        for value, _ in found[1:]:
            kind = _common(Typed(kind, None), value)
        numbers = []
        for value, block in found:
            self.builder.position_before(block.terminator)
            numbers.append(self.converted(kind, value))
        self.builder.position_at_end(after)
        result = self.builder.phi(kind.ir)
        for number, (_, block) in zip(numbers, found):
            result.add_incoming(number, block)
        return Typed(kind, result)

    def _of_call(self, call: ast.Call) -> Any:
        name = ast.unparse(call.func)
        if name.startswith("math."):
            return self._called(name.removeprefix("math."), *map(self.value, call.args))
        if name == "over_lanes":
            join, *operands = call.args
            known = self.module.names[ast.unparse(join)]
            return self._joined_over_lanes(known, *map(self.value, operands))
        given: list[Any] = [
            [self.value(one) for one in argument.elts]
            if isinstance(argument, ast.Tuple)
            else self.value(argument)
            for argument in call.args
        ]
        if hasattr(self, f"_call_{name}"):
            return getattr(self, f"_call_{name}")(*given)
        known = self.module.names[name]
        if not isinstance(known, _Callee):
            return known(self, *given)
        if any(isinstance(x, Typed) and isinstance(x.kind, Vector) for x in given):
            known = known.of_vectors(self._lanes)
        numbers: list[Any] = []
        for kind, value in zip(known.parameters, given, strict=True):
            if isinstance(kind, Rows):
                numbers += [row.ir for row in value.ir.values()]
            else:
                numbers.append(self.converted(kind, value))
        result = self.builder.call(known.function, numbers)
        return known.result and Typed(known.result, result)

    def _joined_over_lanes(self, join: _Callee, x: Typed, joined: Typed) -> Typed:
        """What a function of two floats makes of x and all numbers of a vector, or of one number.

        Halves of the vector are joined until one number is left.
        """

        def call(callee: _Callee, *given: Typed) -> Typed:
            numbers = [self.converted(kind, one) for kind, one in zip(callee.parameters, given)]
            return Typed(callee.result, self.builder.call(callee.function, numbers))  # type: ignore[arg-type]

        while isinstance(joined.kind, Vector):
            half, of, vector = joined.kind.ir.count // 2, joined.kind.of, joined.ir
            if half == 1:
                pair = [self.builder.extract_element(vector, _I32(i)) for i in range(2)]
                joined = call(join, *[Typed(of, one) for one in pair])
                continue
            kind, type_ = vector_of(of, half), ir.VectorType(_I32, half)
            halves = [
                self.builder.shuffle_vector(
                    vector, vector, ir.Constant(type_, [*range(first, first + half)])
                )
                for first in (0, half)
            ]
            joined = call(join.of_vectors(half), *[Typed(kind, one) for one in halves])
        return call(join, x, joined)

    def _called(self, name: str, *given: Typed) -> Typed:
        """A call of a function of C, of floats."""
        if name == "isfinite":
            return self._compared("<", self._called("fabs", *given), _number(float("inf")))
        kind = _common(*[Typed(FLOAT64, None) if x.kind in (BOOL, INT) else x for x in given])
        numbers = [self.converted(kind, x) for x in given]
        single = kind.of if isinstance(kind, Vector) else kind
        many = f"v{kind.ir.count}" if isinstance(kind, Vector) else ""
        bits, suffix = ("f32", "f") if single is FLOAT32 else ("f64", "")
        if name in _KNOWN or not many:
            symbol = f"llvm.{name}.{many}{bits}" if name in _KNOWN else name + suffix
            function = self.module.declared(symbol, kind.ir, [kind.ir] * len(numbers))
            return Typed(kind, self.builder.call(function, numbers, fastmath=self.flags))
        function = self.module.declared(name + suffix, single.ir, [single.ir] * len(numbers))
        result = ir.Constant(kind.ir, ir.Undefined)
        for i in range(kind.ir.count):
            each = [self.builder.extract_element(number, _I32(i)) for number in numbers]
            result = self.builder.insert_element(result, self.builder.call(function, each), _I32(i))
        return Typed(kind, result)

    def _call_min(self, *given: Typed) -> Typed:
        return reduce(partial(self._chosen, "<"), given)

    def _call_max(self, *given: Typed) -> Typed:
        return reduce(partial(self._chosen, ">"), given)

    def _chosen(self, op: str, x: Typed, y: Typed) -> Typed:
        """y if it compares so with x, else x, as Python has it."""
        return self._selected(self._compared(op, y, x), y, x)

    def _call_abs(self, x: Typed) -> Typed:
        return self._called("fabs", x)

    def _call_int(self, x: Typed) -> Typed:
        if x.kind in (BOOL, INT):
            return self._widened(x)
        return Typed(INT, self.builder.fptosi(x.ir, I64))

    def _call_float32(self, x: Typed) -> Typed:
        return Typed(FLOAT32, self.converted(FLOAT32, x))

    def _call_float64(self, x: Typed) -> Typed:
        return Typed(FLOAT64, self.converted(FLOAT64, x))

    # ---- kinds

    def _widened(self, x: Typed) -> Typed:
        return Typed(INT, self.converted(INT, x)) if x.kind is BOOL else x


def _align(kind: Kind) -> int | None:
    """At a multiple of how many bytes LLVM can expect a value in memory; None: as is usual."""
    return None if not isinstance(kind, Vector) else 4 if kind.of is FLOAT32 else 8


def _refusal(node: ast.AST, why: str) -> TypeError:
    return TypeError(f"line {getattr(node, 'lineno', '?')}, {ast.unparse(node)}: {why}")


_FLOATS = {"Add": "fadd", "Sub": "fsub", "Mult": "fmul", "Div": "fdiv"}
_INTS = {
    **{"Add": "add", "Sub": "sub", "Mult": "mul", "LShift": "shl", "RShift": "ashr"},
    **{"BitAnd": "and_", "BitOr": "or_", "BitXor": "xor"},
}
_COMPARISONS = {"Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=", "Eq": "==", "NotEq": "!="}
_KNOWN = ("sqrt", "log", "sin", "cos", "pow", "fabs")  # functions of C that LLVM knows better


def _number(number: Any) -> Typed:
    """A number of Python, or what is one already."""
    if isinstance(number, Typed):
        return number
    if isinstance(number, float):
        return Typed(FLOAT64, FLOAT64.ir(number))
    return Typed(INT, I64(int(number)))


def _common(x: Typed, *others: Typed) -> Kind:
    """The kind for numbers of several kinds."""
    kind = x.kind
    for other in others:
        if isinstance(kind, Vector) or isinstance(other.kind, Vector):
            kind = kind if isinstance(kind, Vector) else other.kind
        elif {kind, other.kind} == {INT, FLOAT32}:
            kind = FLOAT64
        elif kind != other.kind:
            kind = max(kind, other.kind, key=_WIDENING.index)
    return kind
