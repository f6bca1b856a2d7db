// The page: one state, `shown`, that the controls change, and `refresh`, which shows it.

const $ = (id) => document.getElementById(id);
const MOST_PATHS = 12;
const ZOOM = 1.25; // by which a button or a key zooms
const PAN = 0.25; // of the window, by which a key moves the picture

const shown = {
  mode: "step", // or "predict", "break"
  numbers: [],
  training: {},
  fault: null,
  view: 0,
  stop: 0, // how many stops of the view's tape are behind us
  selected: undefined,
  nudged: undefined,
  playing: 0,
  // what has been asked in predict mode: stop -> "right", "wrong", "revealed"
  answers: new Map(),
};
let passes = null;
let stops = [];
let graph = null;
let followed = undefined; // the stop whose step the picture was last moved to
const viewport = new Viewport($("scroller"), $("graph"), $("map"), (out, into) => {
  $("zoom-out").disabled = !out;
  $("zoom-in").disabled = !into;
});

/** Begins a lesson, from its first step. */
function begin(lesson) {
  stop();
  LESSON = lesson;
  LEAVES = lesson.leafGroups.flatMap(({ leaves }) => leaves);
  leafList.opened.clear();
  leafList.rows.clear();
  $("leaf-search").value = "";
  $("paths").selected = undefined;
  Object.assign(shown, {
    stop: 0, selected: undefined, nudged: undefined, fault: null, ...atTheStart(),
  });
  passes = play(shown.numbers, null, shown.training);
  stops = [];
  listFaults();
  open(0);
  if (shown.mode !== "step") setMode("step");
}

const atTheStart = () => ({ numbers: numbersOfLesson(), training: beginning() });

// ---- the tape of a view: what happens inside a folded box, or out of sight, is one stop

/** Where a step happens: the same text for all that folded boxes, or the rest, keep out of sight. */
function hiddenPlace({ kind, node, user }) {
  if (kind === "reward") return "";
  const place = graph.placeOf.get(kind === "backward" ? user : node);
  if (place === undefined) return kind === "backward" && graph.placeOf.has(node) ? "" : "outside";
  if (LESSON.views[shown.view].boxes[place].nodes) return `box ${place}`;
  return kind === "backward" && !graph.placeOf.has(node) ? "outside" : "";
}

/** The counts of steps at which the tape stops: what is hidden in one place is one stop. */
function findStops() {
  const places = passes.steps.map((step) => {
    const place = hiddenPlace(step);
    return place && `${place} ${step.kind === "update"} ${step.second}`;
  });
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

/** Computes everything again, after a number or a rule has changed, and shows it. */
function recompute() {
  replay();
  refresh();
}

function replay() {
  const count = countAt(shown.stop);
  passes = play(shown.numbers, shown.fault, shown.training);
  stops = findStops();
  shown.stop = stopAt(Math.min(count, passes.steps.length));
  if (shown.mode === "predict") skipWhatIsNotAsked();
}

function open(view) {
  const count = countAt(shown.stop);
  shown.view = view;
  graph = new Graph($("graph"), LESSON.views[view], pick);
  stops = findStops();
  shown.stop = shown.mode === "predict" ? 0 : stopAt(count);
  showCrumbs();
  showLeaves();
  viewport.show(graph);
  followed = undefined;
  if (shown.mode === "predict") ask();
  else refresh();
}

/** Opens a view by hand: the box or button that had the focus no longer exists. */
function enter(view) {
  open(view);
  if (shown.mode !== "predict") $("stage").focus({ preventScroll: true });
}

/** Goes to where a node gets its value, its gradient, or is moved by the optimizer. */
function jump(node, kind) {
  const isSecond = passes.steps[countAt(shown.stop) - 1]?.second;
  const at = passes.steps.findLastIndex((step) => step.node === node && {
    forward: step.kind === "forward" && step.second === isSecond,
    backward: step.kind === "backward" || step.kind === "seed",
    update: step.kind === "update",
  }[kind]);
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
    const isComputed = LESSON.nodes[shown.selected].op !== undefined;
    const isForward = !step || step.kind === "forward" || step.second;
    if (isComputed && isForward) jump(shown.selected, "forward");
    else if (!isComputed && (step?.kind === "update" || step?.second)) jump(shown.selected, "update");
    else jump(shown.selected, "backward");
  }
  refresh();
}

