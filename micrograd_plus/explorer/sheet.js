// The sheet: a graph and the steps of both passes on paper, with all numbers or with blanks.
//
// Everything fits into the margins of A4 and of US Letter. A picture is never so small that its
// text cannot be read: one that is too wide even for a page on its side is cut into parts.

const PAPER = { short: 700, long: 960, head: 130 }; // pixels inside the margins; head: the title
const TEXT = { drawn: 12, least: 8 * 4 / 3, most: 10 * 4 / 3 }; // pixels; 8 and 10 points
const EDGE = 12; // around a part of a picture
const MOST_PARTS = 12; // of all pictures
const MOST_OF_A_PASS = 200; // of a pass
const LONG_NAME = 14; // letters
const LONG_TERM = 36; // letters, from which on the text in brackets may be broken

/** Fills an element with a sheet: the "worksheet" or the "solution" for the leaves' numbers. */
function fillSheet(sheet, kind, numbers = numbersOfLesson(), training = beginning()) {
  const passes = play(numbers, null, training);
  const blank = kind === "worksheet";
  const views = LESSON.views.slice(0, MOST_PARTS);
  for (const view of views) if (view.width === undefined) arrange(view);
  const [parts, isWide] = paged(views);
  sheet.className = `sheet ${kind} ${isWide ? "wide" : ""}`;
  sheet.innerHTML =
    `<div class="head"><h1></h1><p></p></div><p class="task"></p><div class="figures"></div>`;
  sheet.querySelector("h1").textContent = document.title;
  sheet.querySelector(".head p").innerHTML = blank
    ? `Name <span class="blank"></span> Date <span class="blank short"></span>` : "Solution";
  sheet.querySelector(".task").textContent = blank
    ? "Fill in the blanks: first the forward pass, from the leaves to the end; then the gradients, " +
      "from the end back to the leaves. A gradient is the derivative of " +
      `${LESSON.nodes.at(-1).name} by a value.`
    : "A gradient that flows back along a line: solid if it is positive, dashed if it is negative; " +
      "the wider the line, the larger the gradient.";
  const figures = sheet.querySelector(".figures");
  addFigures(figures, parts.slice(0, MOST_PARTS), passes, numbers, blank);
  if (parts.length > MOST_PARTS || LESSON.views.length > MOST_PARTS) {
    figures.append(note(`These are the first ${MOST_PARTS} pictures; the page on the screen has more.`));
  }
  let first = 1;
  for (const [title, steps] of sections(passes.steps)) {
    sheet.append(sectionOf(title, steps, first, passes, blank));
    first += steps.length;
  }
}

function note(words) {
  const paragraph = document.createElement("p");
  paragraph.className = "note";
  paragraph.textContent = words;
  return paragraph;
}

// ---- the pictures

/** Adds the parts of the pictures, with blanks or with the numbers of both passes. */
function addFigures(figures, parts, passes, numbers, blank) {
  const after = passes.steps.findLastIndex(({ kind }) => kind === "backward" || kind === "seed");
  const state = stateAfter(passes.steps, blank ? 0 : after + 1, numbers);
  const largest = Math.max(0, ...passes.grad.map(Math.abs).filter(Number.isFinite));
  for (const part of parts) figures.append(figureOf(part, state, largest, parts.length > 1));
}

/** What is between two places, cut into stretches of at most `most`; no cut goes through a box.
 *
 * Where boxes leave no room for a cut, a stretch begins before the other ends, and both show what
 * is there. spans: where boxes begin and end.
 */
function stretches(from, to, most, spans) {
  const across = (at) => spans.filter(([start, end]) => start < at && end > at).map(([start]) => start);
  const found = [];
  while (to - from > most) {
    let end = from + most;
    while (across(end).length && end > from + most / 2) end = Math.min(...across(end)) - EDGE;
    if (across(end).length) {
      end = from + most;
      found.push([from, end]);
      from = Math.max(from + most / 2, Math.min(...across(end)) - EDGE);
    } else {
      found.push([from, end]);
      from = end;
    }
  }
  return spans.some(([, end]) => end > from) ? [...found, [from, to]] : found;
}

