// The layout of a graph: a place for each box and a curve for each edge, from left to right.
//
// It follows the method of Sugiyama, Tagawa and Toda, "Methods for visual understanding of
// hierarchical system structures" (1981), which most programs for drawing graphs use:
//
//   1. reverse edges until there is no cycle,
//   2. assign each box to a column, so that edges lead to the right and are short,
//   3. split edges that pass other columns by bends, one in each of these columns,
//   4. order each column from top to bottom, so that few edges cross,
//   5. choose heights, so that edges are straight and nothing overlaps,
//   6. draw each edge as a smooth curve through its bends.
//
// Nothing here is random and nothing needs a browser: the same graph has the same picture in a
// page, in a worker and in Node.

// Distances, in pixels.
const BETWEEN_BOXES = 20; // from one box to the next one below it
const BETWEEN_BENDS = 12; // from an edge to what is above or below it in a column
const BETWEEN_PORTS = 14; // from one arrow to the next at the same box, at most
const PORT_MARGIN = 8; // from the corner of a box to the first arrow
const ARROW = 8; // the length of an arrow head
const [NARROWEST_GAP, WIDEST_GAP] = [30, 150]; // between two columns

const MOST_SWEEPS = 16; // over all columns, to reduce crossings
const PATIENCE = 4; // sweeps without an improvement, after which the search ends
const MOST_ROUNDS = 4; // of exchanges of neighbours, after each sweep

/**
 * Lays out a graph.
 *
 * boxes: their sizes, { w, h }.
 * edges: { from, to, port } with the indices of two different boxes. Edges into a box arrive in
 *   the order of `port`; without it in the order that crosses least. Parallel edges are allowed.
 *
 * Gives the boxes' upper left corners `places`, as [x, y]; for each edge the points of its curve,
 * a start and three points for each cubic Bézier piece, which ends ARROW before the box; `tips`,
 * where the arrows end; and the size of it all, `width` and `height`.
 */
function layOut(boxes, edges) {
  const links = withoutCycles(boxes.length, edges);
  const columnOf = assignColumns(boxes.length, links);
  const { columns, nodes, chains } = withBends(boxes, links, columnOf);
  orderColumns(columns);
  assignPorts(nodes);
  assignHeights(columns, nodes);
  return withCurves(boxes, columns, nodes, chains);
}

// ---- 1. no cycles

/** The edges as { tail, head, port, turned }: one that closes a cycle is turned around.
 *
 * A depth-first search meets an edge that closes a cycle as one that leads back to a box whose
 * search has not ended. The graph of a computation has no cycle, but a folded one may.
 */
function withoutCycles(count, edges) {
  const leaving = Array.from({ length: count }, () => []);
  edges.forEach((edge) => leaving[edge.from].push(edge));
  const NEW = 0, OPEN = 1, DONE = 2;
  const state = new Uint8Array(count);
  const turned = new Set();
  const search = (box) => {
    state[box] = OPEN;
    for (const edge of leaving[box]) {
      if (state[edge.to] === OPEN) turned.add(edge);
      else if (state[edge.to] === NEW) search(edge.to);
    }
    state[box] = DONE;
  };
  for (let box = 0; box < count; box++) if (state[box] === NEW) search(box);
  return edges.map((edge) => (turned.has(edge)
    ? { tail: edge.to, head: edge.from, turned: true }
    : { tail: edge.from, head: edge.to, port: edge.port, turned: false }));
}

// ---- 2. columns

/** The column of each box, from 0 on.
 *
 * First, each box is as far to the right as it can, right before the first box that uses it:
 * so leaves are next to their users. Then a box with more operands than users moves left as far
 * as its operands let it, which shortens more edges than it makes longer. (The shortest edges of
 * all need a linear program: Gansner, Koutsofios, North and Vo, "A technique for drawing directed
 * graphs", 1993. On graphs of computations this comes close to it.)
 */
function assignColumns(count, links) {
  const before = Array.from({ length: count }, () => []);
  const after = Array.from({ length: count }, () => []);
  for (const { tail, head } of links) {
    before[head].push(tail);
    after[tail].push(head);
  }
  const order = []; // each box after its operands
  const missing = before.map((tails) => tails.length);
  const ready = [...missing.keys()].filter((box) => !missing[box]);
  while (ready.length) {
    const box = ready.shift();
    order.push(box);
    for (const head of after[box]) if (!--missing[head]) ready.push(head);
  }
  const column = new Int32Array(count);
  for (const box of [...order].reverse()) {
    column[box] = Math.min(0, ...after[box].map((head) => column[head] - 1));
  }
  for (const box of order) {
    if (before[box].length > after[box].length) {
      column[box] = Math.max(...before[box].map((tail) => column[tail] + 1));
    }
  }
  const first = Math.min(...column);
  return column.map((c) => c - first);
}