// ---- showing

/** Moves the picture to a step, once: what else changes on the page does not move it. */
function follow({ node, user }) {
  if (followed !== shown.stop) {
    followed = shown.stop;
    viewport.follow([node, user].map((k) => graph.elementOf(k)).filter((element) => element));
  }
  viewport.frame();
  viewport.mark([node, user].map((k) => graph.placeOf.get(k)));
}

function fit() {
  viewport.fit();
  followed = undefined;
  refresh();
}

/** Shows the state. What asks where things are comes first: when something has been written, the
 * browser answers only after it has laid out the page again.
 */
function refresh() {
  const count = countAt(shown.stop);
  const step = passes.steps[count - 1];
  const asked = shown.mode === "predict" ? nextQuestion() : undefined;
  const state = stateAfter(passes.steps, count, shown.numbers);
  const largest = Math.max(0, ...visibleNodes().map((i) => Math.abs(passes.grad[i])).filter(isFinite));
  const wrong = shown.fault ? wrongNumbers(state) : undefined;
  const room = roomOfCurve();
  follow(asked ?? step ?? passes.steps[0]);
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
  showStep(asked ?? step, state, asked);
  showGradients(state);
  showTraining(room);
  showPaths();
  if (shown.mode === "break") showFault();
  document.dispatchEvent(new Event("refreshed"));
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
      (shown.stop && merged > 1 ? ` (the last of ${merged} small steps out of sight)` : "") +
      (passes.next ? ` · training step ${shown.training.losses.length + 1}` : "");
  $("rule").hidden = step?.kind !== "backward" || (asked !== undefined);
  if (!step) {
    const words = "Nothing is computed yet: only the leaves have numbers. Press → for the first step.";
    $("sentence").textContent = words;
    $("live").textContent = words;
    return;
  }
  const data = step.second ? passes.nextData : passes.data;
  const { lines, text: said, words = "" } = sentence(step, data, asked !== undefined);
  $("sentence").innerHTML = lines.map((line) => `<p>${mathLine(line)}</p>`).join("");
  $("sentence").classList.toggle("several", lines.length > 2);
  if (!lines.length) $("sentence").textContent = said;
  if (words) $("sentence").insertAdjacentHTML("beforeend", `<p class="words">${words}</p>`);
  $("live").textContent = said;
  if (!$("rule").hidden) showRule(step);
}

function phase({ kind, second }) {
  const root = LESSON.nodes.length - 1;
  return {
    forward: second ? "second forward pass" : "forward pass", reward: "the loss after the step",
    backward: "backward pass", again: "a second pass",
    update: "the optimizer's step", seed: `backward() begins at ${LESSON.nodes[root].name}`,
  }[kind];
}

function showRule(step) {
  const { title, formula, reason, place, nudge } = ruleOf(step, passes.data);
  const [summary, body] = $("rule").children;
  summary.innerHTML = `Why is ${math(title)}?`;
  if (place) summary.append(` (${place})`);
  body.innerHTML = `<p>${mathLine(formula)}</p><p class="reason"></p><p class="nudge"></p>`;
  body.children[1].textContent = reason;
  const { name } = LESSON.nodes[step.user];
  body.children[2].textContent =
    `Try it: ${LESSON.nodes[step.node].name} + ${format(nudge.h)} changes ${name} by ` +
    `${format(nudge.change)}: a slope of ${format(nudge.slope)}.`;
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
  if (card.hidden || (card.selected === selected && card.passes === passes)) return;
  const written = pathsInWords(selected); // often the same: formulas take long to lay out
  if (card.selected !== selected || card.written !== written) writePaths(card, selected, written);
  Object.assign(card, { selected, passes, written });
}

/** What the card says, with formulas. */
function pathsInWords(selected) {
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
  const sum = `<p class="sum">${math(row(named(selected), text(".grad"), op("=")))} ` +
    `${wrapping(terms, "+")} ${math(row(op("="), mathNumber(total)))}</p>`;
  const isRoot = selected === LESSON.nodes.length - 1;
  const words = isRoot
    ? "It is the root: the derivative of a value by itself is 1."
    : wordsOnPaths(count, paths.length);
  return `<p>${words}</p><ol>${isRoot ? "" : rows.join("")}</ol>${count > 1 ? sum : ""}`;
}

