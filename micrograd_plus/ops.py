"""The table of primitives: each op's formula, and its derivative by each operand.

This is the only place in the project that knows the derivative of anything. An entry is a
few one-line lambdas:

    op("tanh", lambda x: tanh(x), lambda out, x: 1 - out * out)

first the formula, then one partial derivative per operand. The first argument of a derivative is
`out`, the op's own result, which often makes it short. `nothing` is the derivative by an operand
that was not chosen: a 0 through which no gradient flows, even if the upstream gradient is inf or
nan. The entry also has what else must be known of the op: the sentence that explains its
derivative, whether it is linear, and where it saturates. The Python that the engine runs, the
JavaScript of the page and the LaTeX are written from the entry:

>>> print(TABLE["tanh"].python)
def tanh_forward(x):
    return tanh(x)
def tanh_partials(out, x):
    return [1.0 - out * out]
<BLANKLINE>
>>> print(TABLE["tanh"].javascript)
function tanh_forward(x) {
  return Math.tanh(x);
}
function tanh_partials(out, x) {
  return [1 - out * out];
}
<BLANKLINE>
>>> TABLE["div"].latex, TABLE["div"].latex_partials
('\\\\frac{a}{b}', ('\\\\frac{1}{b}', '\\\\frac{-\\\\mathrm{out}}{b}'))

Adding an op is adding one entry, here or with `op(...)` in a program of your own:

>>> cube = op("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)
>>> cube.forward(2.0), cube.partials(8.0, 2.0)
(8.0, [12.0])
>>> del TABLE["cube"], Methods.cube

There is one exception: for speed, the compiler's kernels contain `dot` and the matrix product a
second time, written by hand. A test compares them with the table's entry.

At the edges of a domain, at kinks and at ties the entries give what PyTorch gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from .formulas.writers import JavaScript, LaTeX, Python, compile_python
from .symbols import (
    ON_FLOATS,
    Symbol,
    cos,
    equal,
    erf,
    exp,
    expm1,
    inner,
    largest,
    log,
    log1p,
    nothing,
    same,
    sin,
    smallest,
    sqrt,
    tan,
    tanh,
    total,
    where,
)

Formula = Callable[..., Any]


class Op:
    """One primitive. Its code in each language is written from its formulas, when first used.

    name: what it is called in Python, as a function and as a method of Value.
    symbol: how pictures show it, `*` for mul.
    operands: the names of its operands, from the formula's own parameters.
    defaults: the values of the operands that may be left out.
    nary: whether each operand is a vector, a list of any length.
    binary: whether it takes two numbers.
    inline: whether a constant last operand is part of the op's name, as in `**2`.
    why: for each operand a sentence that explains the derivative by it; {0}, {1}, … stand for the
        names of the operands, {out} for that of the result.
    linear: whether weighted sums are made of it: linear in each operand (div: in its first).
    saturates: the two outputs beyond which an activation is nearly flat; None if it never is.
    dies_at: the output of an activation that passes no gradient, as the 0 of ReLU; None without.
    idempotent: whether it leaves its own results as they are, and its slope at a result is that at
        the operand: then what has the result needs no operand, as for ReLU.

    forward(a, b) gives the value from the operands' numbers; partials(out, a, b) gives the
    partial derivatives, one per operand, in order.
    """

    forward: Callable[..., float]
    partials: Callable[..., list[float]]

    def __init__(
        self,
        name: str,
        formula: Formula,
        *derivatives: Formula,
        symbol: str = "",
        nary: bool = False,
        inline: bool = False,
        doc: str = "",
        why: str | tuple[str, ...] = (),
        linear: bool = False,
        saturates: tuple[float, float] | None = None,
        dies_at: float | None = None,
        idempotent: bool = False,
    ) -> None:
        for function in (formula, *derivatives):
            if not hasattr(function, "__code__"):
                raise TypeError(
                    f"op {name!r}: a formula is a function of its operands that is written in "
                    "Python, such as lambda x: x * exp(-x), with the functions of "
                    f"micrograd_plus.symbols, not {function!r}"
                )
        code = formula.__code__
        self.name = name
        self.symbol = symbol or name
        self.operands = code.co_varnames[: code.co_argcount]
        self.defaults: tuple[float, ...] = formula.__defaults__ or ()
        self.nary = nary
        self.binary = len(self.operands) == 2 and not nary
        self.inline = inline
        self.doc = doc
        self.why = (why,) * len(self.operands) if isinstance(why, str) else why
        self.linear = linear
        self.saturates = saturates
        self.dies_at = dies_at
        self.idempotent = idempotent
        takes = ("out", *self.operands)
        counts = [derivative.__code__.co_argcount for derivative in derivatives]
        if counts != [len(takes)] * len(self.operands):
            raise ValueError(
                f"op {name!r} needs {len(self.operands)} derivatives, one for each operand, each "
                f"of the form `lambda {', '.join(takes)}: ...`; out is the op's own result"
            )
        symbols = [Symbol(operand, vector=nary) for operand in self.operands]
        self._symbols = symbols
        try:
            self.expression = formula(*symbols)
            self.derivatives = tuple(partial(_OUT, *symbols) for partial in derivatives)
        except TypeError as error:
            raise TypeError(
                f"op {name!r}: a formula is made of + - * / ** and the functions of "
                f"micrograd_plus.symbols, such as exp, log, tanh and where ({error})"
            ) from None

        # The two are compiled when first called, so that importing the table takes no time. What is
        # compiled is kept in a plain attribute: a cached_property would use the entry's __dict__,
        # and from then on CPython 3.11 takes several times as long to find `forward`.
        self._compiled: list[Callable[..., Any]] = []
        self.forward, self.partials = self._lazy("forward", 0), self._lazy("partials", 1)

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.operands)})>"

    def __reduce__(self) -> tuple[Callable[[str], Op], tuple[str]]:
        return _entry, (self.name,)  # a copied or unpickled graph uses the same table

    def __call__(self, *operands: Any, **named: Any) -> Any:
        """The Value that it makes of Values and numbers: `swish(v)`. Set by `functional`."""
        raise NotImplementedError

    @property
    def signature(self) -> str:
        """How it is called: `leaky_relu(x, slope=0.01)`."""
        required = len(self.operands) - len(self.defaults)
        with_default = zip(self.operands[required:], self.defaults)
        shown = [*self.operands[:required], *[f"{x}={value}" for x, value in with_default]]
        return f"{self.name}({', '.join(shown)})"

    @property
    def python(self) -> str:
        """The Python source of `forward` and `partials`."""
        return self._written_in(Python())

    @property
    def javascript(self) -> str:
        """The same two functions in JavaScript; they need `JavaScript.prelude`."""
        return self._written_in(JavaScript())

    @property
    def latex(self) -> str:
        """The formula as LaTeX."""
        return LaTeX().write(self.expression)

    @property
    def latex_partials(self) -> tuple[str, ...]:
        """The partial derivatives as LaTeX, one per operand."""
        return tuple(LaTeX().write(derivative) for derivative in self.derivatives)

    def complete(self, operands: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """All operands in order, with defaults filled in; TypeError if they do not fit."""
        if self.nary and not named and operands and len(operands) % len(self.operands) == 0:
            return operands
        given = dict(zip(self.operands, operands))
        defaults = dict(zip(reversed(self.operands), reversed(self.defaults)))
        complete = {**defaults, **given, **named}
        too_many = len(operands) > len(self.operands) or given.keys() & named
        if self.nary or too_many or set(complete) != set(self.operands):
            given_as = ", ".join([*["a value"] * len(operands), *[f"{x}=..." for x in named]])
            raise TypeError(
                CALLED_AS.format(signature=self.signature, name=self.name, given=given_as)
            )
        return tuple([complete[x] for x in self.operands])

    def shown_with(self, *constants: float) -> str:
        """The symbol with the constants that are part of it: `**2`, `leaky_relu(0.1)`."""
        numbers = ", ".join(f"{constant:g}" for constant in constants)
        infix = not self.symbol.isidentifier()
        return self.symbol + (numbers if infix or not numbers else f"({numbers})")

    def _written_in(self, language: Python | JavaScript) -> str:
        name, symbols = self.name, self._symbols
        forward = language.function(f"{name}_forward", symbols, self.expression)
        partials = language.function(f"{name}_partials", [_OUT, *symbols], self.derivatives)
        return forward + partials

    def _lazy(self, attribute: str, position: int) -> Callable[..., Any]:
        def function(*numbers: float) -> Any:
            if not self._compiled:
                filename = f"<micrograd_plus op {self.name}>"
                self._compiled = compile_python(self.python, filename, ON_FLOATS)
            compiled = self._compiled[position]
            if getattr(self, attribute) is function:  # not if a lesson has replaced it, as `faults`
                setattr(self, attribute, compiled)
            return compiled(*numbers)

        return function


CALLED_AS = "{signature} was called as {name}({given})"
"""What is wrong with a call whose operands do not fit."""

_OUT = Symbol("out")

TABLE: dict[str, Op] = {}
"""Every primitive by its name."""

LIBRARY: set[str] = set()
"""The names of the primitives of this file, which no other op can have."""


def function_of_one(name: str) -> Op:
    """The op called `name`, if it can be applied to one number alone; else ValueError."""
    fitting = [
        op for op in TABLE.values() if not op.nary and len(op.operands) - len(op.defaults) == 1
    ]
    for op in fitting:
        if op.name == name:
            return op
    known = ", ".join(op.name for op in fitting)
    raise ValueError(f"there is no function of one number called {name!r}; there are {known}")


def _entry(name: str) -> Op:
    return TABLE[name]


class Methods:
    """Gives a class every op of the table as a method, `v.tanh()`; ops that are added later, too.

    The class defines `apply`: how an op is applied to its instances.
    """

    __slots__ = ()

    @staticmethod
    def apply(op: Op, *operands: Any, **named: Any) -> Any:
        raise NotImplementedError

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Self]: ...


def _method(entry: Op) -> Callable[..., Any]:
    def method(self: Methods, *others: Any, **named: Any) -> Any:
        return self.apply(entry, self, *others, **named)

    method.__name__ = method.__qualname__ = entry.name
    method.__doc__ = f"{entry.signature}: {entry.doc}."
    return method


def op(name: str, formula: Formula, *derivatives: Formula, **how: Any) -> Op:
    """Adds a primitive to the table and returns it.

    formula: a function of the operands, made of + - * / ** and the functions of
        `micrograd_plus.symbols`: exp, log, tanh, where, …
    derivatives: for each operand, a function of (out, operands); out is the op's result.
    how: symbol, for pictures; doc, for help; why, linear and so on as in `Op`.

        op("cube", lambda x: x * x * x, lambda out, x: 3 * x * x, doc="x to the power 3")

    >>> double = op("double", lambda x: 2.0 * x, lambda out, x: 2.0)
    >>> double.forward(3.0), double.partials(6.0, 3.0)
    (6.0, [2.0])
    >>> del TABLE["double"], Methods.double
    """
    if not name.isidentifier():
        raise ValueError(f"the name of an op must be a Python identifier, not {name!r}")
    if name in LIBRARY:
        raise ValueError(f"the library has an op {name!r} already: choose another name")
    entry = TABLE[name] = Op(name, formula, *derivatives, **how)
    if not entry.nary:
        setattr(Methods, name, _method(entry))
    return entry


# Parts of formulas: those that several entries share, and those that need a name.


def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)), written so that exp never sees a positive number."""
    e = exp(-abs(x))
    return where(x >= 0, 1, e) / (1 + e)


