// The page: one state, `shown`, that the controls change, and `refresh`, which shows it.

const $ = (id) => document.getElementById(id);
const MOST_PATHS = 12;
const LONG = 6; // letters, from which on a leaf's name takes a line of its own
const [SMALLEST, LARGEST] = [0.8, 1.6]; // zoom of the picture

const INITIAL = LESSON.nodes.map(({ data }) => Number(data)); // "Infinity" and "NaN" are texts
const LEAVES = LESSON.nodes.flatMap(({ op, constant }, i) => (op || constant ? [] : [i]));

const shown = {
  mode: "step", // or "predict", "break"
  numbers: [...INITIAL],
  fault: null,
  view: 0,
  stop: 0, // how many stops of the view's tape are behind us
  selected: undefined,
  nudged: undefined,
  playing: 0,
  // what has been asked in predict mode: stop -> "right", "wrong", "revealed"
  answers: new Map(),
};
let passes = play(shown.numbers, null);
let stops = [];
let graph = null;

// ---- the tape of a view: what happens inside a folded box, or out of sight, is one stop

/** Where a step happens: the same text for all that folded boxes, or the rest, keep out of sight. */
function hiddenPlace({ kind, node, user }) {
  const place = graph.placeOf.get(kind === "backward" ? user : node);
  if (place === undefined) return kind === "backward" && graph.placeOf.has(node) ? "" : "outside";
  if (LESSON.views[shown.view].boxes[place].nodes) return `box ${place}`;
  return kind === "backward" && !graph.placeOf.has(node) ? "outside" : "";
}

/** The counts of steps at which the tape stops: what is hidden in one place is one stop. */
function findStops() {
  const places = passes.steps.map(hiddenPlace);
  return places.flatMap((place, i) => (place && place === places[i + 1] ? [] : [i + 1]));
}

const countAt = (stop) => (stop ? stops[stop - 1] : 0);
const stopAt = (count) => {
  const found = stops.findIndex((steps) => steps >= count);
  return count === 0 ? 0 : found < 0 ? stops.length : found + 1;
};

function go(stop) {
  shown.stop = Math.max(0, Math.min(stops.length, stop));
  refresh();
}

/** Computes everything again, after a number or a rule has changed. */
function recompute() {
  const count = countAt(shown.stop);
  passes = play(shown.numbers, shown.fault);
  stops = findStops();
  shown.stop = stopAt(Math.min(count, passes.steps.length));
  if (shown.mode === "predict") skipWhatIsNotAsked();
  refresh();
}

function open(view) {
  const count = countAt(shown.stop);
  shown.view = view;
  graph = new Graph($("graph"), LESSON.views[view], pick);
  stops = findStops();
  shown.stop = shown.mode === "predict" ? 0 : stopAt(count);
  showCrumbs();
  showLeaves();
  fit();
  if (shown.mode === "predict") ask();
  else refresh();
}

/** Opens a view by hand: the box or button that had the focus no longer exists. */
function enter(view) {
  open(view);
  if (shown.mode !== "predict") $("stage").focus({ preventScroll: true });
}

/** Goes to where a node gets its value or, on the way back, its gradient. */
function jump(node, kind) {
  const at = passes.steps.findLastIndex((step) =>
    step.node === node && (kind === "forward" ? step.kind === "forward" : step.kind !== "forward"));
  if (at >= 0) shown.stop = stopAt(at + 1);
}

function pick({ node, view, nodes, output }) {
  if (view !== undefined) {
    enter(view);
    return;
  }
  shown.selected = node ?? output ?? nodes?.[0];
  if (shown.mode !== "predict") {
    const step = passes.steps[countAt(shown.stop) - 1];
    const forward = (!step || step.kind === "forward") && LESSON.nodes[shown.selected].op;
    jump(shown.selected, forward ? "forward" : "backward");
  }
  refresh();
}

// ---- showing