function writePaths(card, selected, written) {
  const [title, body] = card.children;
  title.textContent = `Where does ${LESSON.nodes[selected].name}.grad come from?`;
  body.innerHTML = written;
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
  replay();
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

/** Projector mode: large text and strong lines; of the side panels only what a mode needs. */
function present(on) {
  document.documentElement.classList.toggle("present", on);
  $("present").setAttribute("aria-pressed", String(on));
  fit();
}

const isPresenting = () => document.documentElement.classList.contains("present");

const VIEW_KEYS = {
  "+": () => viewport.zoomBy(ZOOM),
  "=": () => viewport.zoomBy(ZOOM), // the key of + without Shift
  "-": () => viewport.zoomBy(1 / ZOOM),
  "−": () => viewport.zoomBy(1 / ZOOM),
  0: fit,
  p: () => present(!isPresenting()),
  escape: () => { if (isPresenting()) present(false); },
};
const PAN_KEYS = {
  ArrowLeft: [-PAN, 0], ArrowRight: [PAN, 0], ArrowUp: [0, -PAN], ArrowDown: [0, PAN],
};

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target.closest("input:not(#slider, [type=radio]), select, textarea")) return;
  const pan = event.shiftKey && PAN_KEYS[event.key];
  const look = pan ? () => viewport.panBy(...pan) : VIEW_KEYS[event.key.toLowerCase()];
  if (look) {
    event.preventDefault();
    look();
    return;
  }
  if (shown.mode === "predict") return;
  if (event.key === " " && event.target.closest("button, summary, [type=radio]")) return;
  const action = {
    ArrowRight: () => go(shown.stop + 1),
    ArrowLeft: () => go(shown.stop - 1),
    Home: () => go(0),
    End: () => go(stops.length),
    " ": toggle,
    r: repeat,
    R: repeat,
  }[event.key];
  if (!action) return;
  event.preventDefault();
  if (event.key !== " ") stop();
  action();
});

// ---- paper

/** Prints a sheet; the browser's own command prints the solution. */
function printSheet(kind) {
  $("print").open = false;
  $("sheet").dataset.kind = kind;
  print();
}

addEventListener("beforeprint", () =>
  fillSheet($("sheet"), $("sheet").dataset.kind ?? "solution", shown.numbers, shown.training));
addEventListener("afterprint", () => {
  $("sheet").replaceChildren();
  delete $("sheet").dataset.kind;
});

$("first").addEventListener("click", () => { stop(); go(0); });
$("back").addEventListener("click", () => { stop(); go(shown.stop - 1); });
$("forward").addEventListener("click", () => { stop(); go(shown.stop + 1); });
$("last").addEventListener("click", () => { stop(); go(stops.length); });
$("play").addEventListener("click", toggle);
$("speed").addEventListener("change", () => { if (shown.playing) { stop(); start(); } });
$("slider").addEventListener("input", () => { stop(); go(Number($("slider").value)); });
$("reset").addEventListener("click", () => {
  Object.assign(shown, atTheStart(), { nudged: undefined });
  recompute();
});
$("h").addEventListener("input", refresh);
$("leaf-search").addEventListener("input", () => { showLeaves(); refresh(); });
$("rate").addEventListener("input", setRate);
$("repeat").addEventListener("click", () => { repeat(); $("stage").focus({ preventScroll: true }); });
for (const button of document.querySelectorAll("#training [data-steps]")) {
  button.addEventListener("click", () => runSteps(Number(button.dataset.steps)));
}
$("question").addEventListener("submit", answer);
$("reveal").addEventListener("click", reveal);
for (const name of ["step", "predict", "break"]) {
  $(`mode-${name}`).addEventListener("click", () => setMode(name));
}
$("zoom-in").addEventListener("click", () => viewport.zoomBy(ZOOM));
$("zoom-out").addEventListener("click", () => viewport.zoomBy(1 / ZOOM));
$("zoom-fit").addEventListener("click", fit);
$("present").addEventListener("click", () => present(!isPresenting()));
$("scroller").addEventListener("focusin", ({ target }) => {
  if (target.matches(":focus-visible")) viewport.follow([target]);
});
for (const kind of ["worksheet", "solution"]) {
  $(`print-${kind}`).addEventListener("click", () => printSheet(kind));
}
