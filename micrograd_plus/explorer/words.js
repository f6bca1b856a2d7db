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

const text = (words) => `<mtext>${words}</mtext>`;
const op = (sign) => `<mo>${sign}</mo>`;
/** Formulas beside each other, with room for a line break before each sign. */
const wrapping = (formulas, sign) =>
  formulas.map((formula, i) => math(i ? row(op(sign), formula) : formula)).join(" ");
const row = (...parts) => `<mrow>${parts.join("")}</mrow>`;
const math = (content) => `<math>${content}</math>`;
const named = (i) => LESSON.nodes[i].math;
const partial = (above, below) =>
  `<mfrac>${row(op("∂"), named(above))}${row(op("∂"), named(below))}</mfrac>`;
const gradOf = (i) => partial(LESSON.nodes.length - 1, i);

function mathNumber(x) {
  const [digits, exponent] = format(x).replace("−", "").split("e");
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
  return template.replace(/<mi data-([kv])="(\w+)">[^<]*<\/mi>/g, (_, kind, k, at) => {
    const index = kind === "v" ? Number(k) * length + (position % length) : Number(k);
    return bracketed(fill(k === "out" ? node : operands[index]), template.slice(0, at));
  });
}

/** A negative number in brackets, where it follows a sign or is the base of a power. */
function bracketed(written, before) {
  const negative = written.startsWith("<mrow><mo>−");
  return negative && /(<mo>[−+]<\/mo>|<msup>)$/.test(before) ? row(op("("), written, op(")")) : written;
}

/** The optimizer's formula with numbers in place of gradient, data, lr and what it remembers. */
const updateWithNumbers = (inputs) =>
  LESSON.update.math.replace(/<mi data-u="(\w+)">[^<]*<\/mi>/g, (_, name, at) =>
    bracketed(mathNumber(inputs[name]), LESSON.update.math.slice(0, at))).replaceAll("·", "×");

const withNames = (template, node, position = 0) => filled(template, node, position, named);
const withNumbers = (template, node, data, position = 0) =>
  filled(template, node, position, (i) => mathNumber(data[i])).replaceAll("·", "×");

const formulaOf = (node) => LESSON.formulas[LESSON.nodes[node].formula];

function partialOf(user, position) {
  const { op: name, operands } = LESSON.nodes[user];
  const { vectors, partials } = LESSON.ops[name];
  return partials[vectors ? Math.floor(position / (operands.length / vectors)) : position];
}

/** One side = the next = …, each said once. */
const equals = (...sides) => sides.filter((side, i) => side !== sides[i - 1]).join(op("="));

/** A step as formulas, a line each, and as text for a screen reader.
 *
 * hidden: whether the number that becomes known is shown as a question mark.
 */
function sentence(step, data, hidden = false) {
  const { kind, node, user, upstream, local, flow, before, after, assigns } = step;
  const { name } = LESSON.nodes[node];
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
      lines: [equals(named(node), withNames(formula, node), ...numbers, result)],
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
    return {
      lines: [
        equals(row(named(node), op("←"), LESSON.update.math), updateWithNumbers(step.inputs), result),
      ],
      text: `Update: ${name} goes from ${format(before)} to ${said}.`,
    };
  }
  const product = row(mathNumber(upstream), op("×"), mathNumber(local));
  const sum = hidden ? [] : [product, mathNumber(flow)];
  return {
    lines: [
      row(gradOf(node), op(assigns ? "=" : "+="), equals(row(gradOf(user), op("·"), partial(user, node)), ...sum)),
      row(named(node), text(".grad:&#xA0;"), mathNumber(before), op("→"), result),
    ],
    text:
      `Backward: ${name} gets from ${LESSON.nodes[user].name} upstream gradient ` +
      `${format(upstream)} times local derivative ${hidden ? "what?" : format(local)}; ` +
      `its gradient goes from ${format(before)} to ${said}.`,
  };
}

/** Why a local derivative is what it is: its rule with names and numbers, and a sentence. */
function ruleOf({ user, node, position, local }, data) {
  const { op: name, operands } = LESSON.nodes[user];
  const { vectors, reasons, doc } = LESSON.ops[name];
  const template = partialOf(user, position);
  const length = vectors ? operands.length / vectors : 0;
  const reason = reasons[vectors ? Math.floor(position / length) : position] ?? `${name}: ${doc}.`;
  const words = { out: LESSON.nodes[user].name };
  if (!vectors) operands.forEach((k, i) => { words[i] = LESSON.nodes[k].name; });
  const inputs = operands.map((k) => data[k]);
  const h = 10 ** (Math.floor(Math.log10(Math.max(1, Math.abs(inputs[position])))) - 3);
  const there = OPS[name].forward(...inputs.map((x, k) => (k === position ? x + h : x)));
  const twice = operands.filter((k) => k === node).length > 1;
  return {
    title: row(partial(user, node), op("="), withNames(template, user, position)),
    formula: equals(
      partial(user, node), withNames(template, user, position),
      withNumbers(template, user, data, position), mathNumber(local),
    ),
    reason: reason.replace(/\{(\w+)\}/g, (_, key) => words[key]),
    place: twice ? `as operand ${position + 1} of ${operands.length}` : "",
    nudge: { h, change: there - data[user], slope: (there - data[user]) / h },
  };
}