/** Makes the picture as large as its room allows, and leaves the rest to the scroll bars. */
function fit() {
  const { width, height } = LESSON.views[shown.view];
  const room = $("scroller");
  const scale = Math.min((room.clientWidth - 20) / (width + 24), (room.clientHeight - 20) / (height + 34));
  const zoom = Math.max(SMALLEST, Math.min(LARGEST, scale));
  $("graph").setAttribute("width", zoom * (width + 24));
  $("graph").setAttribute("height", zoom * (height + 34));
}

/** Scrolls the picture, and nothing else, to where something happens. */
function follow(node) {
  const box = graph.elementOf(node)?.getBoundingClientRect();
  if (!box) return;
  const room = $("scroller").getBoundingClientRect();
  const beyond = (from, to, start, end) => Math.min(0, from - start - 30) + Math.max(0, to - end + 30);
  $("scroller").scrollBy(
    beyond(box.left, box.right, room.left, room.right),
    beyond(box.top, box.bottom, room.top, room.bottom),
  );
}

function refresh() {
  const count = countAt(shown.stop);
  const step = passes.steps[count - 1];
  const asked = shown.mode === "predict" ? nextQuestion() : undefined;
  const state = stateAfter(passes.steps, count, shown.numbers);
  const largest = Math.max(0, ...visibleNodes().map((i) => Math.abs(passes.grad[i])).filter(isFinite));
  const wrong = shown.fault ? wrongNumbers(state) : undefined;
  graph.paint({
    state, largest, wrong,
    step: asked ?? step,
    asked,
    selected: shown.selected,
    first: shown.fault ? firstWrong(passes) : undefined,
  });
  $("slider").max = stops.length;
  $("slider").value = shown.stop;
  $("slider").setAttribute("aria-valuetext", `${shown.stop} of ${stops.length}`);
  $("first").disabled = $("back").disabled = shown.stop === 0;
  $("last").disabled = $("forward").disabled = shown.stop === stops.length;
  if (asked ?? step) follow((asked ?? step).node);
  showStep(asked ?? step, state, asked);
  showGradients(state);
  showPaths();
  if (shown.mode === "break") showFault();
}

const visibleNodes = () => [...graph.placeOf.keys()];

function wrongNumbers(state) {
  const wrong = new Map();
  const { data, grad, right } = passes;
  for (const i of visibleNodes()) {
    if (state.grad[i] === grad[i] && differs(grad[i], right.grad[i])) wrong.set(i, right.grad[i]);
    else if (state.data[i] === data[i] && differs(data[i], right.data[i])) {
      wrong.set(i, right.data[i]);
    }
  }
  return wrong;
}

function showStep(step, state, asked) {
  const merged = countAt(shown.stop) - countAt(shown.stop - 1);
  $("count").textContent = asked
    ? "What comes next?"
    : `Step ${shown.stop} of ${stops.length}${step ? `: ${phase(step)}` : ""}` +
      (shown.stop && merged > 1 ? ` (the last of ${merged} small steps out of sight)` : "");
  $("rule").hidden = step?.kind !== "backward" || (asked !== undefined);
  if (!step) {
    const words = "Nothing is computed yet: only the leaves have numbers. Press → for the first step.";
    $("sentence").textContent = words;
    $("live").textContent = words;
    return;
  }
  const { lines, text: said } = sentence(step, passes.data, asked !== undefined);
  $("sentence").innerHTML = lines.map((line) => `<p>${math(line)}</p>`).join("");
  if (!lines.length) $("sentence").textContent = said;
  $("live").textContent = said;
  if (!$("rule").hidden) showRule(step);
}

function phase({ kind, node }) {
  const root = LESSON.nodes.length - 1;
  return {
    forward: "forward pass", backward: "backward pass", again: "a second pass",
    update: "the optimizer's step", seed: `backward() begins at ${LESSON.nodes[root].name}`,
  }[kind];
}