// ---- 3. bends

/** The layered graph: every edge leads from one column to the next, by bends where it is longer.
 *
 * A node is a box or a bend; `place` is its place in its column. A segment connects two nodes of
 * neighbouring columns; `start` and `end` are where it touches them, from their middles.
 */
function withBends(boxes, links, columnOf) {
  const columns = Array.from({ length: Math.max(-1, ...columnOf) + 1 }, () => []);
  const nodes = [];
  const node = (column, w, h, isBend) => {
    const made = { column, w, h, isBend, place: 0, y: 0, into: [], out: [] };
    nodes.push(made);
    return made;
  };
  boxes.forEach(({ w, h }, i) => node(columnOf[i], w, h, false));
  const chains = links.map(({ tail, head, port, turned }) => {
    const chain = [nodes[tail]];
    for (let c = columnOf[tail] + 1; c < columnOf[head]; c++) chain.push(node(c, 0, 0, true));
    chain.push(nodes[head]);
    const segments = chain.slice(1).map((to, i) => {
      const segment = { tail: chain[i], head: to, start: 0, end: 0, port: undefined };
      chain[i].out.push(segment);
      to.into.push(segment);
      return segment;
    });
    segments[segments.length - 1].port = port;
    return { segments, turned };
  });
  for (const { into } of nodes) {
    into.sort((a, b) => (a.port ?? 0) - (b.port ?? 0));
    into.forEach((segment, k) => {
      segment.share = segment.port === undefined ? 0.5 : (k + 1) / (into.length + 1);
    });
  }
  // The first order: a depth-first search from the results through the operands, in their order.
  // A tree is drawn without a crossing by this already.
  const seen = new Set();
  const visit = (at) => {
    if (seen.has(at)) return;
    seen.add(at);
    columns[at.column].push(at);
    at.into.forEach(({ tail }) => visit(tail));
  };
  nodes.filter(({ out }) => !out.length).forEach(visit);
  columns.forEach(numberPlaces);
  return { columns, nodes, chains };
}

const numberPlaces = (column) => column.forEach((node, i) => { node.place = i; });

// ---- 4. order

/** Orders the columns so that few edges cross.
 *
 * Sweeps go over the columns, leftwards and rightwards in turn. Each column is sorted by the mean
 * place of what its nodes are connected with in the column before (the barycentre method of
 * Sugiyama and others); then neighbours change places while that removes crossings (Gansner and
 * others). The best order that was seen is kept. Edges that arrive at one box in another order
 * than that of its operands cross, too: so a stands above b in a - b.
 */
function orderColumns(columns) {
  let fewest = crossings(columns);
  let best = columns.map((column) => [...column]);
  for (let i = 0, since = 0; i < MOST_SWEEPS && since < PATIENCE && fewest; i++) {
    const toLeft = i % 2 === 0;
    const sequence = toLeft ? [...columns].reverse() : columns;
    for (const column of sequence) sortByNeighbours(column, toLeft);
    const gains = () => columns.reduce((gain, column) => gain + exchange(column), 0);
    for (let round = 0; round < MOST_ROUNDS && gains() > 0;) round += 1;
    const found = crossings(columns);
    since += 1;
    if (found < fewest) {
      [fewest, since] = [found, 0];
      best = columns.map((column) => [...column]);
    }
  }
  best.forEach((column, c) => {
    columns[c] = column;
    numberPlaces(column);
  });
}

/** Where a node's edges end in the next column or, with their ports, in the column before. */
const placesAfter = (node) => node.out.map(({ head, share }) => head.place + share);
const placesBefore = (node) => node.into.map(({ tail }) => tail.place + 0.5);

/** Sorts a column by the mean of its nodes' neighbours; a node without any keeps its place. */
function sortByNeighbours(column, toLeft) {
  const means = new Map();
  for (const node of column) {
    const places = toLeft ? placesAfter(node) : placesBefore(node);
    if (places.length) means.set(node, places.reduce((a, b) => a + b) / places.length);
  }
  const sorted = column.filter((node) => means.has(node));
  sorted.sort((a, b) => means.get(a) - means.get(b) || a.place - b.place);
  column.forEach((node, i) => { if (means.has(node)) column[i] = sorted.shift(); });
  numberPlaces(column);
}

/** Lets neighbours in a column change places where that removes crossings; gives how many. */
function exchange(column) {
  const ends = column.map((node) =>
    [placesBefore(node), placesAfter(node)].map((places) => places.sort((a, b) => a - b)));
  let gain = 0;
  for (let i = 0; i + 1 < column.length; i++) {
    const [upper, lower] = [ends[i], ends[i + 1]];
    const less = pairsInOrder(lower, upper) - pairsInOrder(upper, lower);
    if (less <= 0) continue;
    gain += less;
    [column[i], column[i + 1]] = [column[i + 1], column[i]];
    [ends[i], ends[i + 1]] = [lower, upper];
  }
  numberPlaces(column);
  return gain;
}

