// The picture: a view's boxes and edges as SVG, and what they show at a step.

const SVG = "http://www.w3.org/2000/svg";

function make(parent, tag, attributes = {}, content = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = content;
  parent.append(element);
  return element;
}

/** Writes only what has changed: most of a picture stays as it is from step to step. */
function put(element, attribute, value) {
  const known = (element.known ??= {});
  if (known[attribute] === value) return;
  known[attribute] = value;
  if (attribute === "text") element.textContent = value;
  else element.setAttribute(attribute, value);
}

/** The strength of a colour, from 0 to 1, for a number on the scale up to `largest`. */
const strengthOf = (x, largest) => strength(Math.abs(x), largest, LESSON.power);

const MARGIN = { side: 12, below: 22 }; // around the picture, with room for a label below a box
const LETTER = 7.3; // the width of a letter on a label
const CROWDED = 1.5; // lines for each box, from which on those that are not looked at are faint

/** Points on a line, from its middle towards its ends. */
function pointsOn(line) {
  const length = line.getTotalLength();
  return [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8].map((share) => line.getPointAtLength(share * length));
}

const hue = (x) => (!Number.isFinite(x) ? "wild" : x < 0 ? "negative" : "positive");

const overlap = (a, b) =>
  Math.max(0, Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x)) *
  Math.max(0, Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y));

/** Gives a view its size, its boxes their places and its edges their paths. */
function arrange(view) {
  view.boxes = view.boxes.map(sized);
  const { places, curves, tips, width, height } = layOut(view.boxes, view.edges);
  Object.assign(view, { width, height });
  view.boxes.forEach((box, i) => { [box.x, box.y] = places[i]; });
  view.edges.forEach((edge, i) => { edge.path = pathOf(curves[i], tips[i]); });
}

class Graph {
  /** Draws a view; `onPick(box)` is called at a click, or at Enter, on a box. */
  constructor(svg, view, onPick) {
    if (view.width === undefined) arrange(view);
    this.view = view;
    this.svg = svg;
    this.width = view.width + 2 * MARGIN.side;
    this.height = view.height + MARGIN.side + MARGIN.below;
    svg.replaceChildren();
    svg.setAttribute("viewBox", `${-MARGIN.side} ${-MARGIN.side} ${this.width} ${this.height}`);
    const [bundles, lines, boxes, labels] = [0, 1, 2, 3].map(() => make(svg, "g"));
    const found = bundlesOf(view);
    found.forEach((bundle) => this.drawBundle(bundles, bundle));
    const bundled = new Set(found.flatMap(({ edges }) => edges));
    this.edges = view.edges.map((edge, i) => this.drawEdge(lines, edge, bundled.has(i)));
    this.boxes = view.boxes.map((box, i) => this.drawBox(boxes, box, i, onPick));
    this.labels = labels;
    this.chip = this.drawLabel("chip", 18);
    this.corrections = []; // the labels that are shown
    this.lookedAt = {}; // the boxes that are hovered, focused and selected
    const crowded = found.length > 0 || view.edges.length > CROWDED * view.boxes.length;
    svg.classList.toggle("crowded", crowded);
    this.placeOf = new Map(); // node -> index of its box
    view.boxes.forEach(({ node, nodes }, i) => {
      for (const k of nodes ?? [node]) this.placeOf.set(k, i);
    });
    this.expected = expectedSteps();
    this.edgeOf = new Map(); // "user position" -> index of its edge
    view.edges.forEach(({ pairs }, i) => {
      for (const [user, position] of pairs) this.edgeOf.set(`${user} ${position}`, i);
    });
  }

  /** One line for many; the heads show where it leads. */
  drawBundle(parent, { trunk, branches, ends, edges }) {
    const group = make(parent, "g", { class: "lines" });
    make(group, "path", { d: branches });
    make(group, "path", { d: trunk, style: `--width: ${1 + Math.log2(edges.length)}` });
    make(group, "path", { d: ends.map(([x, y]) => `M${x},${y}l-9,-4v8z`).join(""), class: "head" });
  }

  drawEdge(parent, { path }, bundled) {
    const group = make(parent, "g", { class: "edge", "data-bundled": bundled });
    const line = make(group, "path", { d: path, class: "line" });
    const [, x, y] = path.match(/L([-\d.]+),([-\d.]+)$/).map(Number);
    const head = make(group, "path", { d: `M${x},${y}l-9,-4v8z`, class: "head" });
    return { group, line, head };
  }