function showRule(step) {
  const { title, formula, reason, place, nudge } = ruleOf(step, passes.data);
  const [summary, body] = $("rule").children;
  summary.innerHTML = `Why is ${math(title)}?`;
  if (place) summary.append(` (${place})`);
  body.innerHTML = `<p>${math(formula)}</p><p class="reason"></p><p class="nudge"></p>`;
  body.children[1].textContent = reason;
  const { name } = LESSON.nodes[step.user];
  body.children[2].textContent =
    `Try it: ${LESSON.nodes[step.node].name} + ${format(nudge.h)} changes ${name} by ` +
    `${format(nudge.change)}: a slope of ${format(nudge.slope)}.`;
}

// ---- leaves

function showLeaves() {
  const list = $("leaf-list");
  const inView = LEAVES.filter((i) => graph.placeOf.has(i));
  list.replaceChildren(...inView.map((i) => {
    const item = document.createElement("li");
    item.dataset.node = i;
    item.innerHTML =
      `<span class="name">${math(named(i))}</span>` +
      `<input class="number" inputmode="decimal" autocomplete="off">` +
      `<input class="drag" type="range" step="any">` +
      `<output class="grad"></output><button class="nudge">nudge</button>` +
      `<output class="slope"></output>`;
    const { name, path = "" } = LESSON.nodes[i];
    const words = inWords(i);
    const [label, number, drag, , button] = item.children;
    label.title = path;
    if (name.length > LONG) {
      item.className = "long";
      if (!path) label.textContent = name;
    }
    const reach = Math.max(5, 2 * Math.abs(INITIAL[i])) || 5;
    const bound = Number.isFinite(reach) ? reach : 5;
    [drag.min, drag.max] = [-bound, bound];
    number.setAttribute("aria-label", `${words}, number`);
    drag.setAttribute("aria-label", `${words}, drag`);
    button.setAttribute("aria-label", `nudge ${words} by h`);
    number.addEventListener("input", () => {
      const problem = problemWith(number.value);
      number.setAttribute("aria-invalid", String(problem !== ""));
      $("leaf-problem").textContent = problem;
      if (!problem) setLeaf(i, readNumber(number.value));
    });
    drag.addEventListener("input", () => setLeaf(i, Number(Number(drag.value).toPrecision(3))));
    button.addEventListener("click", () => {
      shown.nudged = shown.nudged === i ? undefined : i;
      refresh();
    });
    return item;
  }));
  $("leaves").hidden = !inView.length;
}

function setLeaf(i, x) {
  shown.numbers[i] = x;
  recompute();
}

/** The leaves' numbers and gradients; and, for one, what a small change does to the root. */
function showGradients(state) {
  for (const item of $("leaf-list").children) {
    const i = Number(item.dataset.node);
    const [, number, drag, grad, button, slope] = item.children;
    if (document.activeElement !== number) {
      number.value = String(Number(shown.numbers[i].toPrecision(6)));
      number.title = String(shown.numbers[i]);
      if (number.getAttribute("aria-invalid") === "true") $("leaf-problem").textContent = "";
      number.removeAttribute("aria-invalid");
    }
    if (document.activeElement !== drag) drag.value = shown.numbers[i];
    grad.textContent = `grad ${known(state.grad[i])}`;
    button.hidden = shown.mode === "predict";
    slope.hidden = shown.nudged !== i || button.hidden;
    if (!slope.hidden) slope.innerHTML = nudgeOf(i);
  }
}

function nudgeOf(i) {
  const problem = problemWith($("h").value);
  const h = readNumber($("h").value);
  if (problem || h === 0) return problem || "h must be a number other than 0.";
  if (!Number.isFinite(passes.data[passes.data.length - 1])) return "The root is no finite number here: there is no slope.";
  const moved = shown.numbers.map((x, k) => (k === i ? x + h : x));
  const root = moved.length - 1;
  const slope = (run(moved, shown.fault).data[root] - passes.data[root]) / h;
  const L = named(root);
  const quotient = `<mfrac>${row(L, op("("), named(i), op("+"), mathNumber(h), op(")"), op("−"), L)}` +
    `${mathNumber(h)}</mfrac>`;
  return `${math(equals(quotient, mathNumber(slope)))} beside the chain rule’s ` +
    `${math(mathNumber(passes.grad[i]))}`;
}