/** How far boxes and lines reach up and down, between a left and a right. */
function reachOf({ boxes, edges }, left, right) {
  const heights = boxes.flatMap(({ x, y, w, h }) => (x < right && x + w > left ? [y, y + h] : []));
  for (const { path } of edges) {
    const numbers = path.match(/-?[\d.]+/g).map(Number);
    for (let i = 2; i < numbers.length; i += 2) { // the curve keeps near the lines between its points
      const [[x0, y0], [x1, y1]] = [numbers.slice(i - 2, i), numbers.slice(i, i + 2)].sort((p, q) => p[0] - q[0]);
      if (x1 < left || x0 > right) continue;
      const at = (x) => (x1 > x0 ? y0 + (y1 - y0) * Math.max(0, Math.min(1, (x - x0) / (x1 - x0))) : y1);
      heights.push(at(left), at(right));
    }
  }
  return [Math.min(...heights) - EDGE, Math.max(...heights) + EDGE];
}

/** The parts of a picture that each fit on a page of this size, as large as they may be. */
function partsOf(view, across, down) {
  const { width, boxes, title } = view;
  const least = TEXT.least / TEXT.drawn;
  const columns = stretches(-EDGE, width + EDGE, across / least, boxes.map(({ x, w }) => [x, x + w]));
  const parts = columns.flatMap(([left, right]) => {
    const inside = boxes.filter(({ x, w }) => x < right && x + w > left);
    const rows = stretches(
      ...reachOf(view, left, right), down / least, inside.map(({ y, h }) => [y, y + h]));
    return rows.map(([top, bottom]) => ({ view, left, right, top, bottom }));
  });
  const scale = Math.min(TEXT.most / TEXT.drawn, ...parts.map(({ left, right, top, bottom }) =>
    Math.min(across / (right - left), down / (bottom - top))));
  return parts.map((part, i) => ({
    ...part, scale,
    title: parts.length > 1 ? `${title}, part ${i + 1} of ${parts.length}` : title,
  }));
}

/** The parts of all pictures on upright pages, or on pages on their side if there are fewer then. */
function paged(views) {
  const { short, long, head } = PAPER;
  const upright = views.flatMap((view) => partsOf(view, short, long - head));
  const wide = views.flatMap((view) => partsOf(view, long, short - head));
  return wide.length < upright.length ? [wide, true] : [upright, false];
}

function figureOf({ view, left, right, top, bottom, scale, title }, state, largest, isNamed) {
  const figure = document.createElement("figure");
  if (isNamed) figure.append(Object.assign(document.createElement("figcaption"), { textContent: title }));
  const svg = make(figure, "svg", { class: "graph" });
  const graph = new Graph(svg, view, () => {});
  graph.paint({ state, largest });
  svg.setAttribute("viewBox", `${left} ${top} ${right - left} ${bottom - top}`);
  svg.setAttribute("width", scale * (right - left));
  svg.setAttribute("height", scale * (bottom - top));
  view.boxes.forEach(({ x, y, w, h }, i) => {
    const { group } = graph.boxes[i];
    group.removeAttribute("tabindex");
    group.setAttribute("role", "img");
    if (x < left || x + w > right || y < top || y + h > bottom) group.remove();
  });
  for (const number of svg.querySelectorAll(".number")) {
    if (number.textContent === known(undefined)) makeBlank(number);
  }
  return figure;
}

/** A line to write on, in place of a number. */
function makeBlank(number) {
  const [end, y] = [Number(number.getAttribute("x")), Number(number.getAttribute("y")) + 3];
  const label = number.previousSibling;
  const start = Number(label.getAttribute("x")) + TEXT.drawn * 0.65 * label.textContent.length;
  make(number.parentNode, "path", { d: `M${start},${y}H${end}`, class: "blank" });
  number.remove();
}

// ---- the steps

const titleOf = ({ kind, second, rate }) =>
  second ? "Second forward pass" : {
    forward: "Forward pass", seed: "Backward pass", backward: "Backward pass",
    update: `${LESSON.update?.optimizer} with lr ${format(rate)}`,
  }[kind];

