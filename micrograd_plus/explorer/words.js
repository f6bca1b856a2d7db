// What the page says: numbers, formulas as MathML, and a sentence for every step.
//
// Formulas come from Python as MathML written from the op table, with places for the operands:
// <mi data-k="1"> is operand 1, <mi data-v="0"> this element of vector 0, data-k="out" the result.

/** A number with up to five digits, as `show.scale.number` writes it. */
function format(x) {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  const [digits, power] = x.toExponential(4).split("e").map(Number);
  const isPlain = power >= -4 && power < 6;
  const text = isPlain ? String(Number(x.toPrecision(5))) : `${digits}e${power}`;
  return text.replaceAll("-", "−");
}

const SPECIAL = { inf: Infinity, infinity: Infinity, "∞": Infinity, nan: NaN };

/** A number as people write it, with a comma or a long minus; undefined if it is not a number. */
function readNumber(written) {
  const plain = written.trim().replaceAll("−", "-").replace(",", ".").toLowerCase();
  if (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/.test(plain)) return Number(plain);
  const size = SPECIAL[plain.replace(/^[-+]/, "")];
  return plain.startsWith("-") && size ? -size : size;
}

/** What is wrong with an entry, in a sentence; nothing if it is a finite number. */
function problemWith(written) {
  const number = readNumber(written);
  if (number === undefined) return "Type a number, for example −1.5.";
  return Number.isFinite(number) ? "" : "Type a finite number: with ∞ or nan there is no slope.";
}

const text = (words) => `<mtext>${words}</mtext>`;
const op = (sign) => `<mo>${sign}</mo>`;
/** Formulas beside each other, with room for a line break before each sign. */
const wrapping = (formulas, sign) =>
  formulas.map((formula, i) => math(i ? row(op(sign), formula) : formula)).join(" ");
const row = (...parts) => `<mrow>${parts.join("")}</mrow>`;
const math = (content) => `<math>${content}</math>`;
const named = (i) => LESSON.nodes[i].math ?? mathNumber(Number(LESSON.nodes[i].data));
const partial = (above, below) =>
  `<mfrac>${row(op("∂"), named(above))}${row(op("∂"), named(below))}</mfrac>`;
const gradOf = (i) => partial(LESSON.nodes.length - 1, i);
const grad = (i) => row(named(i), text(".grad"));
const under = (formula, words) => `<munder>${formula}${text(words)}</munder>`;
/** What a node is called in sentences and by screen readers. */
const inWords = (i) => LESSON.nodes[i].words ?? LESSON.nodes[i].name;

function mathNumber(x) {
  const [digits, exponent] = format(Math.abs(x)).split("e");
  const size = exponent
    ? row(`<mn>${digits}</mn>`, op("·"), `<msup><mn>10</mn><mn>${exponent}</mn></msup>`)
    : `<mn>${digits}</mn>`;
  return x < 0 ? row(op("−"), size) : size;
}

/** A template with its places filled in by `fill(node)`. */
function filled(template, node, position, fill) {
  const { op: name, operands } = LESSON.nodes[node];
  const { vectors } = LESSON.ops[name];
  const length = vectors ? operands.length / vectors : 0;
  return template.replace(/<mi data-([kv])="(\w+)">[^<]*<\/mi>/g, (place, kind, k, at) => {
    const index = kind === "v" ? Number(k) * length + (position % length) : Number(k);
    const written = fill(k === "out" ? node : operands[index]);
    return bracketed(written, template.slice(0, at), template.slice(at + place.length));
  });
}

/** What is written, in brackets between the formulas `before` and `after` where it needs them: a
 * negative number as a factor, behind a sign or as the base of a power; a name with an upper index
 * as the base of a power. */
function bracketed(written, before, after) {
  const negative = written.startsWith("<mrow><mo>−");
  const isBase = before.endsWith("<msup>");
  const isPart = /<mo>[−+·×]<\/mo>$/.test(before) || /^<mo>[·×]/.test(after) || isBase;
  const raised = /<msup>|<msubsup>/.test(written);
  return (negative && isPart) || (raised && isBase) ? row(op("("), written, op(")")) : written;
}

/** A number as a factor: in brackets if it is negative. */
const factor = (x) => bracketed(mathNumber(x), op("×"), "");

/** The numbers in an optimizer's formulas, by name. */
function inputsOf({ gradient, before, rate, old, kept }) {
  const numbers = { gradient, data: before, lr: rate };
  LESSON.update.remembered.forEach((name, i) => {
    numbers[name] = old?.[i];
    numbers[`next_${name}`] = kept[i];
  });
  return numbers;
}

/** An optimizer's formula with numbers in place of gradient, data, lr and what it remembers. */
const updateWithNumbers = (formula, inputs) =>
  formula.replace(/<mi data-u="(\w+)">[^<]*<\/mi>/g, (place, name, at) =>
    bracketed(mathNumber(inputs[name]), formula.slice(0, at), formula.slice(at + place.length)))
    .replaceAll("·", "×");

const withNames = (template, node, position = 0) => filled(template, node, position, named);
const withNumbers = (template, node, data, position = 0) =>
  filled(template, node, position, (i) => mathNumber(data[i])).replaceAll("·", "×");

/** The formula of a node as a template: written out for its number of operands, if that is short. */
function formulaOf(node) {
  const { op: name, operands } = LESSON.nodes[node];
  return LESSON.formulas[`${name}/${operands.length}`] ?? LESSON.formulas[name];
}

/** Whether the last operand of a node is a constant that is part of the op's name, as in **2. */
function isInline({ op: name, operands }, { nodes, ops } = LESSON) {
  return ops[name].inline && nodes[operands.at(-1)].constant === true;
}

