"""Every public name, once. `import micrograd_plus` reads this file when a name is first used."""

from . import classroom as classroom
from . import compiler as compiler
from . import data as data
from . import losses as losses
from . import nn as nn
from . import optim as optim
from . import show as show
from . import text as text
from . import train as train
from .classroom import faults as faults
from .classroom import lint as lint
from .classroom import questions as questions
from .compiler import compile as compile
from .context import detect_anomaly as detect_anomaly
from .context import no_grad as no_grad
from .context import scope as scope
from .engine import Constant as Constant
from .engine import Value as Value
from .explorer import step_through as step_through
from .formulas.parse import parse as parse
from .formulas.symbolic import symbolic as symbolic
from .functional import log_softmax as log_softmax
from .functional import mean as mean
from .functional import softmax as softmax
from .functional import var as var
from .functional import where as where
from .gradcheck import gradcheck as gradcheck
from .nn import load as load
from .nn import save as save
from .notebook import interact as interact
from .ops import op as op
from .recordable import pick as pick
from .recordable import rand as rand
from .show import *
from .train import evaluate as evaluate
from .train import fit as fit
