// Lines that are drawn together: several boxes that all lead to the same boxes of the next column.

const FEWEST_LINES = 12; // for which a bundle is worth its while
const JUNCTIONS = [0.45, 0.65]; // where lines join and part, as shares of the gap between columns

/** For each box the number of its column: boxes of one column share an x. */
function columnsByPlace(boxes) {
  const columns = [];
  let [column, right] = [-1, -Infinity];
  const order = boxes.map((_, i) => i).sort((i, k) => boxes[i].x - boxes[k].x);
  for (const i of order) {
    const { x, w } = boxes[i];
    if (x >= right) column += 1;
    right = Math.max(right, x + w);
    columns[i] = column;
  }
  return columns;
}

/** The bundles of a view: the `edges` that each stands for, its boxes `from` and `to`, and paths.
 *
 * Each box on the left has a line to each box on the right, so that a bundle says no more than
 * the lines would. Between two columns there is no box, so that it crosses none.
 */
function bundlesOf({ boxes, edges }) {
  const columns = columnsByPlace(boxes);
  const leaving = new Map(); // box -> its edges to the next column
  edges.forEach((edge, i) => {
    if (columns[edge.to] !== columns[edge.from] + 1) return;
    leaving.set(edge.from, [...(leaving.get(edge.from) ?? []), i]);
  });
  const together = new Map(); // column and targets -> the edges of all boxes that have these
  for (const [box, lines] of leaving) {
    const targets = lines.map((i) => edges[i].to).sort((i, k) => i - k);
    const key = `${columns[box]}: ${targets}`;
    together.set(key, [...(together.get(key) ?? []), ...lines]);
  }
  return [...together.values()].flatMap((lines) => {
    const [from, to] = ["from", "to"].map((end) => [...new Set(lines.map((i) => edges[i][end]))]);
    if (from.length < 2 || to.length < 2 || lines.length < FEWEST_LINES) return [];
    return [{ edges: lines, from, to, ...pathsThrough(lines.map((i) => edges[i])) }];
  });
}

/** A trunk in the gap between two columns, and the branches that join it where the edges begin and end. */
function pathsThrough(edges) {
  const points = edges.map(({ path }) => path.match(/-?[\d.]+/g).map(Number));
  const starts = meansBy(edges.map(({ from }) => from), points.map((p) => p.slice(0, 2)));
  const ends = meansBy(edges.map(({ to }) => to), points.map((p) => p.slice(-2)));
  const left = Math.max(...starts.map(([x]) => x));
  const right = Math.min(...ends.map(([x]) => x));
  const middle = mean([...starts, ...ends].map(([, y]) => y));
  const [joined, parted] = JUNCTIONS.map((share) => left + share * (right - left));
  const curve = ([x0, y0], [x1, y1]) => `M${x0},${y0}C${x1},${y0} ${x0},${y1} ${x1},${y1}`;
  return {
    trunk: `M${joined},${middle}H${parted}`,
    branches: [
      ...starts.map((start) => curve(start, [joined, middle])),
      ...ends.map((end) => curve([parted, middle], end)),
    ].join(""),
    ends,
  };
}

const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;

/** For each key the mean of its points. */
function meansBy(keys, points) {
  return [...new Set(keys)].map((key) => {
    const own = points.filter((_, i) => keys[i] === key);
    return [mean(own.map(([x]) => x)), mean(own.map(([, y]) => y))];
  });
}