// ---- where a gradient comes from

const shortened = (items) =>
  items.length > 12 ? [...items.slice(0, 6), "<mo>⋯</mo>", ...items.slice(-5)] : items;

function wordsOnPaths(count, listed) {
  if (count === 0) return "No path leads from the root to it: its gradient is 0.";
  if (count === 1) return "One path from the root; along it, the local derivatives are multiplied.";
  return `${count.toLocaleString("en")} paths from the root` +
    `${count > listed ? `, ${listed} of them shown` : ""}; along each, the local derivatives are ` +
    `multiplied, and the paths add up.`;
}

function showPaths() {
  const { selected } = shown;
  const card = $("paths");
  card.hidden = selected === undefined || shown.mode === "predict";
  if (card.hidden) return;
  const [title, body] = card.children;
  const { name } = LESSON.nodes[selected];
  title.textContent = `Where does ${name}.grad come from?`;
  const { partials, grad } = passes.right;
  const { count, paths } = pathsTo(selected, partials, MOST_PATHS);
  const total = grad[selected];
  const rows = paths.map(({ edges, product }) => {
    const chain = [named(LESSON.nodes.length - 1), ...edges.map(([user, position]) =>
      named(LESSON.nodes[user].operands[position]))];
    const slopes = edges.map(([user, position]) => partials[user][position]);
    const factors = slopes.map(slopes.length > 1 ? factor : mathNumber);
    const sides = factors.length > 1
      ? [wrapping(shortened(factors), "×"), math(row(op("="), mathNumber(product)))]
      : [math(mathNumber(product))];
    return `<li>${wrapping(shortened(chain), "→")}<br>${math(op("="))} ${sides.join(" ")}</li>`;
  });
  const terms = paths.map(({ product }, i) => (i ? factor(product) : mathNumber(product)));
  if (count > paths.length) terms.push("<mo>⋯</mo>");
  const isRoot = selected === LESSON.nodes.length - 1;
  body.innerHTML = `<p></p><ol>${isRoot ? "" : rows.join("")}</ol>`;
  body.firstChild.textContent = isRoot
    ? "It is the root: the derivative of a value by itself is 1."
    : wordsOnPaths(count, paths.length);
  if (count > 1) {
    body.insertAdjacentHTML("beforeend", `<p class="sum">` +
      `${math(row(named(selected), text(".grad"), op("=")))} ${wrapping(terms, "+")} ` +
      `${math(row(op("="), mathNumber(total)))}</p>`);
  }
  const buttons = document.createElement("p");
  for (const [words, kind] of [["to its value", "forward"], ["to its gradient", "backward"]]) {
    if (kind === "forward" && !LESSON.nodes[selected].op) continue;
    const button = document.createElement("button");
    button.textContent = words;
    button.addEventListener("click", () => { jump(selected, kind); refresh(); });
    buttons.append(button);
  }
  body.append(buttons);
}

// ---- predict, then reveal

/** The step whose number is asked for; none at the end. */
function nextQuestion() {
  return shown.stop < stops.length ? passes.steps[countAt(shown.stop + 1) - 1] : undefined;
}

const canAsk = (step) =>
  ["forward", "backward"].includes(step.kind) &&
  [step.before, step.after].every(Number.isFinite) &&
  LESSON.views[shown.view].boxes[graph.placeOf.get(step.node)]?.nodes === undefined &&
  graph.placeOf.has(step.node);

function skipWhatIsNotAsked() {
  while (shown.stop < stops.length && !canAsk(nextQuestion())) shown.stop += 1;
}

function ask() {
  skipWhatIsNotAsked();
  $("answer").value = "";
  $("verdict").textContent = "";
  showScore();
  refresh();
  if (shown.stop < stops.length) $("answer").focus({ preventScroll: true });
}

function showScore() {
  const results = [...shown.answers.values()];
  const right = results.filter((result) => result === "right").length;
  const over = shown.stop === stops.length;
  for (const id of ["answer", "check", "reveal"]) $(id).disabled = over;
  $("score").textContent = results.length ? `${right} of ${results.length} right at the first try` : "";
  if (over) {
    $("verdict").textContent = results.length
      ? `That was the last one: ${$("score").textContent}.`
      : "There is nothing to ask here.";
  }
}

