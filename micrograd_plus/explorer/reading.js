// Reads an expression and makes a lesson of it, as `parse` and `step_through` do in Python.
//
// Operators, precedence, the form of numbers and all messages are the tables of formulas/parse.py,
// in LANGUAGE.grammar; the functions are the ops of the op table, in LANGUAGE.ops.

const WHOLE = "the whole graph";
const NAME = /[\p{XID_Start}_]\p{XID_Continue}*/uy; // Python's str.isidentifier

/** An expression that cannot be read: why, and at which place of the `text`. */
class Unreadable extends Error {
  constructor(message, text = "", column = 0) {
    super(message);
    Object.assign(this, { text, column });
  }
}

const worded = (message, fields = {}) =>
  message.replace(/\{(\w+)\}/g, (_, field) => fields[field]);

/** Reads from left to right: complete values, and the signs and brackets that wait for more.
 *
 * See `_Reader` in formulas/parse.py. Here a value is the index of its node; each node is made when
 * it is read, so that the nodes are in topological order, as the engine finds them.
 */
class Reader {
  constructor(text, { grammar, ops }) {
    Object.assign(this, { text, grammar, ops, at: 0, nodes: [], values: [], waiting: [] });
    this.leaves = new Map(); // name -> node
    this.numberForm = new RegExp(grammar.number, "y");
  }

  /** The nodes: leaves with a `name`, constants with a number, and { op, operands }. */
  read() {
    this.readValue();
    while (this.readOperator()) this.readValue();
    return this.nodes;
  }

  readValue() {
    const { before } = this.grammar;
    for (;;) {
      const { column, token, kind } = this.next();
      if (Object.hasOwn(before, token)) {
        this.waiting.push(before[token]);
      } else if (token === "(") {
        this.waiting.push({ called: "", column, before: this.values.length });
      } else if (kind === "name" && this.peek() === "(") {
        const known = Object.keys(this.ops).join(", ");
        if (!Object.hasOwn(this.ops, token)) throw this.wrong("function", column, { name: token, known });
        this.next();
        this.waiting.push({ called: token, column, before: this.values.length });
        if (this.peek() === ")") return;
      } else if (kind === "name") {
        this.values.push(this.leaf(token));
        return;
      } else if (kind === "number") {
        const number = Number(token.replaceAll("_", ""));
        if (!Number.isFinite(number)) throw this.wrong("large", column);
        this.values.push(this.add({ constant: true, data: number }));
        return;
      } else {
        throw this.unexpected(token, kind, "value", column);
      }
    }
  }

  readOperator() {
    const { between } = this.grammar;
    for (;;) {
      const { column, token, kind } = this.next();
      if (Object.hasOwn(between, token)) {
        this.applySigns(between[token].binds);
        this.waiting.push(between[token]);
        return true;
      }
      if (![")", ",", ""].includes(token)) throw this.unexpected(token, kind, "operator", column);
      this.applySigns(0);
      const bracket = this.waiting.at(-1);
      if (token === "" && bracket) throw this.wrong("closing", bracket.column);
      if (token === "") return false;
      if (token === "," && bracket?.called) return true;
      if (token === ",") throw this.wrong("comma", column);
      if (!bracket) throw this.wrong("opening", column);
      this.waiting.pop();
      this.close(bracket);
    }
  }

  /** Applies the signs whose right operand ends before an operator that binds like this. */
  applySigns(binds) {
    while (this.waiting.at(-1)?.right > binds) {
      const { op: name, operands } = this.waiting.pop();
      const right = this.values.pop();
      const given = operands === 2 ? [this.values.pop(), right] : [right];
      const isNumber = operands === 1 && this.nodes[right].constant;
      if (name && isNumber) this.nodes[right].data *= -1; // the minus of -2 is part of the number
      this.values.push(name && !isNumber ? this.add({ op: name, operands: given }) : right);
    }
  }

  /** Replaces the values in a function's brackets by its result. */
  close({ called, column, before }) {
    if (!called) return;
    const given = this.values.splice(before);
    const { operands, vectors, defaults, signature } = this.ops[called];
    const missing = vectors ? 0 : operands.length - given.length;
    const fits = vectors
      ? given.length > 0 && given.length % vectors === 0
      : missing >= 0 && missing <= defaults.length;
    if (!fits) {
      const written = given.map(() => "a value").join(", ");
      throw this.wrong("call", column, { signature, name: called, given: written });
    }
    for (const data of defaults.slice(defaults.length - missing)) {
      given.push(this.add({ constant: true, data }));
    }
    this.values.push(this.add({ op: called, operands: given }));
  }

  leaf(name) {
    if (!this.leaves.has(name)) this.leaves.set(name, this.add({ name }));
    return this.leaves.get(name);
  }

