"""Why each derivative of the op table is what it is, in a sentence; {0} is the first operand.

The formulas themselves stand in `ops.py`; an op that is not listed here has its formula alone.
"""

REASONS: dict[str, tuple[str, ...]] = {
    "add": (
        "Move {0} a little and {out} moves just as much.",
        "Move {1} a little and {out} moves just as much.",
    ),
    "sub": (
        "Move {0} a little and {out} moves just as much.",
        "Move {1} up a little and {out} moves down just as much.",
    ),
    "mul": (
        "Hold {1} fixed: {out} is then {0} taken {1} times, and moves {1} times as far as {0}.",
        "Hold {0} fixed: {out} is then {1} taken {0} times, and moves {0} times as far as {1}.",
    ),
    "div": (
        "Hold {1} fixed: {out} moves 1/{1} times as far as {0}.",
        "A larger {1} makes {out} smaller, in proportion to {out} itself.",
    ),
    "neg": ("Move {0} up a little and {out} moves down just as much.",),
    "pow": (
        "The exponent comes down in front, and one power fewer is left.",
        "A power grows in proportion to itself; how fast is the logarithm of {0}.",
    ),
    "exp": ("An exponential grows in proportion to itself: its slope is its own height.",),
    "expm1": ("It is the exponential, moved down by 1: the slope is the same.",),
    "log": ("The logarithm is steep near 0 and ever flatter: its slope is 1/{0}.",),
    "log1p": ("It is the logarithm of 1 + {0}, and its slope one over that.",),
    "sqrt": ("{out} times {out} is {0}: the larger {out} is, the less it need move.",),
    "sin": ("The sine rises fastest at 0 and is flat at its top, as the cosine is high.",),
    "cos": ("The cosine falls as fast as the sine is high.",),
    "tan": ("The tangent is 1 steep at 0 and ever steeper towards its poles.",),
    "tanh": ("Steepest at 0, where the slope is 1; flat where {out} is near −1 or 1: saturated.",),
    "sigmoid": (
        "Steepest at 0, where the slope is ¼; flat where {out} is near 0 or 1: saturated.",
    ),
    "relu": ("A switch: above 0 everything goes through, at and below 0 nothing does.",),
    "leaky_relu": (
        "Above 0 everything goes through, below it a small share.",
        "The slope matters only where {0} is not above 0.",
    ),
    "elu": (
        "Above 0 everything goes through; below it the slope fades as the exponential does.",
        "The factor matters only where {0} is not above 0.",
    ),
    "softplus": ("A ReLU with a rounded corner; its slope is the sigmoid, a softened switch.",),
    "gelu": ("Two uses of {0}: as the factor, and inside the normal distribution.",),
    "gelu_tanh": ("Two uses of {0}: as the factor, and inside the tanh.",),
    "silu": ("Two uses of {0}: as the factor, and inside the sigmoid.",),
    "abs": ("Uphill to the right of 0, downhill to the left; at the corner 0 is taken.",),
    "maximum": (
        "The larger one alone decides: the other may move and nothing happens.",
        "The larger one alone decides: the other may move and nothing happens.",
    ),
    "minimum": (
        "The smaller one alone decides: the other may move and nothing happens.",
        "The smaller one alone decides: the other may move and nothing happens.",
    ),
    "erf": ("The error function adds up a bell curve: its slope is the height of the bell.",),
    "lt": ("Yes or no does not change with a small move.",) * 2,
    "le": ("Yes or no does not change with a small move.",) * 2,
    "where": (
        "The choice does not change with a small move.",
        "What was chosen goes through, the other is cut off.",
        "What was chosen goes through, the other is cut off.",
    ),
    "sum": ("Move one term a little and the sum moves just as much.",),
    "dot": (
        "Each product has one factor held fixed: that factor is the slope.",
        "Each product has one factor held fixed: that factor is the slope.",
    ),
    "max": ("The largest alone decides; a tie shares the gradient.",),
    "logsumexp": ("Each one's share in the sum of exponentials: its softmax.",),
}