def clip_below_zero(x: Any) -> Any:
    """max(x, 0), and nan for nan."""
    return where(x < 0, 0, x)


def finite_largest(x: Any) -> Any:
    """The largest element, or 0 if that is infinite, as what logsumexp subtracts."""
    return where(equal(abs(largest(x)), math.inf), 0, largest(x))


def normal_density(x: Any) -> Any:
    """The density of the standard normal distribution."""
    return exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


def normal_cdf(x: Any) -> Any:
    """The share of the standard normal distribution that is below x."""
    return 0.5 * (1 + erf(x * math.sqrt(0.5)))


def gelu_tanh_inner(x: Any) -> Any:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)


# fmt: off

# Arithmetic.
op("add", lambda a, b: a + b,  lambda out, a, b: 1,
                               lambda out, a, b: 1,         symbol="+", doc="a + b", linear=True,
   why=("When {0} changes by a little, {out} changes by the same amount: a slope of 1.",
        "When {1} changes by a little, {out} changes by the same amount: a slope of 1."))
op("sub", lambda a, b: a - b,  lambda out, a, b: 1,
                               lambda out, a, b: -1,        symbol="-", doc="a - b", linear=True,
   why=("When {0} changes by a little, {out} changes by the same amount: a slope of 1.",
        "When {1} grows by a little, {out} falls by the same amount: a slope of −1."))