/** How many pairs of ends, one of each node on the same side, are in order: the first above. */
function pairsInOrder(above, below) {
  let count = 0;
  for (const side of [0, 1]) {
    let i = 0;
    for (const end of below[side]) {
      while (i < above[side].length && above[side][i] < end) i++;
      count += i;
    }
  }
  return count;
}

/** How many pairs of segments cross, over all columns. */
function crossings(columns) {
  let count = 0;
  for (const column of columns) {
    // From top to bottom, each segment crosses those before it that end below it.
    const ends = column.flatMap((node) => placesAfter(node).sort((a, b) => a - b));
    const rank = new Map([...new Set(ends)].sort((a, b) => a - b).map((end, i) => [end, i + 1]));
    const sums = new Int32Array(rank.size + 1); // a Fenwick tree: how many ended where
    ends.forEach((end, seen) => {
      let notBelow = 0;
      for (let i = rank.get(end); i > 0; i -= i & -i) notBelow += sums[i];
      count += seen - notBelow;
      for (let i = rank.get(end); i <= rank.size; i += i & -i) sums[i] += 1;
    });
  }
  return count;
}

// ---- 5. heights

/** Spreads the arrows that arrive at a box over its left side, in the order of its operands. */
function assignPorts(nodes) {
  for (const { h, isBend, into } of nodes) {
    if (isBend) continue;
    into.sort((a, b) => a.share - b.share || a.tail.place - b.tail.place);
    const room = Math.max(0, h - 2 * PORT_MARGIN);
    const step = Math.min(BETWEEN_PORTS, room / Math.max(1, into.length - 1));
    into.forEach((segment, k) => { segment.end = (k - (into.length - 1) / 2) * step; });
  }
}

/** How far apart the middles of two nodes must be, one below the other. */
const separation = (a, b) =>
  (a.h + b.h) / 2 + (a.isBend || b.isBend ? BETWEEN_BENDS : BETWEEN_BOXES);

/** The heights of the nodes' middles, by Brandes and Köpf, "Fast and simple horizontal coordinate
 * assignment" (2001), which is told here for columns in place of rows.
 *
 * Each node is aligned with the middle one of its neighbours, in the column before or after, and
 * such blocks become straight lines. Where alignments contradict each other, the upper or the lower
 * one wins. So there are four layouts, each with a bias; their middle has none.
 */
function assignHeights(columns, nodes) {
  const layouts = [];
  for (const toLeft of [true, false]) {
    for (const up of [true, false]) layouts.push(packed(columns, aligned(columns, toLeft, up), up));
  }
  const extent = (heights) => {
    const tops = nodes.map((node) => heights.get(node) - node.h / 2);
    const bottoms = nodes.map((node) => heights.get(node) + node.h / 2);
    return [Math.min(...tops), Math.max(...bottoms)];
  };
  const extents = layouts.map(extent);
  const sizes = extents.map(([top, bottom]) => bottom - top);
  const smallest = extents[sizes.indexOf(Math.min(...sizes))];
  layouts.forEach((heights, i) => { // the upper ones meet at the top, the lower at the bottom
    const side = i % 2;
    for (const node of nodes) {
      heights.set(node, heights.get(node) + smallest[side] - extents[i][side]);
    }
  });
  for (const node of nodes) {
    const [, a, b] = layouts.map((heights) => heights.get(node)).sort((x, y) => x - y);
    node.y = (a + b) / 2;
  }
}

/** Blocks of aligned nodes: for each node its block's first node `root`, and its `shift` to it. */
function aligned(columns, toLeft, up) {
  const blocks = new Map();
  for (const node of columns.flat()) blocks.set(node, { root: node, shift: 0 });
  const sequence = toLeft ? [...columns].reverse() : columns;
  for (const column of sequence) {
    const straight = column.flatMap(({ into, out }) => (toLeft ? out : into))
      .filter(({ tail, head }) => tail.isBend && head.isBend);
    let last = up ? -1 : Infinity; // the place of the neighbour that was aligned with last
    for (const node of up ? column : [...column].reverse()) {
      const segments = [...(toLeft ? node.out : node.into)];
      const other = (segment) => (toLeft ? segment.head : segment.tail);
      segments.sort((a, b) => other(a).place - other(b).place || a.end - b.end);
      const middle = (segments.length - 1) / 2;
      const medians = [Math.floor(middle), Math.ceil(middle)];
      for (const m of up ? medians : medians.reverse()) {
        const segment = segments[m];
        if (!segment) continue;
        const neighbour = other(segment);
        if (up ? neighbour.place <= last : neighbour.place >= last) continue;
        // The middle piece of a long edge is straight, whatever crosses it.
        if (straight.some((long) => crosses(segment, long))) continue;
        const { root, shift } = blocks.get(neighbour);
        const step = toLeft ? segment.end - segment.start : segment.start - segment.end;
        blocks.set(node, { root, shift: shift + step });
        last = neighbour.place;
        break;
      }
    }
  }
  return blocks;
}

