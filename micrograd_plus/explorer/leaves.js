// The list of leaves: in groups, of which only the open ones have rows, and a search.

const MANY_LEAVES = 20; // from which on there is a search
const MOST_OPEN = 40; // rows in the groups that are open at first
const MOST_ROWS = 50; // of a group, until more are asked for
const LONG = 4; // letters, from which on a leaf's name takes a line of its own

let LEAVES = []; // of the lesson
const leafList = { opened: new Map(), rows: new Map() }; // by hand: group -> open, most rows

/** A text as it is searched: without commas and dots between its words. */
const plainText = (written) => written.toLowerCase().replace(/[\s,·]+/g, " ").trim();

const searched = ({ title, path }, i) =>
  plainText([LESSON.nodes[i].name, LESSON.nodes[i].words, title, path].join(" "));

/** The groups with the leaves that are looked for: all of them, if nothing is. */
function foundLeaves() {
  const wanted = plainText($("leaf-search").value);
  return LESSON.leafGroups.map((group, k) => ({
    k, title: group.title,
    leaves: group.leaves.filter((i) => searched(group, i).includes(wanted)),
  })).filter(({ leaves }) => leaves.length);
}

/** The groups that are open: the first of those that have leaves in the picture. */
function openGroups(groups) {
  let room = MOST_OPEN;
  return new Set(groups.filter(({ k, leaves }, i) => {
    const isWanted = $("leaf-search").value || LEAVES.length <= MANY_LEAVES ||
      leaves.some((leaf) => graph.placeOf.has(leaf));
    if (isWanted) room -= Math.min(leaves.length, MOST_ROWS);
    return leafList.opened.get(k) ?? (isWanted && (room >= 0 || i === 0));
  }).map(({ k }) => k));
}

function showLeaves() {
  const groups = foundLeaves();
  const open = openGroups(groups);
  const found = groups.reduce((sum, { leaves }) => sum + leaves.length, 0);
  $("leaf-tools").hidden = LEAVES.length < MANY_LEAVES;
  $("leaf-count").textContent =
    found < LEAVES.length ? `${found} of ${LEAVES.length} leaves` : `${LEAVES.length} leaves`;
  $("leaf-list").replaceChildren(...(LESSON.leafGroups.length === 1
    ? groups.map(listOf)
    : groups.map((group) => foldedList(group, open.has(group.k)))));
  $("leaves").hidden = !LEAVES.length;
}

/** A group that opens: it has rows only while it is open. */
function foldedList(group, isOpen) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const count = document.createElement("span");
  count.textContent = group.leaves.length;
  summary.append(group.title, " ", count);
  details.append(summary);
  details.open = isOpen;
  if (isOpen) details.append(listOf(group));
  summary.addEventListener("click", (event) => {
    event.preventDefault();
    details.open = !details.open;
    leafList.opened.set(group.k, details.open);
    if (details.open) details.append(listOf(group));
    else details.querySelector("ul").remove();
    refresh();
  });
  return details;
}

function listOf({ k, leaves }) {
  const list = document.createElement("ul");
  const most = leafList.rows.get(k) ?? MOST_ROWS;
  list.replaceChildren(...leaves.slice(0, most).map(leafRow));
  if (leaves.length > most) {
    const button = document.createElement("button");
    button.textContent = `${Math.min(MOST_ROWS, leaves.length - most)} more`;
    button.addEventListener("click", () => {
      leafList.rows.set(k, most + MOST_ROWS);
      const longer = listOf({ k, leaves });
      list.replaceWith(longer);
      refresh();
      longer.children[most].querySelector(".number").focus();
    });
    list.append(button);
  }
  return list;
}

function leafRow(i) {
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
  const reach = Math.max(5, 2 * Math.abs(Number(LESSON.nodes[i].data))) || 5;
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
}

/** Another number in a leaf; where the optimizer has moved it, the next training step begins. */
function setLeaf(i, x) {
  const behind = passes.steps.slice(0, countAt(shown.stop));
  if (behind.some(({ kind, node }) => kind === "update" && node === i)) {
    train(1);
    replay();
    shown.stop = stopAt(passes.steps.findIndex(({ kind }) => kind === "update"));
  }
  shown.numbers[i] = x;
  recompute();
}

/** The leaves' numbers and gradients; and, for one, what a small change does to the root. */
function showGradients(state) {
  for (const item of $("leaf-list").querySelectorAll("li")) {
    const i = Number(item.dataset.node);
    const [, number, drag, grad, button, slope] = item.children;
    if (document.activeElement !== number) {
      const words = String(Number(state.data[i].toPrecision(6)));
      if (number.value !== words) number.value = words;
      put(number, "title", String(state.data[i]));
      if (number.getAttribute("aria-invalid") === "true") $("leaf-problem").textContent = "";
      number.removeAttribute("aria-invalid");
    }
    if (document.activeElement !== drag) {
      const reach = 2 * Math.abs(state.data[i]);
      if (reach > 2 * drag.max && Number.isFinite(reach)) [drag.min, drag.max] = [-reach, reach];
      if (Number(drag.value) !== state.data[i]) drag.value = state.data[i];
    }
    put(grad, "text", `grad ${known(state.grad[i])}`);
    button.hidden = shown.mode === "predict";
    slope.hidden = shown.nudged !== i || button.hidden;
    if (!slope.hidden) slope.innerHTML = nudgeOf(i, state);
  }
}

/** The finite difference at the numbers that are shown, with the gradient there. */
function nudgeOf(i, state) {
  const problem = problemWith($("h").value);
  const h = readNumber($("h").value);
  if (problem || h === 0) return problem || "h must be a number other than 0.";
  const here = LEAVES.every((k) => Object.is(state.data[k], shown.numbers[k]))
    ? passes
    : run(shown.numbers.map((x, k) => state.data[k] ?? x));
  const root = LESSON.nodes.length - 1;
  if (!Number.isFinite(here.data[root])) return "The root is no finite number here: there is no slope.";
  const moved = Array.from(here.data, (x, k) => (k === i ? x + h : x));
  const slope = (run(moved, shown.fault).data[root] - here.data[root]) / h;
  const L = named(root);
  const quotient = `<mfrac>${row(L, op("("), named(i), op("+"), mathNumber(h), op(")"), op("−"), L)}` +
    `${mathNumber(h)}</mfrac>`;
  return `${math(equals(quotient, mathNumber(slope)))} beside the chain rule’s ` +
    `${math(mathNumber(here.grad[i]))}`;
}
