// The playground: what the visitor types or chooses becomes a lesson, and is kept in the address.
//
// The address ends with #f=tanh(x*w)&x=2&w=-1, or with #example=moons&x1=0.5: a formula or an
// example, and then the numbers of leaves.

const LANGUAGE = LESSON;
const PATIENCE_WITH_TYPING = 800; // milliseconds, after which an error is shown
const DELAY_OF_NUMBERS = 300; // milliseconds
const SHORT_WHILE = 2000; // milliseconds
const [BEFORE_PLACE, BEHIND_PLACE] = [40, 32]; // letters that are shown around an error
const FIRST = LANGUAGE.library[0];

/** What is being shown: an entry of the library, or a formula of the visitor. */
let source = null;
let written = ""; // the end of the address that was written last
let isSettled = true; // whether one can go back to what this address shows
let waiting = 0; // the timer of an error that is not shown yet
let writing = 0; // the timer of an address that is not written yet

// ---- from text to a lesson

/** A lesson from a formula; names without a number keep the one that they have, or get one.
 *
 * Throws Unreadable, also for a number whose name does not occur.
 */
function lessonFrom(formula, given, kept = {}) {
  const nodes = readExpression(formula, LANGUAGE);
  const { defaults, most } = LANGUAGE;
  if (nodes.length > most) {
    throw new Unreadable(`this formula has ${nodes.length} values; at most ${most} can be drawn`);
  }
  const leaves = nodes.filter(({ name }) => name);
  const names = new Set(leaves.map(({ name }) => name));
  const unused = Object.keys(given).filter((name) => !names.has(name));
  if (unused.length) {
    const { messages } = LANGUAGE.grammar;
    throw new Unreadable(worded(messages.unused, { names: unused.join(", "), text: formula }));
  }
  const numbers = new Map([...Object.entries(kept), ...Object.entries(given)]);
  for (const leaf of leaves) leaf.data = numbers.get(leaf.name);
  const free = leaves.filter(({ data }) => data === undefined);
  free.forEach((leaf, i) => { leaf.data = defaults[i % defaults.length]; });
  const lesson = lessonOf(nodes, LANGUAGE);
  if (!Number.isFinite(nodes.at(-1).data)) { // as for log(x) with x = -1.5
    for (const leaf of free) leaf.data = Math.abs(leaf.data);
    computeAll(lesson);
  }
  return lesson;
}

/** The numbers of the leaves that an address names: all but what a model has learned. */
function numbersNow() {
  const leaves = LEAVES.filter((i) => !LESSON.nodes[i].path);
  return Object.fromEntries(leaves.map((i) => [LESSON.nodes[i].name, shown.numbers[i]]));
}

function showSource(next, lesson, title) {
  pauseTraining();
  chosen = 0;
  source = next;
  begin(lesson);
  document.title = title;
  document.querySelector("h1").textContent = title;
  document.querySelector("h1").title = title;
  $("example").value = next.id ?? "";
  showProblem(null);
}

/** Shows a formula with its numbers; throws Unreadable. */
function showFormula(formula, given, kept) {
  showSource({ formula }, lessonFrom(formula, given, kept), formula);
}

/** Shows an example, with other numbers in some leaves; throws Unreadable. */
function showExample(example, given = {}) {
  const { formula, title } = example;
  const lesson = formula
    ? lessonFrom(formula, { ...example.numbers, ...given })
    : { ...LANGUAGE, ...structuredClone(example.lesson) };
  if (!formula) {
    for (const [name, number] of Object.entries(given)) {
      const leaf = lesson.nodes.find((node) => node.name === name && !node.op && !node.constant);
      if (!leaf) throw new Unreadable(`there is no ${name} in the example ${example.id}`);
      leaf.data = number;
    }
  }
  showSource(example, lesson, title);
  $("formula").value = formula ?? "";
}

// ---- what is wrong

/** Says what is wrong below the formula; nothing if there is no error. */
function showProblem(error) {
  if (error && !(error instanceof Unreadable)) throw error;
  clearTimeout(waiting);
  const isTyped = Boolean(error?.text);
  $("formula").setAttribute("aria-invalid", String(isTyped));
  $("result").hidden = isTyped; // it belongs to what is drawn
  say(...(error ? sentenceOf(error) : []));
}

function say(...content) {
  $("said-below").replaceChildren(...content);
  $("said-below").hidden = !content.length;
  viewport.resize();
}

function sentenceOf({ message, text: typed, column }) {
  const sentence = document.createElement("p");
  sentence.textContent = `${message[0].toUpperCase()}${message.slice(1)}.`;
  if (!typed) return [sentence];
  const [line, mark] = ["code", "mark"].map((tag) => document.createElement(tag));
  mark.textContent = typed.slice(column, column + 1) || " ";
  line.append(
    typed.slice(Math.max(0, column - BEFORE_PLACE), column), mark,
    typed.slice(column + 1, column + BEHIND_PLACE));
  return [sentence, line];
}

// ---- the address