  /** A text above all boxes, on a ground of its own. */
  drawLabel(name, height) {
    const group = make(this.labels, "g", { class: name, visibility: "hidden" });
    const ground = make(group, "rect", { rx: height / 2, y: -height / 2, height });
    return { group, ground, words: make(group, "text", { y: 4, "text-anchor": "middle" }), height };
  }

  /** Writes a label around the one of some points where it hides the least. */
  showLabel(label, words, points) {
    const [w, h] = [LETTER * words.length + 12, label.height];
    const picture = { x: -MARGIN.side, y: -MARGIN.side, w: this.width, h: this.height };
    const taken = [...this.view.boxes, ...this.corrections.map(({ place }) => place)];
    const cost = (place) =>
      w * h - overlap(place, picture) + taken.reduce((sum, box) => sum + overlap(place, box), 0);
    const places = points(w, h).map(([x, y]) => ({ x: x - w / 2, y: y - h / 2, w, h }));
    const costs = places.map(cost);
    label.place = places[costs.indexOf(Math.min(...costs))];
    put(label.words, "text", words);
    put(label.ground, "x", -w / 2);
    put(label.ground, "width", w);
    put(label.group, "transform", `translate(${label.place.x + w / 2},${label.place.y + h / 2})`);
    put(label.group, "visibility", "visible");
  }

