// Training, step after step: the loss curve, the learning rate, and what runs several steps.

/** Goes on by some training steps: new numbers, and what the optimizer remembers. */
function train(count) {
  const { numbers, training } = trained(shown.numbers, shown.training, count);
  Object.assign(shown, { numbers, training });
}

/** Begins the next training step. */
function repeat() {
  if (!passes.next) return;
  stop();
  train(1);
  shown.stop = 0;
  recompute();
}

/** Runs several training steps, and comes back to the same place in the last one. */
function runSteps(count) {
  stop();
  train(count);
  recompute();
}

function setRate() {
  const given = readNumber($("rate").value);
  const isRate = Number.isFinite(given) && given >= 0;
  $("rate").setAttribute("aria-invalid", String(!isRate));
  $("rate-problem").hidden = isRate;
  if (!isRate) return;
  shown.training.rate = given;
  recompute();
}

/** The losses that are known where we are: before each training step, and after the last. */
function knownLosses() {
  const root = LESSON.nodes.length - 1;
  const losses = [...shown.training.losses];
  if (LESSON.examples) return [...losses, meanOverExamples(shown.numbers).loss];
  const count = countAt(shown.stop);
  const isKnown = count >= passes.steps.findIndex(({ kind }) => kind === "seed");
  if (losses.length || isKnown) losses.push(passes.data[root]);
  if (count === passes.steps.length) losses.push(passes.nextData[root]);
  return losses;
}

/** How wide the curve is, and how large its text; 0 wide, if it is not shown. */
const roomOfCurve = () => ({
  width: $("curve").clientWidth,
  size: parseFloat(getComputedStyle($("curve")).fontSize),
});

/** room: that of the curve, before the page began to change. */
function showTraining(room) {
  $("training").hidden = !(passes.next || LESSON.examples) || shown.mode === "predict";
  const step = passes.steps[countAt(shown.stop) - 1];
  $("again").hidden = step?.kind !== "reward" || $("training").hidden;
  if ($("training").hidden) return;
  const losses = knownLosses();
  $("optimizer").textContent = LESSON.update.optimizer;
  if (document.activeElement !== $("rate")) {
    $("rate").value = String(shown.training.rate);
    $("rate").removeAttribute("aria-invalid");
    $("rate-problem").hidden = true;
  }
  drawCurve(losses, room.width ? room : roomOfCurve());
}

/** Round numbers, about as many as wanted, from the first to the last. */
function ticks(from, to, wanted) {
  const rough = (to - from) / wanted;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const distance = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
  const first = Math.ceil(from / distance - 1e-9);
  const last = Math.floor(to / distance + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * distance).toPrecision(12)));
}

const DIVERGED = 1000; // times the first loss, from which on the curve has a logarithmic scale
const canBeDrawn = (loss) => Math.abs(loss) < 1e300; // and so is not nan; the scale must not overflow

/** The losses over the training steps, on a linear scale while the training does not diverge.
 * A loss that cannot be drawn leaves a gap.
 */
function drawCurve(losses, { width, size }) {
  const svg = $("curve");
  const drawn = [width, size, ...losses].join();
  if (svg.drawn === drawn) return;
  svg.drawn = drawn;
  const height = 13 * size;
  const finite = losses.filter(canBeDrawn);
  const now = losses.length - 1;
  const isLog = Math.max(...finite) > DIVERGED * losses[0] && finite.every((loss) => loss > 0);
  const [scaled, unscaled] = isLog ? [Math.log10, (x) => 10 ** x] : [(x) => x, (x) => x];
  const lowest = Math.min(...(isLog ? [] : [0]), ...finite.map(scaled));
  const highest = Math.max(...finite.map(scaled), lowest + 1e-9);
  const top = finite.length ? lowest + 1.08 * (highest - lowest) : 1;
  const rows = ticks(lowest, top, 3).map(unscaled);
  const left = size * (1 + 0.62 * Math.max(...rows.map((loss) => format(loss).length)));
  const [right, above, below] = [width - size, 2.9 * size, height - 3.1 * size];
  const most = Math.max(5, now);
  const x = (step) => left + (right - left) * step / most;
  const y = (loss) => below - (below - above) * (scaled(loss) - lowest) / (top - lowest);

  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.setAttribute("aria-label", finite.length
    ? `Loss over training steps: ${format(losses[0])} at step 0, ${format(losses[now])} at step ${now}`
    : "Loss over training steps: none is known yet");
  for (const loss of rows) {
    make(svg, "path", { d: `M${left},${y(loss)}H${right}`, class: "grid" });
    make(svg, "text", { x: left - size / 2, y: y(loss) + size / 3, "text-anchor": "end" }, format(loss));
  }
  for (const step of ticks(0, most, 5).filter(Number.isInteger)) {
    make(svg, "text", { x: x(step), y: below + 1.45 * size, "text-anchor": "middle" }, String(step));
  }
  make(svg, "text", { x: 0, y: size, class: "axis" }, isLog ? "loss (log scale)" : "loss");
  make(svg, "text", {
    x: (left + right) / 2, y: below + 2.75 * size, "text-anchor": "middle", class: "axis",
  }, "training step");
  let pen = "M";
  const line = losses.map((loss, step) => {
    const part = canBeDrawn(loss) ? `${pen}${x(step)},${y(loss)}` : "";
    pen = part ? "L" : "M";
    return part;
  });
  make(svg, "path", { d: line.join(""), class: "curve" });
  if (now < 30) {
    losses.forEach((loss, step) => {
      if (canBeDrawn(loss)) make(svg, "circle", { cx: x(step), cy: y(loss), r: size / 4, class: "point" });
    });
  }
  if (now < 0) return;
  const [cx, cy] = [x(now), canBeDrawn(losses[now]) ? y(losses[now]) : above];
  if (canBeDrawn(losses[now])) make(svg, "circle", { cx, cy, r: size / 2.2, class: "now" });
  make(svg, "text", {
    x: cx + (2 * now > most ? size / 2 : -size / 2), y: cy - 0.8 * size, class: "value",
    "text-anchor": 2 * now > most ? "end" : "start",
  }, format(losses[now]));
}