const crosses = (a, b) => (a.tail.place - b.tail.place) * (a.head.place - b.head.place) < 0;

/** The nodes' heights if blocks lie as close together as they can, all pushed up or all down. */
function packed(columns, blocks, up) {
  const below = new Map(); // root -> [[another root, how far below at least]]
  const above = new Map();
  for (const { root } of blocks.values()) {
    below.set(root, []);
    above.set(root, []);
  }
  for (const column of columns) {
    for (let i = 1; i < column.length; i++) {
      const [a, b] = [blocks.get(column[i - 1]), blocks.get(column[i])];
      const distance = a.shift + separation(column[i - 1], column[i]) - b.shift;
      below.get(a.root).push([b.root, distance]);
      above.get(b.root).push([a.root, distance]);
    }
  }
  const [near, far] = up ? [above, below] : [below, above];
  const order = []; // each block after those that it is pushed against
  const seen = new Set();
  const visit = (root) => {
    if (seen.has(root)) return;
    seen.add(root);
    near.get(root).forEach(([next]) => visit(next));
    order.push(root);
  };
  for (const root of near.keys()) visit(root);
  const height = new Map();
  const sign = up ? 1 : -1;
  for (const root of order) {
    const least = near.get(root).map(([next, distance]) => sign * height.get(next) + distance);
    height.set(root, sign * Math.max(0, ...least));
  }
  for (const root of order.reverse()) { // and back again: no block stays apart from its neighbours
    const most = far.get(root).map(([next, distance]) => sign * height.get(next) - distance);
    if (most.length) height.set(root, sign * Math.min(...most));
  }
  return new Map([...blocks].map(([node, { root, shift }]) => [node, height.get(root) + shift]));
}

// ---- 6. curves

/** Places, curves and the whole size. An edge bends between columns only, where no box is. */
function withCurves(boxes, columns, nodes, chains) {
  const lift = Math.min(...nodes.map(({ y, h }) => y - h / 2));
  for (const node of nodes) node.y -= lift;
  let x = 0;
  const sides = columns.map((column) => { // the left and the right side of each column
    const left = x;
    const right = left + Math.max(...column.map(({ w }) => w));
    const rises = column.flatMap(({ out }) => out.map((s) => Math.abs(startOf(s) - endOf(s))));
    const gap = NARROWEST_GAP + 0.15 * Math.max(0, ...rises) + column.length;
    x = right + Math.min(WIDEST_GAP, gap);
    return [left, right];
  });
  boxes.forEach((_, i) => {
    const node = nodes[i];
    const [left, right] = sides[node.column];
    node.x = node.into.length ? (left + right - node.w) / 2 : right - node.w;
  });
  const curves = chains.map(({ segments }) => {
    const { tail } = segments[0];
    const { head } = segments[segments.length - 1];
    const points = [[tail.x + tail.w, startOf(segments[0])]];
    const go = (toX, toY) => {
      const [fromX, fromY] = points[points.length - 1];
      if (toX <= fromX) return;
      const middle = (fromX + toX) / 2;
      points.push([middle, fromY], [middle, toY], [toX, toY]);
    };
    for (const segment of segments) {
      const right = sides[segment.tail.column][1];
      const left = sides[segment.head.column][0];
      go(right, startOf(segment));
      go(left - (segment.head === head ? ARROW : 0), endOf(segment));
    }
    go(head.x - ARROW, endOf(segments[segments.length - 1]));
    return points;
  });
  const tips = curves.map((points) => {
    const [endX, endY] = points[points.length - 1];
    return [endX + ARROW, endY];
  });
  chains.forEach(({ turned }, i) => {
    if (!turned) return;
    curves[i].push(...[tips[i]].flatMap((tip) => [tip, tip, tip]));
    curves[i].reverse();
    tips[i] = curves[i][curves[i].length - 1];
  });
  return {
    places: boxes.map((_, i) => [nodes[i].x, nodes[i].y - nodes[i].h / 2]),
    curves,
    tips,
    width: sides.length ? sides[sides.length - 1][1] : 0,
    height: Math.max(0, ...nodes.map(({ y, h }) => y + h / 2)),
  };
}

const startOf = ({ tail, start }) => tail.y + start;
const endOf = ({ head, end }) => head.y + end;

/** A curve and its tip as an SVG path. */
const pathOf = ([start, ...points], tip) =>
  `M${spelled(start)}C${points.map(spelled).join(" ")}L${spelled(tip)}`;
const spelled = (point) => point.map((x) => Math.round(10 * x) / 10).join(",");