function answer(event) {
  event.preventDefault();
  const given = readNumber($("answer").value);
  const step = nextQuestion();
  if (!step) return;
  const problem = problemWith($("answer").value);
  if (problem) {
    $("verdict").textContent = problem;
    return;
  }
  const hint = hintFor(given, step, passes.partials);
  const key = countAt(shown.stop + 1);
  if (hint) {
    shown.answers.set(key, "wrong");
    $("verdict").textContent = hint;
    $("answer").select();
    showScore();
    return;
  }
  if (!shown.answers.has(key)) shown.answers.set(key, "right");
  shown.stop += 1;
  ask();
  if (shown.stop < stops.length) $("verdict").textContent = `Right: ${format(step.after)}. Next:`;
}

function reveal() {
  const step = nextQuestion();
  if (!step) return;
  shown.answers.set(countAt(shown.stop + 1), "revealed");
  shown.stop += 1;
  ask();
  if (shown.stop < stops.length) $("verdict").textContent = `It was ${format(step.after)}. Next:`;
}

// ---- break it

const opsInGraph = [...new Set(LESSON.nodes.flatMap(({ op: name }) => (name ? [name] : [])))];

function listFaults() {
  const choices = [null, ...LESSON.faults].map((fault) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "fault", checked: fault === null });
    input.value = fault?.name ?? "none";
    label.append(input, fault?.title ?? "no bug");
    const applies = !fault || !Object.keys(fault.signs).length ||
      opsInGraph.some((name) => name in fault.signs);
    input.disabled = !applies;
    if (!applies) label.append(" (there is no − here)");
    if (fault?.doubles) label.append(opChoice(fault, input));
    input.addEventListener("change", () => setFault(fault));
    return label;
  });
  $("fault-list").replaceChildren(...choices);
}

/** Which op's forward pass is changed. */
function opChoice(fault, input) {
  const select = document.createElement("select");
  select.setAttribute("aria-label", "the op that is changed");
  for (const name of opsInGraph) select.append(new Option(name));
  fault.op = opsInGraph[0];
  select.addEventListener("change", () => {
    fault.op = select.value;
    input.checked = true;
    setFault(fault);
  });
  return select;
}

function setFault(fault) {
  shown.fault = fault;
  recompute();
}

function showFault() {
  const { fault } = shown;
  const story = $("fault-story");
  story.innerHTML = fault
    ? `<p class="code"><s></s><br><code class="bad"></code></p><p class="story"></p><p class="first"></p>` +
      `<table><thead><tr><th>value</th><th>this engine</th><th>right</th></tr></thead><tbody></tbody></table>`
    : "<p>Choose a bug: the wrong engine runs beside the right one.</p>";
  if (!fault) return;
  story.querySelector("s").textContent = fault.right;
  story.querySelector(".bad").textContent = fault.wrong;
  story.querySelector(".story").textContent = fault.story;
  const at = firstWrong(passes);
  const { data, grad, right } = passes;
  const first = story.querySelector(".first");
  if (passes.steps.length >= MOST_STEPS) {
    first.textContent =
      `The recursion was cut off after ${MOST_STEPS.toLocaleString("en")} steps: it follows each path again from the root.`;
  } else if (at < 0) {
    first.textContent = "Nothing is wrong in this graph: this bug shows only in other graphs.";
  } else {
    const inData = differs(data[at], right.data[at]);
    const [was, should] = inData ? [data[at], right.data[at]] : [grad[at], right.grad[at]];
    const name = `${LESSON.nodes[at].name}.${inData ? "data" : "grad"}`;
    first.textContent = `The first wrong number: ${name} is ${format(was)}, and ${format(should)} is right.`;
  }
  const body = story.querySelector("tbody");
  const rows = [[LESSON.nodes.length - 1, "data"], ...LEAVES.map((i) => [i, "grad"])];
  for (const [i, what] of rows.slice(0, 40)) {
    const cells = [`${LESSON.nodes[i].name}.${what}`, format(passes[what][i]), format(right[what][i])];
    const line = body.insertRow();
    for (const words of cells) line.insertCell().textContent = words;
    if (differs(passes[what][i], right[what][i])) line.className = "bad";
  }
}

