// Break it: the engine with a bug runs next to the correct one.

const opsInGraph = () => [...new Set(LESSON.nodes.flatMap(({ op: name }) => (name ? [name] : [])))];

function listFaults() {
  const choices = [null, ...LESSON.faults].map((fault) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "fault", checked: fault === null });
    input.value = fault?.name ?? "none";
    label.append(input, fault?.title ?? "no bug");
    const applies = !fault || !Object.keys(fault.signs).length ||
      opsInGraph().some((name) => name in fault.signs);
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
  for (const name of opsInGraph()) select.append(new Option(name));
  fault.op = opsInGraph()[0];
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
  if (story.passes === passes) return;
  story.passes = passes; // the same story at each step
  story.innerHTML = fault
    ? `<p class="code"><s></s><br><code class="bad"></code></p><p class="story"></p><p class="first"></p>` +
      `<table><thead><tr><th>value</th><th>this engine</th><th>right</th></tr></thead><tbody></tbody></table>`
    : "<p>Choose a bug: an engine with this bug runs next to the correct one.</p>";
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