/** The steps under their titles, in order. */
function sections(steps) {
  const found = [];
  for (const step of steps) {
    const title = titleOf(step);
    if (found.at(-1)?.[0] !== title) found.push([title, []]);
    found.at(-1)[1].push(step);
  }
  return found;
}

function sectionOf(title, steps, first, { data, nextData }, blank) {
  const section = document.createElement("section");
  section.innerHTML = `<h2></h2><ol start="${first}"></ol>`;
  const [heading, list] = section.children;
  const expected = expectedSteps();
  heading.textContent = `${title}: ${steps.length} ${steps.length === 1 ? "step" : "steps"}`;
  for (const step of steps.slice(0, MOST_OF_A_PASS)) {
    const item = document.createElement("li");
    const lines = blank
      ? toFillIn(step, expected[step.node] > 1)
      : solved(step, step.second ? nextData : data);
    item.append(...lines.map(wrapped));
    list.append(item);
  }
  if (steps.length > MOST_OF_A_PASS) {
    section.append(note(`The first ${MOST_OF_A_PASS} of ${steps.length} steps; the others go the same way.`));
  }
  return section;
}

const BLANK = `<mspace class="blank"></mspace>`;

/** A step as formulas with names, and with blanks for its numbers.
 *
 * isPart: whether other steps add to the same gradient.
 */
function toFillIn(step, isPart) {
  const { kind, node } = step;
  const { lines } = sentence(step, [], true);
  if (kind === "update") {
    const given = (step.old ?? []).map((x, i) =>
      equals(`<mi>${LESSON.update.remembered[i]}</mi>`, mathNumber(x)));
    return [...given, ...lines.map(([formula]) => equals(formula, BLANK))];
  }
  if (kind === "reward") return [row(text("loss&#xA0;"), BLANK, op("→"), BLANK)];
  const formula = equals(...[lines[0]].flat()).replaceAll(op("?"), BLANK);
  if (kind !== "backward") return [formula];
  const numbers = row(op("="), equals(row(BLANK, op("×"), BLANK), BLANK));
  const sum = isPart ? [equals(grad(node), BLANK)] : [];
  return [formula, numbers, ...sum];
}

/** A step with all its numbers, and the rule of its local derivative. */
function solved(step, data) {
  const { lines } = sentence(step, data);
  return step.kind === "backward" ? [...lines, ruleOf(step, data).title] : lines;
}

const RELATIONS = new Set(["=", "+=", "←", "→"]);
const SIGNS = new Set([...RELATIONS, "+", "−", "×", "·"]);

/** A sentence's line, broken where it is too long: before a relation, or else before a sign. */
function wrapped(sides) {
  const holder = document.createElement("template");
  holder.innerHTML = `<math>${[sides].flat().join(op("="))}</math>`;
  const parts = flattened([...holder.content.firstChild.children]);
  const line = document.createElement("p");
  let [side, term] = [null, null];
  const begin = (parent) => {
    const span = document.createElement("span");
    parent.append(span, " ");
    return span;
  };
  parts.forEach((part, i) => {
    const sign = part.localName === "mo" && i > 0 && parts[i - 1].localName !== "mo" ? part.textContent : "";
    if (!side || RELATIONS.has(sign)) [side, term] = [begin(line), null];
    if (!term || SIGNS.has(sign) || parts[i - 1].textContent === ",") {
      term = begin(side);
      term.append(document.createElementNS("http://www.w3.org/1998/Math/MathML", "math"));
    }
    if (SIGNS.has(sign)) part.setAttribute("form", "infix");
    if (part.classList.contains("blank")) begin(term).className = "blank";
    else term.firstChild.append(part);
  });
  for (const name of line.querySelectorAll("mi, mtext")) {
    const words = name.textContent.trim();
    if (words.length > LONG_NAME) name.textContent = `…${words.slice(1 - LONG_NAME)}`;
  }
  return line;
}

/** The parts of a formula, out of rows within rows; what begins with a sign or bracket stays whole. */
const flattened = (parts) => parts.flatMap((part) =>
  part.localName === "mrow" &&
  (part.firstElementChild?.localName !== "mo" || part.textContent.length > LONG_TERM)
    ? flattened([...part.children]) : [part]);
