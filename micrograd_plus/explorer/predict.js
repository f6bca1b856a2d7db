// Predict mode: the page asks for the number of each step before it shows it.

/** The step whose number is asked for; none at the end. */
function nextQuestion() {
  return shown.stop < stops.length ? passes.steps[countAt(shown.stop + 1) - 1] : undefined;
}

const canAsk = (step) =>
  ["forward", "backward"].includes(step.kind) && !step.second &&
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