op("mul", lambda a, b: a * b,  lambda out, a, b: b,
                               lambda out, a, b: a,         symbol="*", doc="a * b", linear=True,
   why=("In a product, the slope with respect to one factor is the other factor: {1}.",
        "In a product, the slope with respect to one factor is the other factor: {0}."))
op("div", lambda a, b: a / b,  lambda out, a, b: 1 / b,
                               lambda out, a, b: -out / b,  symbol="/", doc="a / b", linear=True,
   why=("The numerator is multiplied by 1/{1}: that is the slope.",
        "The slope of 1/{1} is −1/{1}²; it is multiplied by the numerator, {0}."))
op("neg", lambda a: -a,        lambda out, a: -1,           symbol="-", doc="-a", linear=True,
   why="When {0} grows by a little, {out} falls by the same amount: a slope of −1.")
op("pow", lambda a, b: a ** b,
          lambda out, a, b: where(equal(b, 0), nothing, b * a ** (b - 1)),
          lambda out, a, b: where(equal(a, 0) & (b >= 0), 0, out * log(a)),
   symbol="**", inline=True, doc="a to the power b",
   why=("The power rule: the exponent becomes a factor, and the new exponent is one less.",
        "The slope is the power times log({0}); there is none for a negative {0}."))

# Exponentials, roots and logarithms.
op("exp",   lambda x: exp(x),   lambda out, x: out,           doc="e to the power x",
   why="The slope of the exponential function is its value: the higher, the steeper.")
