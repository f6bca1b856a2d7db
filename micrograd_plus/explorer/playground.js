// The playground: what the visitor types or chooses becomes a lesson, and stands in the address.
//
// The address ends with #f=tanh(x*w)&x=2&w=-1, or with #example=moons&x1=0.5: a formula or an
// example, and then the numbers of leaves.

const LANGUAGE = LESSON;
const PATIENCE_WITH_TYPING = 800; // milliseconds, after which an error is shown
const DELAY_OF_NUMBERS = 300; // milliseconds
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
  if (nodes.length > LANGUAGE.most) {
    throw new Unreadable(`this formula has ${nodes.length} values; at most ${LANGUAGE.most} can be drawn`);
  }
  const leaves = nodes.filter(({ name }) => name);
  const names = new Set(leaves.map(({ name }) => name));
  const unused = Object.keys(given).filter((name) => !names.has(name));
  if (unused.length) throw new Unreadable(`${unused.join(", ")} does not occur in ${formula}`);
  const { defaults } = LANGUAGE;
  const free = leaves.filter(({ name }) => !(name in given || name in kept));
  free.forEach((leaf, i) => { leaf.data = defaults[i % defaults.length]; });
  for (const leaf of leaves) leaf.data = given[leaf.name] ?? kept[leaf.name] ?? leaf.data;
  const lesson = lessonOf(nodes, LANGUAGE);
  if (free.length && !Number.isFinite(lesson.nodes.at(-1).data)) { // as for log(x) with x = -1.5
    for (const leaf of free) leaf.data = Math.abs(leaf.data);
    evaluate(nodes.map(({ data }) => data), lesson).forEach((x, i) => { nodes[i].data = x; });
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
  const lesson = lessonFrom(formula, given, kept);
  showSource({ formula }, lesson, formula.trim());
}

/** Shows an example, with other numbers in some leaves; throws Unreadable. */
function showExample(example, given = {}) {
  const { formula, title } = example;
  const lesson = formula
    ? lessonFrom(formula, { ...example.numbers, ...given })
    : { ...LANGUAGE, ...structuredClone(example.lesson) };
  if (!formula) {
    for (const [name, number] of Object.entries(given)) {
      const leaf = lesson.nodes.find((node) => node.name === name && !node.op);
      if (!leaf) throw new Unreadable(`${name} does not occur in the example ${example.name}`);
      leaf.data = number;
    }
  }
  showSource(example, lesson, title);
  $("formula").value = formula ?? "";
}

// ---- what is wrong

function showProblem(error) {
  clearTimeout(waiting);
  const place = $("problem");
  place.hidden = !error;
  $("formula").setAttribute("aria-invalid", String(Boolean(error?.text)));
  if (!error) return;
  if (!(error instanceof Unreadable)) throw error;
  const { message, text: typed, column } = error;
  const sentence = document.createElement("p");
  sentence.textContent = `${message[0].toUpperCase()}${message.slice(1)}.`;
  place.replaceChildren(sentence);
  if (!typed) return;
  const line = document.createElement("code");
  const mark = document.createElement("mark");
  mark.textContent = typed.slice(column, column + 1) || " ";
  line.append(typed.slice(Math.max(0, column - 40), column), mark, typed.slice(column + 1, column + 32));
  place.append(line);
}

// ---- the address

/** As readable as an address may be: encodeURIComponent without what a fragment may hold. */
const encoded = (words) => encodeURIComponent(words)
  .replace(/%(2B|2F|2C|3D|40|3A)/g, (code) => (code === "%3D" ? code : decodeURIComponent(code)));

function addressOf() {
  const start = source.id
    ? ["example", source.id]
    : ["f", source.formula.trim().replace(/\s*([-+*/(),])\s*/g, "$1")];
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
      showFormula(what, given);
      $("formula").value = what;
      return;
    }
    const ids = LANGUAGE.library.map(({ id }) => id);
    if (kind !== "example") throw new Unreadable(`an address begins with #f=formula or #example=name, and not with #${kind}`);
    if (!ids.includes(what)) throw new Unreadable(`there is no example ${what}; the examples are ${ids.join(", ")}`);
    showExample(LANGUAGE.library[ids.indexOf(what)], given);
  } catch (error) {
    if (!source) showExample(FIRST);
    if (error.text) $("formula").value = error.text;
    showProblem(error);
  }
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
  if (!Number.isFinite(read)) throw new Unreadable(`the address gives ${name} the number ${number || "(none)"}; it must be a finite number, such as ${name}=2.5`);
  return read;
}

async function copyLink() {
  pauseTraining();
  writeAddress(false);
  try {
    await navigator.clipboard.writeText(location.href);
    $("copy").textContent = "Copied";
  } catch { // where the browser does not allow it
    const place = $("problem");
    const field = Object.assign(document.createElement("input"), { value: location.href, readOnly: true });
    field.setAttribute("aria-label", "The link");
    place.replaceChildren("Copy this link: ", field);
    place.hidden = false;
    field.select();
    return;
  }
  setTimeout(() => { $("copy").textContent = "Copy link"; }, 2000);
}

// ---- the visitor

/** Shows what is typed as soon as it can be read; an error only when the typing has ended. */
function typed(hasEnded) {
  const formula = $("formula").value;
  clearTimeout(waiting);
  if (!hasEnded && formula.trim() === (source.formula ?? "").trim()) return;
  try {
    if (formula.trim() !== (source.formula ?? "").trim()) {
      showFormula(formula, {}, numbersNow());
      writeAddress(isSettled);
      isSettled = false;
    }
    showProblem(null);
    if (hasEnded) isSettled = true;
  } catch (error) {
    if (hasEnded) showProblem(error);
    else waiting = setTimeout(() => showProblem(error), PATIENCE_WITH_TYPING);
  }
}

$("example").append(
  ...LANGUAGE.library.map(({ id, name }) => new Option(name, id)),
  Object.assign(new Option("Your formula", ""), { hidden: true }),
);
$("example").addEventListener("change", () => {
  showExample(LANGUAGE.library[$("example").selectedIndex]);
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