/** The op of a node as pictures show it: *, tanh, **2; nothing for a leaf. */
function signOf(i) {
  const node = LESSON.nodes[i];
  if (!node.op) return "";
  const { symbol } = LESSON.ops[node.op];
  if (!isInline(node)) return symbol;
  const number = format(Number(LESSON.nodes[node.operands.at(-1)].data));
  return /^\w+$/.test(symbol) ? `${symbol}(${number})` : symbol + number;
}

function partialOf(user, position) {
  const { op: name, operands } = LESSON.nodes[user];
  const { vectors, partials } = LESSON.ops[name];
  return partials[vectors ? Math.floor(position / (operands.length / vectors)) : position];
}

/** One side = the next = …, each said once. */
const equals = (...sides) => differing(sides).join(op("="));
const differing = (sides) => sides.filter((side, i) => side !== sides[i - 1]);

/** A line of a sentence: one formula, or the sides of an equation that may be wrapped. */
const mathLine = (line) => (Array.isArray(line) ? wrapping(line, "=") : math(line));

/** A step as formulas, a `mathLine` each, and as text for a screen reader.
 *
 * A reward also has `words` to read.
 *
 * hidden: whether the number that becomes known is shown as a question mark.
 */
function sentence(step, data, hidden = false) {
  const { kind, node, user, upstream, local, flow, before, after, assigns } = step;
  const name = inWords(node);
  const result = hidden ? op("?") : mathNumber(after);
  const said = hidden ? "what?" : format(after);
  if (kind === "again") {
    return { lines: [], text: "A second pass begins, and zero_grad was not called." };
  }
  if (kind === "forward") {
    const formula = formulaOf(node);
    const writtenOut = formula.includes("data-k"); // and no ∑ over many operands
    const numbers = writtenOut && !hidden ? [withNumbers(formula, node, data)] : [];
    return {
      lines: [differing([named(node), withNames(formula, node), ...numbers, result])],
      text: `Forward: ${name} is ${said}.`,
    };
  }
  if (kind === "seed") {
    return {
      lines: [equals(gradOf(node), result)],
      text: `The backward pass begins: the derivative of ${name} by itself is 1.`,
    };
  }
  if (kind === "update") {
    const inputs = inputsOf(step);
    return {
      lines: Object.entries(step.formulas).map(([kept, formula]) => {
        const number = mathNumber(kept === "data" ? after : inputs[`next_${kept}`]);
        const [first, ...others] = differing([formula, updateWithNumbers(formula, inputs), number]);
        const name = kept === "data" ? named(node) : `<mi>${kept}</mi>`;
        return [row(name, op("←"), first), ...others];
      }),
      text: `Update: ${name} goes from ${format(before)} to ${said}.`,
    };
  }
  if (kind === "reward") {
    const words = rewardInWords(before, after);
    return {
      lines: [row(text("loss&#xA0;"), mathNumber(before), op("→"), result)],
      words, text: `The loss goes from ${format(before)} to ${said}. ${words}`,
    };
  }
  const product = row(factor(upstream), op("×"), factor(local));
  const sum = hidden ? [] : [product, mathNumber(flow)];
  return {
    lines: [
      differing([
        row(grad(node), op(assigns ? "=" : "+="),
          under(grad(user), "upstream"), op("×"), under(partial(user, node), "local")),
        ...sum,
      ]),
      row(grad(node), text(":&#xA0;"), mathNumber(before), op("→"), result),
    ],
    text:
      `Backward: ${name} gets from ${inWords(user)} upstream gradient ` +
      `${format(upstream)} times local derivative ${hidden ? "what?" : format(local)}; ` +
      `its gradient goes from ${format(before)} to ${said}.`,
  };
}

/** What an optimizer's step has done to the loss. */
function rewardInWords(before, after) {
  if (!Number.isFinite(after)) return "The loss is no finite number any more: the training has diverged.";
  const change = format(Math.abs(after - before));
  if (after < before) return `The step has lowered the loss by ${change}.`;
  if (after === before) return "The step has not changed the loss.";
  return `The loss rose by ${change}. A gradient gives the slope here, and not how far it reaches: ` +
    "with a smaller learning rate the step is shorter.";
}

/** The name of a node in a formula in a sentence; a constant's number, in brackets if negative. */
function nameOrNumber(i) {
  const { name, constant, data } = LESSON.nodes[i];
  if (!constant) return name;
  return data < 0 ? `(${format(data)})` : format(Number(data));
}

/** Why a local derivative is what it is: its rule with names and numbers, and a sentence. */
function ruleOf({ user, node, position, local }, data) {
  const { op: name, operands } = LESSON.nodes[user];
  const { vectors, reasons, doc } = LESSON.ops[name];
  const template = partialOf(user, position);
  const length = vectors ? operands.length / vectors : 0;
  const reason = reasons[vectors ? Math.floor(position / length) : position] ?? `${name}: ${doc}.`;
  const words = { out: LESSON.nodes[user].name };
  if (!vectors) operands.forEach((k, i) => { words[i] = nameOrNumber(k); });
  const inputs = operands.map((k) => data[k]);
  const h = 10 ** (Math.floor(Math.log10(Math.max(1, Math.abs(inputs[position])))) - 3);
  const there = OPS[name].forward(...inputs.map((x, k) => (k === position ? x + h : x)));
  const twice = operands.filter((k) => k === node).length > 1;
  return {
    title: row(partial(user, node), op("="), withNames(template, user, position)),
    formula: differing([
      partial(user, node), withNumbers(template, user, data, position), mathNumber(local),
    ]),
    reason: reason.replace(/\{(\w+)\}/g, (_, key) => words[key]),
    place: twice ? `as operand ${position + 1} of ${operands.length}` : "",
    nudge: { h, change: there - data[user], slope: (there - data[user]) / h },
  };
}