op("expm1", lambda x: expm1(x), lambda out, x: exp(x),        doc="exp(x) - 1, precise near 0",
   why="It is the exponential function minus 1: the slope is that of the exponential.")
op("log",   lambda x: log(x),   lambda out, x: 1 / x,         doc="the natural logarithm",
   why="The logarithm is steep near 0 and becomes flatter and flatter: its slope is 1/{0}.")
op("log1p", lambda x: log1p(x), lambda out, x: 1 / (1 + x),   doc="log(1 + x), precise near 0",
   why="It is the logarithm of 1 + {0}: its slope is 1 divided by 1 + {0}.")
op("sqrt",  lambda x: sqrt(x),  lambda out, x: 1 / (2 * out), doc="the square root",
   why="The square root is steep near 0. The larger {out} is, the smaller is the slope.")

# Waves.
op("sin", lambda x: sin(x), lambda out, x: cos(x),        doc="the sine of x radians",
   why="The slope of the sine is the cosine: 1 at 0, and 0 at each top and bottom of the wave.")
op("cos", lambda x: cos(x), lambda out, x: -sin(x),       doc="the cosine of x radians",
   why="The slope of the cosine is minus the sine.")
op("tan", lambda x: tan(x), lambda out, x: 1 + out * out, doc="the tangent of x radians",
   why="The slope is 1 + {out}²: 1 where {out} is 0, and without bound towards ±π/2.")