  drawBox(parent, box, i, onPick) {
    const { kind, x, y, w, h, pill = 0, title = "", rows = [] } = box;
    const group = make(parent, "g", {
      class: `box ${kind}`, transform: `translate(${x},${y})`, tabindex: 0, role: "button",
    });
    const drawn = { group };
    const { path } = LESSON.nodes[box.node] ?? {};
    if (path) make(group, "title", {}, path);
    drawn.frame = make(group, "rect", {
      width: w, height: h, rx: kind === "value" || kind === "outside" ? 5 : 12, class: "frame",
    });
    if (pill) {
      const tab = `M${pill},1H5A4,4 0 0 0 1,5V${h - 5}A4,4 0 0 0 5,${h - 1}H${pill}`;
      make(group, "path", { d: tab, class: "pill" });
      make(group, "text", {
        x: pill / 2, y: h / 2 + 5, "text-anchor": "middle", class: "sign",
      }, signOf(box.node));
    }
    const middle = (pill + w) / 2;
    if (kind === "constant") {
      drawn.data = make(group, "text", { x: w / 2, y: h / 2 + 5, "text-anchor": "middle" });
    } else {
      make(group, "text", { x: middle, y: 17, "text-anchor": "middle", class: "title" }, title);
      rows.forEach((words, i) => {
        make(group, "text", { x: middle, y: 34 + 17 * i, "text-anchor": "middle", class: "row" }, words);
      });
    }
    if (kind === "value" || kind === "outside" || box.output !== undefined) {
      const top = 34 + 17 * rows.length;
      ["data", "grad"].forEach((label, i) => {
        make(group, "text", { x: pill + 9, y: top + 17 * i, class: "label" }, label);
        drawn[label] = make(group, "text", {
          x: w - 9, y: top + 17 * i, "text-anchor": "end", class: "number",
        });
      });
    }
    for (const [kind, begin, end] of [
      ["hovered", "pointerenter", "pointerleave"], ["focused", "focus", "blur"],
    ]) {
      group.addEventListener(begin, () => this.look(kind, i));
      group.addEventListener(end, () => this.look(kind, undefined));
    }
    group.addEventListener("click", () => onPick(box));
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter") onPick(box);
    });
    return drawn;
  }

  /** Shows the lines of the boxes that are looked at one by one, and in a crowd the others faintly. */
  look(kind, i) {
    this.lookedAt[kind] = i;
    const boxes = Object.values(this.lookedAt);
    this.svg.classList.toggle("looking", boxes.some((box) => box !== undefined));
    this.view.edges.forEach(({ from, to }, k) =>
      put(this.edges[k].group, "data-looked", boxes.includes(from) || boxes.includes(to)));
  }

  /** Shows a state: `step` is the one just taken, `asked` the node whose number is asked for. */
  paint({ state, step, asked, selected, largest, wrong, first }) {
    const active = step?.kind === "backward" ? this.edgeOf.get(`${step.user} ${step.position}`) : -1;
    const points = active >= 0 ? pointsOn(this.edges[active].line) : []; // before anything is written
    this.corrections = [];
    this.view.boxes.forEach((box, i) => this.paintBox(this.boxes[i], box, {
      state, asked, largest, wrong,
      active: step && [step.node, step.user].some((k) => this.placeOf.get(k) === i),
      selected: selected !== undefined && this.placeOf.get(selected) === i,
      first: first !== undefined && this.placeOf.get(first) === i,
    }));
    this.view.edges.forEach((edge, i) => {
      const arriving = step?.kind === "forward" && this.placeOf.get(step.node) === edge.to;
      const flows = edge.pairs
        .map(([user, position]) => state.flows.get(`${user} ${position}`))
        .filter((flow) => flow !== undefined);
      const flow = flows.reduce((sum, x) => sum + x, 0);
      const parts = this.edges[i];
      const tone = flows.length && flow !== 0 ? hue(flow) : "";
      put(parts.group, "class", ["edge", tone, i === active || arriving ? "active" : "",
        i === active ? "back" : ""].join(" "));
      const width = flows.length ? 1 + 4 * strengthOf(flow, largest) : 1;
      put(parts.line, "style", `--width: ${i === active ? Math.max(3, width) : width}`);
    });
    this.look("selected", this.placeOf.get(selected));
    this.showChip(active, points, step, asked);
  }

  paintBox(drawn, box, { state, asked, largest, wrong, active, selected, first }) {
    const shown = box.output ?? box.node;
    const classes = ["box", box.kind];
    if (active) classes.push("active");
    if (selected) classes.push("selected");
    let name = box.title ?? "";
    if (shown !== undefined) {
      const { data, grad, arrived } = state;
      const asking = asked?.node === shown;
      const number = asking && asked.kind === "forward" ? "?" : known(data[shown]);
      put(drawn.data, "text", number);
      if (box.kind !== "constant") put(drawn.data, "class", number === "?" ? "number asked" : "number");
      const node = LESSON.nodes[shown];
      name = `${inWords(shown)}, data ${number}`;
      if (data[shown] === undefined) classes.push("waiting");
      if (drawn.grad) {
        const gradient = asking && asked.kind !== "forward" ? "?" : known(grad[shown]);
        put(drawn.grad, "text", gradient);
        put(drawn.grad, "class", gradient === "?" ? "number asked" : "number");
        name += `, grad ${gradient}`;
        if (arrived[shown] && arrived[shown] < this.expected[shown]) classes.push("partial");
        const g = grad[shown];
        const share = g === undefined ? 0 : Math.round(100 * strengthOf(g, largest));
        put(drawn.frame, "style", share
          ? `fill: color-mix(in srgb, var(--${hue(g)}) ${share}%, var(--box))` : "");
      }
      const correction = wrong?.get(shown);
      if (correction !== undefined) {
        classes.push("wrong");
        name += `, ✗ right: ${format(correction)}`;
      }
      this.showCorrection(drawn, box, correction);
    }
    if (first) classes.push("first");
    put(drawn.group, "class", classes.join(" "));
    put(drawn.group, "aria-label", name);
  }

  /** The right number, below a box that has a wrong one, or where there is room beside it. */
  showCorrection(drawn, { x, y, w, h }, correction) {
    if (correction === undefined) {
      if (drawn.right) put(drawn.right.group, "visibility", "hidden");
      return;
    }
    drawn.right ??= this.drawLabel("right", 17);
    const [middle, center] = [x + w / 2, y + h / 2];
    this.showLabel(drawn.right, `✗ right: ${format(correction)}`, (width, height) => [
      [middle, y + h + height / 2], [middle, y - height / 2],
      [x + w + width / 2, center], [x - width / 2, center],
    ]);
    this.corrections.push(drawn.right);
  }

  /** The gradient that flows back along an edge, written near one of some points on it, or above or
   * below a box at its end.
   */
  showChip(index, points, step, asked) {
    if (!(index >= 0)) {
      put(this.chip.group, "visibility", "hidden");
      return;
    }
    const ends = [this.view.edges[index].to, this.view.edges[index].from];
    this.showLabel(this.chip, asked ? "?" : format(step.flow), (width, height) => [
      ...points.flatMap(({ x, y }) =>
        [-14, 14, 0, -27, 27, -40, 40, -54, 54].map((down) => [x, y + down])),
      ...ends.flatMap((end) => {
        const { x, y, w, h } = this.view.boxes[end];
        const [above, below] = [y - 1 - height / 2, y + h + 1 + height / 2];
        return [x + w - width / 2, x + width / 2].flatMap((at) => [[at, above], [at, below]]);
      }),
    ]);
  }

  /** Where a node is shown, to scroll there. */
  elementOf(node) {
    return this.boxes[this.placeOf.get(node)]?.group;
  }
}

const known = (x) => (x === undefined ? "–" : format(x));