// ---- modes, views, keys

function setMode(mode) {
  stop();
  shown.mode = mode;
  for (const name of ["step", "predict", "break"]) {
    $(`mode-${name}`).setAttribute("aria-pressed", String(name === mode));
  }
  document.body.dataset.mode = mode;
  $("question").hidden = mode !== "predict";
  $("tape").hidden = mode === "predict";
  $("faults").hidden = mode !== "break";
  if (mode !== "break" && shown.fault) {
    shown.fault = null;
    listFaults();
  }
  recompute();
  if (mode === "predict") {
    shown.stop = 0;
    shown.answers.clear();
    ask();
  } else {
    refresh();
  }
}

function showCrumbs() {
  const trail = [];
  for (let view = shown.view; view !== null; view = LESSON.views[view].parent) trail.unshift(view);
  $("crumbs").hidden = LESSON.views.length === 1;
  $("crumbs").replaceChildren(...trail.flatMap((view, i) => {
    const button = document.createElement("button");
    button.textContent = LESSON.views[view].title;
    button.disabled = view === shown.view;
    button.addEventListener("click", () => enter(view));
    return i ? [" › ", button] : [button];
  }));
  if (LESSON.views.length > 1 && !trail.slice(1).length) {
    $("crumbs").append(" – a rounded box opens on click");
  }
}

function stop() {
  clearInterval(shown.playing);
  shown.playing = 0;
  $("play").setAttribute("aria-label", "Play");
}

function start() {
  if (shown.stop === stops.length) shown.stop = 0;
  shown.playing = setInterval(() => {
    go(shown.stop + 1);
    if (shown.stop === stops.length) stop();
  }, 1000 / Number($("speed").value));
  $("play").setAttribute("aria-label", "Pause");
}

const toggle = () => (shown.playing ? stop() : start());

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  const onButton = event.target.closest("button, summary");
  if (shown.mode === "predict" || event.altKey || event.ctrlKey || event.metaKey) return;
  if (typing && event.target !== $("slider")) return;
  if (event.key === " " && onButton) return;
  const action = {
    ArrowRight: () => go(shown.stop + 1),
    ArrowLeft: () => go(shown.stop - 1),
    Home: () => go(0),
    End: () => go(stops.length),
    " ": toggle,
  }[event.key];
  if (!action) return;
  event.preventDefault();
  if (event.key !== " ") stop();
  action();
});

/** All steps on paper. */
addEventListener("beforeprint", () => {
  $("all-steps").innerHTML = passes.steps
    .map((step) => sentence(step, passes.data))
    .map(({ lines, text: said }) => `<li>${lines.length ? lines.map(math).join("<br>") : said}</li>`)
    .join("");
});

$("first").addEventListener("click", () => { stop(); go(0); });
$("back").addEventListener("click", () => { stop(); go(shown.stop - 1); });
$("forward").addEventListener("click", () => { stop(); go(shown.stop + 1); });
$("last").addEventListener("click", () => { stop(); go(stops.length); });
$("play").addEventListener("click", toggle);
$("speed").addEventListener("change", () => { if (shown.playing) { stop(); start(); } });
$("slider").addEventListener("input", () => { stop(); go(Number($("slider").value)); });
$("reset").addEventListener("click", () => {
  shown.numbers = [...INITIAL];
  shown.nudged = undefined;
  recompute();
});
$("h").addEventListener("input", refresh);
$("question").addEventListener("submit", answer);
$("reveal").addEventListener("click", reveal);
for (const name of ["step", "predict", "break"]) {
  $(`mode-${name}`).addEventListener("click", () => setMode(name));
}
addEventListener("resize", fit);
listFaults();
open(0);