# Activations.
op("tanh",    lambda x: tanh(x),     lambda out, x: 1 - out * out,   doc="the hyperbolic tangent",
   saturates=(-0.97, 0.97),  # the slope is below 0.06 there (Glorot & Bengio 2010)
   why="The slope is largest at 0, where it is 1. It is almost 0 where {out} is near −1 or 1: "
       "there tanh is saturated.")
op("sigmoid", lambda x: logistic(x), lambda out, x: out * (1 - out), doc="1 / (1 + exp(-x))",
   saturates=(0.01, 0.99),  # the slope is below 0.01 there, and 0.25 in the middle
   why="The slope is largest at 0, where it is ¼. It is almost 0 where {out} is near 0 or 1: "
       "there the sigmoid is saturated.")
op("relu",    lambda x: clip_below_zero(x),
              lambda out, x: where(x <= 0, nothing, 1), symbol="ReLU", doc="max(x, 0)",
   dies_at=0.0, idempotent=True,
   why="A switch. Above 0, {out} is {0}: the slope is 1. At 0 and below, {out} is 0: no gradient "
       "passes.")
op("leaky_relu", lambda x, slope=0.01: where(x > 0, x, slope * x),
                 lambda out, x, slope: where(x > 0, 1, slope),
                 lambda out, x, slope: where(x > 0, nothing, x),
   inline=True, doc="x where it is positive, else slope * x",
   why=("Above 0 the slope is 1; at 0 and below, it is {1}.",
        "{1} has an effect only where {0} is not above 0."))
op("elu", lambda x, alpha=1.0: where(x < 0, alpha * expm1(x), x),
          lambda out, x, alpha: where(x <= 0, alpha * exp(x), 1),
          lambda out, x, alpha: where(x > 0, nothing, expm1(x)),
   inline=True, doc="x where it is positive, else alpha * (exp(x) - 1)",
   why=("Above 0 the slope is 1. At 0 and below, it is {1} · exp({0}), which is near 0 far below.",
        "{1} has an effect only where {0} is not above 0."))
op("softplus", lambda x: clip_below_zero(x) + log1p(exp(-abs(x))),
               lambda out, x: logistic(x), doc="log(1 + exp(x))",
   why="A ReLU with a rounded corner: its slope goes from 0 to 1 smoothly, as the sigmoid does.")
op("gelu", lambda x: x * normal_cdf(x),
           lambda out, x: normal_cdf(x) + x * normal_density(x),
   doc="x times the normal distribution's share below x (Hendrycks & Gimpel 2016)",
   why="{0} is used twice, as a factor and inside the normal distribution: two terms.")
op("gelu_tanh", lambda x: 0.5 * x * (1 + tanh(gelu_tanh_inner(x))),
                lambda out, x: 0.5 * (1 + tanh(gelu_tanh_inner(x)))
                               + 0.5 * x * (1 - tanh(gelu_tanh_inner(x)) * tanh(gelu_tanh_inner(x)))
                               * (math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)),
   doc="the approximation of gelu by tanh (Hendrycks & Gimpel 2016)",
   why="{0} is used twice, as a factor and inside the tanh: two terms.")
op("silu", lambda x: x * logistic(x),
           lambda out, x: logistic(x) * (1 + x * (1 - logistic(x))), doc="x * sigmoid(x)",
   why="{0} is used twice, as a factor and inside the sigmoid: two terms.")

