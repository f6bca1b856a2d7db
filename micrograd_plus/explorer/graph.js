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

const hue = (x) => (!Number.isFinite(x) ? "wild" : x < 0 ? "negative" : "positive");

/** Gives a view its size, its boxes their places and its edges their paths. */
function arrange(view) {
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
    svg.replaceChildren();
    svg.setAttribute("viewBox", `-12 -12 ${view.width + 24} ${view.height + 34}`);
    const below = make(svg, "g");
    const above = make(svg, "g");
    this.edges = view.edges.map((edge) => this.drawEdge(below, edge));
    this.boxes = view.boxes.map((box) => this.drawBox(above, box, onPick));
    this.chip = make(svg, "g", { class: "chip", visibility: "hidden" });
    this.chipFrame = make(this.chip, "rect", { rx: 9, height: 20, y: -14 });
    this.chipText = make(this.chip, "text", { "text-anchor": "middle" });
    this.placeOf = new Map(); // node -> index of its box
    view.boxes.forEach(({ node, nodes }, i) => {
      for (const k of nodes ?? [node]) this.placeOf.set(k, i);
    });
    this.edgeOf = new Map(); // "user position" -> index of its edge
    view.edges.forEach(({ pairs }, i) => {
      for (const [user, position] of pairs) this.edgeOf.set(`${user} ${position}`, i);
    });
  }

  drawEdge(parent, { path }) {
    const group = make(parent, "g", { class: "edge" });
    const line = make(group, "path", { d: path, class: "line" });
    const [, x, y] = path.match(/L([-\d.]+),([-\d.]+)$/).map(Number);
    const head = make(group, "path", { d: `M${x},${y}l-9,-4v8z`, class: "head" });
    return { group, line, head };
  }

  drawBox(parent, box, onPick) {
    const { kind, x, y, w, h, pill = 0, title = "", rows = [] } = box;
    const group = make(parent, "g", {
      class: `box ${kind}`, transform: `translate(${x},${y})`, tabindex: 0, role: "button",
    });
    const drawn = { group };
    drawn.frame = make(group, "rect", {
      width: w, height: h, rx: kind === "value" || kind === "outside" ? 5 : 12, class: "frame",
    });
    if (pill) {
      const sign = LESSON.nodes[box.node].sign;
      const tab = `M${pill},1H5A4,4 0 0 0 1,5V${h - 5}A4,4 0 0 0 5,${h - 1}H${pill}`;
      make(group, "path", { d: tab, class: "pill" });
      make(group, "text", {
        x: pill / 2, y: h / 2 + 5, "text-anchor": "middle", class: "sign",
      }, sign);
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
    drawn.right = make(group, "text", {
      x: middle, y: h + 12, "text-anchor": "middle", class: "right",
    });
    group.addEventListener("click", () => onPick(box));
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter") onPick(box);
    });
    return drawn;
  }

  /** Shows a state: `step` is the one just taken, `asked` the node whose number is asked for. */
  paint({ state, step, asked, selected, largest, wrong, first }) {
    this.view.boxes.forEach((box, i) => this.paintBox(this.boxes[i], box, {
      state, asked, largest, wrong,
      active: step && [step.node, step.user].some((k) => this.placeOf.get(k) === i),
      selected: selected !== undefined && this.placeOf.get(selected) === i,
      first: first !== undefined && this.placeOf.get(first) === i,
    }));
    const active = step?.kind === "backward" ? this.edgeOf.get(`${step.user} ${step.position}`) : -1;
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
      put(parts.line, "style", `stroke-width: ${i === active ? Math.max(3, width) : width}`);
    });
    this.showChip(active, step, asked);
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
      name = `${node.name}, data ${number}`;
      if (data[shown] === undefined) classes.push("waiting");
      if (drawn.grad) {
        const gradient = asking && asked.kind !== "forward" ? "?" : known(grad[shown]);
        put(drawn.grad, "text", gradient);
        put(drawn.grad, "class", gradient === "?" ? "number asked" : "number");
        name += `, grad ${gradient}`;
        if (arrived[shown] && arrived[shown] < EXPECTED[shown]) classes.push("partial");
        const g = grad[shown];
        const share = g === undefined ? 0 : Math.round(100 * strengthOf(g, largest));
        put(drawn.frame, "style", share
          ? `fill: color-mix(in srgb, var(--${hue(g)}) ${share}%, var(--box))` : "");
      }
      const correction = wrong?.get(shown);
      if (correction !== undefined) classes.push("wrong");
      put(drawn.right, "text", correction === undefined ? "" : `✗ right: ${format(correction)}`);
    }
    if (first) classes.push("first");
    put(drawn.group, "class", classes.join(" "));
    put(drawn.group, "aria-label", name);
  }

  /** The gradient that flows back along an edge, written on it. */
  showChip(index, step, asked) {
    put(this.chip, "visibility", index >= 0 && index !== undefined ? "visible" : "hidden");
    if (!(index >= 0)) return;
    const { line } = this.edges[index];
    const { x, y } = line.getPointAtLength(line.getTotalLength() / 2);
    const words = asked ? "?" : format(step.flow);
    const width = 8 * words.length + 18;
    put(this.chipText, "text", words);
    put(this.chipFrame, "width", width);
    put(this.chipFrame, "x", -width / 2);
    put(this.chip, "transform", `translate(${x},${y - 12})`);
  }

  /** Where a node is shown, to scroll there. */
  elementOf(node) {
    return this.boxes[this.placeOf.get(node)]?.group;
  }
}

const known = (x) => (x === undefined ? "–" : format(x));
