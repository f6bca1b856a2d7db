// The picture of a network that learns from many examples: where its output is positive, and the
// examples, of which the one that the graph shows is marked.

const FRAMES = 40; // a second, at most, while it trains
const EDGE_OF_PLANE = 0.35; // around the examples
const RADIUS = 0.055; // of a point
const MOST_STEPS_OF_TRAINING = 5000; // after which it pauses

let chosen = 0; // the example that was put into the graph last
let training = 0; // the timer while it trains

/** The part of the plane that is shown: all examples, and a margin. */
function planeOf({ rows }) {
  const [xs, ys] = [0, 1].map((k) => rows.map(([inputs]) => inputs[k]));
  const [left, right] = [Math.min(...xs) - EDGE_OF_PLANE, Math.max(...xs) + EDGE_OF_PLANE];
  const [bottom, top] = [Math.min(...ys) - EDGE_OF_PLANE, Math.max(...ys) + EDGE_OF_PLANE];
  return { left, right, bottom, top };
}

/** The network's output for a point of the plane. */
const outputAt = (inputs) =>
  evaluate(withExample(shown.numbers, [inputs, 1]))[LESSON.examples.output];

/** The outputs on a grid over the plane, row by row from the top. */
function outputsOver({ left, right, bottom, top }, columns, rows) {
  return Array.from({ length: rows }, (_, j) => Array.from({ length: columns }, (_, i) =>
    outputAt([left + (right - left) * (i + 0.5) / columns, top - (top - bottom) * (j + 0.5) / rows])));
}

/** The line on which the output is 0, in places of the grid: marching squares, without corners. */
function zeroLine(outputs) {
  const parts = [];
  const between = (a, b) => a / (a - b);
  for (let j = 0; j + 1 < outputs.length; j++) {
    for (let i = 0; i + 1 < outputs[j].length; i++) {
      const [a, b, c, d] = [outputs[j][i], outputs[j][i + 1], outputs[j + 1][i + 1], outputs[j + 1][i]];
      const crossings = [
        a < 0 !== b < 0 && [i + between(a, b), j],
        b < 0 !== c < 0 && [i + 1, j + between(b, c)],
        d < 0 !== c < 0 && [i + between(d, c), j + 1],
        a < 0 !== d < 0 && [i, j + between(a, d)],
      ].filter(Boolean);
      for (let k = 0; k + 1 < crossings.length; k += 2) {
        parts.push(`M${crossings[k]}L${crossings[k + 1]}`);
      }
    }
  }
  return parts.join("");
}

/** Paints where the output is negative and positive; gives the line between. */
function paintRegions(plane) {
  const canvas = $("regions");
  const { width, height } = canvas;
  const outputs = outputsOver(plane, width, height);
  const image = new ImageData(width, height);
  const style = getComputedStyle(canvas);
  const [page, negative, positive] = ["--box", "--negative", "--positive"].map((name) =>
    style.getPropertyValue(name).match(/[0-9a-f]{2}/gi).map((digits) => parseInt(digits, 16)));
  outputs.flat().forEach((x, i) => {
    const share = Number.isFinite(x) ? 0.15 + 0.75 * Math.abs(Math.tanh(x)) : 0;
    const hue = x < 0 ? negative : positive;
    image.data.set([...page.map((from, k) => from + share * (hue[k] - from)), 255], 4 * i);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return zeroLine(outputs);
}

const shapeOf = (x, y, label, r) => (label < 0
  ? ["circle", { cx: x, cy: y, r }]
  : ["path", { d: `M${x},${y - 1.2 * r}l${1.1 * r},${2 * r}h${-2.2 * r}z` }]);

function showBoundary() {
  const { examples } = LESSON;
  $("boundary").hidden = !examples || shown.mode === "predict";
  if ($("boundary").hidden) {
    if (training) pauseTraining();
    return;
  }
  const svg = $("points");
  if (svg.passes === passes) return;
  svg.passes = passes; // the same picture at each step
  const plane = planeOf(examples);
  const [width, height] = [plane.right - plane.left, plane.top - plane.bottom];
  $("plane").style.aspectRatio = `${width} / ${height}`;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const { width: columns, height: rows } = $("regions");
  const line = paintRegions(plane);
  const place = ([x, y]) => [x - plane.left, plane.top - y];
  if (svg.lesson !== LESSON) drawPoints(svg, examples.rows, place);
  put(svg.line, "transform", `scale(${width / columns},${height / rows}) translate(0.5,0.5)`);
  put(svg.line, "d", line);
  const [x, y] = place(examples.inputs.map((i) => shown.numbers[i]));
  put(svg.mark, "cx", x);
  put(svg.mark, "cy", y);
  const right = examples.rows.filter(([inputs, label]) => outputAt(inputs) * label > 0).length;
  $("separated").textContent = `${right} of ${examples.rows.length} right`;
}

/** Draws what stays as it is while the network learns, and the line and the mark, which move. */
function drawPoints(svg, rows, place) {
  svg.replaceChildren();
  svg.lesson = LESSON;
  svg.line = make(svg, "path", { class: "zero" });
  rows.forEach(([inputs, label], i) => {
    const [kind, shape] = shapeOf(...place(inputs), label, RADIUS);
    const sign = label < 0 ? "negative" : "positive";
    const point = make(svg, kind, { ...shape, class: `point ${sign}` });
    point.addEventListener("click", () => chooseExample(i));
  });
  svg.mark = make(svg, "circle", { class: "mark", r: 2 * RADIUS });
}

/** Puts an example into the graph, and begins its forward pass. */
function chooseExample(i) {
  pauseTraining();
  chosen = i;
  shown.numbers = withExample(shown.numbers, LESSON.examples.rows[i]);
  shown.stop = 0;
  recompute();
}

$("points").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by || event.shiftKey) return;
  event.preventDefault();
  event.stopPropagation(); // the arrow keys step elsewhere
  const { length } = LESSON.examples.rows;
  chooseExample((chosen + by + length) % length);
});

// ---- training before one's eyes

function pauseTraining() {
  clearInterval(training);
  training = 0;
  $("train").textContent = "Train";
}

function startTraining() {
  stop();
  shown.stop = stops.length;
  training = setInterval(() => {
    runSteps(1);
    if (shown.training.losses.length >= MOST_STEPS_OF_TRAINING) pauseTraining();
  }, 1000 / FRAMES);
  $("train").textContent = "Pause";
}

$("train").addEventListener("click", () => (training ? pauseTraining() : startTraining()));
$("train-again").addEventListener("click", () => { pauseTraining(); $("reset").click(); });
document.addEventListener("refreshed", showBoundary);