# Kinks, ties and the error function.
op("abs", lambda x: abs(x), lambda out, x: where(x > 0, 1, where(x < 0, -1, 0)),
   doc="the absolute value",
   why="The slope is 1 to the right of 0 and −1 to the left. At 0 is a corner: 0 is used.")
op("maximum", lambda a, b: where(a >= b, a, where(a < b, b, a + b)),
              lambda out, a, b: where(a < b, nothing, where(equal(a, b), 0.5, 1)),
              lambda out, a, b: where(b < a, nothing, where(equal(a, b), 0.5, 1)),
   doc="the larger of a and b; a tie shares the gradient equally",
   why="Only the larger one has an effect on {out}: its slope is 1. Equal ones have ½ each.")
op("minimum", lambda a, b: where(a <= b, a, where(a > b, b, a + b)),
              lambda out, a, b: where(a > b, nothing, where(equal(a, b), 0.5, 1)),
              lambda out, a, b: where(b > a, nothing, where(equal(a, b), 0.5, 1)),
   doc="the smaller of a and b; a tie shares the gradient equally",
   why="Only the smaller one has an effect on {out}: its slope is 1. Equal ones have ½ each.")
op("erf", lambda x: erf(x), lambda out, x: 2 / math.sqrt(math.pi) * exp(-x * x),
   doc="the error function",
   why="The error function is the area under a bell curve: its slope is the height of the curve.")

# Conditions: 1 for yes and 0 for no, without a slope.
op("lt", lambda a, b: where(a < b, 1, 0),  lambda out, a, b: nothing,
                                           lambda out, a, b: nothing,  symbol="<",
   doc="1 where a < b, else 0",
   why="A small change leaves the answer as it is: no gradient passes.")
op("le", lambda a, b: where(a <= b, 1, 0), lambda out, a, b: nothing,
                                           lambda out, a, b: nothing,  symbol="<=",
   doc="1 where a <= b, else 0",
   why="A small change leaves the answer as it is: no gradient passes.")
op("where", lambda condition, a, b: where(equal(condition, 0), b, a),
            lambda out, condition, a, b: nothing,
            lambda out, condition, a, b: where(equal(condition, 0), nothing, 1),
            lambda out, condition, a, b: where(equal(condition, 0), 1, nothing),
   doc="a where the condition is not 0, else b",
   why=("A small change does not change the choice: no gradient passes.",
        "The chosen one gets the whole gradient, the other one nothing.",
        "The chosen one gets the whole gradient, the other one nothing."))

# Ops of any number of operands: here x and y are vectors, and operators work element by element.
op("sum", lambda x: total(x), lambda out, x: 1,
   symbol="+", nary=True, doc="the sum of all x", linear=True,
   why="When one term changes by a little, the sum changes by the same amount: a slope of 1.")
op("dot", lambda x, y: inner(x, y), lambda out, x, y: y,
                                    lambda out, x, y: x,
   symbol="·", nary=True, doc="the sum of all products x * y", linear=True,
   why="In each product, the slope with respect to one factor is the other factor.")
op("max", lambda x: largest(x),
          lambda out, x: where(same(x, out), 1 / total(where(same(x, out), 1, 0)), nothing),
   nary=True, doc="the largest x; ties share the gradient equally",
   why="Only the largest has an effect on {out}. If several are equal, they share the gradient.")
op("min", lambda x: smallest(x),
          lambda out, x: where(same(x, out), 1 / total(where(same(x, out), 1, 0)), nothing),
   nary=True, doc="the smallest x; ties share the gradient equally",
   why="Only the smallest has an effect on {out}. If several are equal, they share the gradient.")
op("logsumexp", lambda x: finite_largest(x) + log(total(exp(x - finite_largest(x)))),
                lambda out, x: exp(x - out),
   nary=True, doc="log of the sum of all exp(x), without overflow",
   why="The slope with respect to each one is its share in the sum of exponentials: its softmax.")

LIBRARY.update(TABLE)