/** As readable as an address may be: encodeURIComponent without what a fragment may hold. */
const encoded = (words) => encodeURIComponent(words)
  .replace(/%(2B|2F|2C|3A|40)/g, (code) => decodeURIComponent(code)); // + / , : @

function addressOf() {
  const start = source.id
    ? ["example", source.id]
    : ["f", source.formula.replace(/\s*([-+*/(),])\s*/g, "$1")];
  const numbers = Object.entries(numbersNow()).map(([name, x]) => [name, String(x)]);
  return `#${[start, ...numbers].map((pair) => pair.map(encoded).join("=")).join("&")}`;
}

/** Writes what is shown into the address, where it replaces what nobody wants to go back to. */
function writeAddress(isNew) {
  clearTimeout(writing);
  written = addressOf();
  if (isNew) history.pushState(null, "", written);
  else history.replaceState(null, "", written);
}

/** The numbers in the address follow while one drags; not each, as browsers count such changes. */
function writeNumbers() {
  clearTimeout(writing);
  if (addressOf() !== written) writing = setTimeout(() => writeAddress(false), DELAY_OF_NUMBERS);
}

/** Shows what the address says; where it says nothing that can be read, a sentence. */
function readAddress() {
  written = location.hash;
  isSettled = true;
  try {
    const pairs = pairsIn(location.hash.slice(1));
    if (!pairs.length) {
      showExample(FIRST);
      return;
    }
    const [[kind, what], ...numbers] = pairs;
    const given = Object.fromEntries(numbers.map(([name, number]) => [name, numberIn(name, number)]));
    if (kind === "f") {
      showFormula(what.trim(), given);
      $("formula").value = what;
    } else if (kind === "example") {
      showExample(exampleCalled(what), given);
    } else {
      throw new Unreadable(
        `an address begins with #f=formula or #example=name, and not with #${kind}`);
    }
  } catch (error) {
    if (!source) showExample(FIRST);
    if (error.text) $("formula").value = error.text;
    showProblem(error);
    clearTimeout(writing); // so that one can correct it
  }
}

function exampleCalled(id) {
  const found = LANGUAGE.library.find((example) => example.id === id);
  if (found) return found;
  const ids = LANGUAGE.library.map((example) => example.id).join(", ");
  throw new Unreadable(`there is no example ${id}; the examples are ${ids}`);
}

function pairsIn(hash) {
  try {
    return hash.split("&").filter(Boolean).map((pair) => {
      const [name, ...rest] = pair.split("=");
      return [name, rest.join("=")].map(decodeURIComponent);
    });
  } catch {
    throw new Unreadable("this address is damaged: it holds a % that is no part of a code");
  }
}

function numberIn(name, number) {
  const read = readNumber(number);
  if (Number.isFinite(read)) return read;
  throw new Unreadable(
    `the address says ${name}=${number}; a finite number must be there, as in ${name}=2.5`);
}

async function copyLink() {
  pauseTraining();
  writeAddress(false);
  try {
    await navigator.clipboard.writeText(location.href);
    $("copy").textContent = "Copied";
    setTimeout(() => { $("copy").textContent = "Copy link"; }, SHORT_WHILE);
  } catch { // where the browser does not allow it
    const field = document.createElement("input");
    Object.assign(field, { value: location.href, readOnly: true, ariaLabel: "The link" });
    say("Copy this link: ", field);
    field.select();
  }
}

// ---- the visitor

/** Shows what is typed as soon as it can be read; an error only when the typing has ended. */
function typed(hasEnded) {
  const formula = $("formula").value.trim();
  clearTimeout(waiting);
  try {
    if (formula !== (source.formula ?? "")) {
      showFormula(formula, {}, numbersNow());
      writeAddress(isSettled);
      isSettled = false;
    }
    showProblem(null);
    isSettled ||= hasEnded;
  } catch (error) {
    if (hasEnded) showProblem(error);
    else waiting = setTimeout(() => showProblem(error), PATIENCE_WITH_TYPING);
  }
}

$("example").append(
  ...LANGUAGE.library.map(({ id, name }) => new Option(name, id)),
  new Option("Your formula", ""),
);
$("example").addEventListener("change", () => {
  const example = LANGUAGE.library[$("example").selectedIndex];
  if (!example) { // a formula has to be typed
    $("example").value = source.id ?? "";
    $("formula").select();
    return;
  }
  showExample(example);
  writeAddress(true);
  isSettled = true;
});
$("formula").addEventListener("input", () => typed(false));
$("formula").addEventListener("change", () => typed(true));
$("typed").addEventListener("submit", (event) => {
  event.preventDefault();
  typed(true);
});
$("copy").addEventListener("click", copyLink);
addEventListener("hashchange", () => { if (location.hash !== written) readAddress(); });
document.addEventListener("refreshed", () => {
  const root = LESSON.nodes.length - 1;
  const name = source?.formula ? "" : LESSON.nodes[root].name;
  const result = `${name} = ${format(passes.right.data[root])}`;
  $("result").textContent = shown.mode === "predict" ? "" : result;
  if (source) writeNumbers();
});
readAddress();