  add(node) {
    return this.nodes.push(node) - 1;
  }

  // ---- tokens

  /** The next token: its column, its text, and "number", "name" or another kind; empty at the end. */
  next() {
    if (this.text[this.at] === " ") this.at += 1;
    const column = this.at;
    const forms = [["number", this.numberForm], ["name", NAME], ["sign", /\*\*|[^]|$/uy]];
    for (const [kind, form] of forms) {
      form.lastIndex = column;
      const found = form.exec(this.text);
      if (!found) continue;
      this.at += found[0].length;
      return { column, token: found[0], kind };
    }
  }

  peek() {
    const { at } = this;
    const { token } = this.next();
    this.at = at;
    return token;
  }

  // ---- errors

  unexpected(token, kind, missing, column) {
    if (token === "^") return this.wrong("power", column);
    const isKnown = kind !== "sign" || ["", "(", ")", ","].includes(token) ||
      Object.hasOwn(this.grammar.between, token);
    return this.wrong(isKnown ? missing : "sign", column);
  }

  wrong(message, column, fields) {
    return new Unreadable(worded(this.grammar.messages[message], fields), this.text, column);
  }
}

/** The nodes of an expression; throws Unreadable. */
function readExpression(text, language) {
  const { longest, space, messages } = language.grammar;
  const count = [...text].length;
  if (count > longest) {
    const [given, most] = [count, longest].map((size) => size.toLocaleString("en"));
    throw new Unreadable(worded(messages.long, { count: given, most }));
  }
  const plain = text.replace(new RegExp(space, "g"), " ").replace(/^ | $/g, "");
  return new Reader(plain, language).read();
}

// ---- a lesson

/** x_1, x1: both are shown as x with an index. */
const look = (name) => name.replace(/_(\p{Nd}+)$/u, "$1");

/** Gives every node its own name, as names_of in formulas/names.py does. */
function nameAll(nodes) {
  const wanted = nodes.map(({ name = "" }) => name);
  const taken = new Set(wanted.filter(Boolean).map(look));
  const root = nodes.length - 1;
  if (nodes[root].op && !taken.has("L")) {
    wanted[root] = "L";
    taken.add("L");
  }
  const used = new Set();
  let count = 0;
  nodes.forEach((node, i) => {
    if (node.constant) {
      node.name = format(node.data);
      return;
    }
    if (wanted[i]) {
      node.name = wanted[i];
      for (let k = 2; used.has(look(node.name)) || (k > 2 && taken.has(look(node.name))); k++) {
        node.name = `${wanted[i]}_${k}`;
      }
    } else {
      do node.name = `v${count += 1}`; while (taken.has(node.name) || used.has(node.name));
    }
    used.add(look(node.name));
    node.math = mathName(node.name);
  });
}

/** A name in a formula: x12 and x_12 as x with an index. */
function mathName(name) {
  const [, letter, index] = name.match(/^([A-Za-z])_?([0-9]+)$/) ?? [];
  return letter ? `<msub><mi>${letter}</mi><mn>${index}</mn></msub>` : `<mi>${name}</mi>`;
}

/** The picture of the whole graph: a box for each value, an edge for each operand. */
function wholeView({ nodes, ops }) {
  const places = new Map(); // node -> index of its box
  const edges = [];
  const place = (node) => {
    if (!places.has(node)) places.set(node, places.size);
    return places.get(node);
  };
  nodes.forEach((node, user) => {
    if (!node.op) return;
    const shown = isInline(node, { nodes, ops }) ? node.operands.slice(0, -1) : node.operands;
    const tails = shown.map(place);
    const to = place(user);
    tails.forEach((from, port) => edges.push({ from, to, port, pairs: [[user, port]] }));
  });
  if (!places.size) place(nodes.length - 1); // the root is a leaf
  const boxes = [...places.keys()].map((node) => ({
    kind: nodes[node].constant ? "constant" : "value", node,
  }));
  return { title: WHOLE, parent: null, boxes, edges };
}

/** A lesson from the nodes of an expression, whose leaves have numbers by now. */
function lessonOf(nodes, language) {
  if (nodes.length === 1) delete nodes[0].constant; // a number alone: there is no formula around it
  nameAll(nodes);
  const leaves = [...nodes.keys()].filter((i) => !nodes[i].op && !nodes[i].constant);
  const lesson = {
    ...language, nodes, update: null,
    leafGroups: leaves.length ? [{ title: "inputs", path: "", leaves }] : [],
  };
  computeAll(lesson);
  return { ...lesson, views: [wholeView(lesson)] };
}

/** Gives every node its number, from those of the leaves. */
function computeAll(lesson) {
  const numbers = evaluate(lesson.nodes.map(({ data }) => data), lesson);
  lesson.nodes.forEach((node, i) => { node.data = numbers[i]; });
}
