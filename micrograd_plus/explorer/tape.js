// The engine in the page: a forward pass, a backward pass, and the list of their steps.
//
// A graph is the list LESSON.nodes in topological order; what each op computes, and its partial
// derivatives, are the functions in OPS, which are written from the op table.

const MOST_STEPS = 20_000; // of a recursion that may take exponentially many

/** The forward pass, from the leaves' numbers: the nodes' `data`, the `partials`, and `steps`. */
function forward(numbers, fault = null) {
  const data = Float64Array.from(numbers);
  const partials = [];
  const steps = [];
  LESSON.nodes.forEach(({ op, operands }, i) => {
    if (!op) return;
    const inputs = operands.map((k) => data[k]);
    const doubled = fault?.doubles && fault.op === op;
    const right = OPS[op].forward(...inputs);
    data[i] = doubled ? 2 * right : right;
    const signs = fault?.signs[op];
    const slopes = OPS[op].partials(right, ...inputs); // also where only the forward pass changed
    partials[i] = slopes.map((slope, k) => (slope === NOTHING ? slope
      : slope * (signs ? signs[k] : 1) * (doubled && fault.bothPasses ? 2 : 1)));
    steps.push({ kind: "forward", node: i, before: 0, after: data[i] });
  });
  return { data, partials, steps };
}

/** Both passes over the graph, from the leaves' numbers.
 *
 * numbers: one for each node; those of the leaves are read.
 * fault: what goes wrong, an entry of LESSON.faults with `op` for the op that it doubles; or null.
 *   With `bothPasses` the op is doubled in both, and nothing is wrong.
 * from: the gradients that are there at the start, where no zero_grad has set them back.
 *
 * Gives the nodes' `data` and `grad`, and `steps`, one for each number that becomes known:
 * { kind: "forward" | "seed" | "backward", node, before, after }, a backward step also with
 * { user, position, upstream, local, flow, assigns }: `flow` is upstream × local, and 0 where the
 * op did not choose this operand; `assigns` where it replaces what was there.
 */
function run(numbers, fault = null, from = null) {
  const { nodes } = LESSON;
  const root = nodes.length - 1;
  const { data, partials, steps } = forward(numbers, fault);
  const grad = Float64Array.from(nodes, ({ op }, i) => (from && !op ? from[i] : 0));

  const seed = grad[root];
  grad[root] += 1;
  steps.push({ kind: "seed", node: root, before: seed, after: grad[root] });

  const flowBack = (user, position) => {
    const node = nodes[user].operands[position];
    if (nodes[node].constant) return;
    const [upstream, local, before] = [grad[user], partials[user][position], grad[node]];
    const flow = local === NOTHING ? 0 : upstream * local;
    grad[node] = (fault?.assigns ? 0 : before) + flow;
    steps.push({
      kind: "backward", node, user, position, upstream, local, flow, before, after: grad[node],
      assigns: fault?.assigns,
    });
    return node;
  };
  if (fault?.recurses) {
    const stack = [[root, 0]];
    while (stack.length && steps.length < MOST_STEPS) {
      const top = stack[stack.length - 1];
      if (top[1] === (nodes[top[0]].operands?.length ?? 0)) {
        stack.pop();
        continue;
      }
      const node = flowBack(top[0], top[1]++);
      if (node !== undefined) stack.push([node, 0]);
    }
  } else {
    for (let user = root; user >= 0; user--) {
      nodes[user].operands?.forEach((_, position) => flowBack(user, position));
    }
  }
  return { data, grad, partials, steps };
}

/** Everything that the page shows: the passes, with the fault that is on, and as they should be.
 *
 * Without a fault, an optimizer's step follows if the lesson has one for this example alone, and a
 * second forward pass that shows what it has done to the loss. With these come the `next` numbers,
 * the optimizer's `memory` after the step, and the `data` of the second pass.
 *
 * training: the learning rate, and the memory before the step.
 */
function play(numbers, fault, training = beginning()) {
  const right = run(numbers, fault?.doubles ? { ...fault, bothPasses: true } : null);
  const hasStep = LESSON.update && !LESSON.examples;
  if (!fault) return { ...right, right, ...(hasStep && reward(right, training)) };
  const wrong = run(numbers, fault);
  if (fault.keeps) {
    const again = run(numbers, fault, wrong.grad);
    again.steps = [...wrong.steps, { kind: "again", node: numbers.length - 1 }, ...again.steps];
    return { ...again, right };
  }
  return { ...wrong, right };
}

/** A training before its first step: what the optimizer remembers of each parameter is null where
 * it has not moved it yet. */
const beginning = () => ({
  rate: Number(LESSON.update?.rate),
  memory: LESSON.update?.parameters.map(({ state }) => state && state.map(Number)),
  losses: [], // before each of the training steps that are behind us
});

/** The optimizer's step, the second forward pass, and how the loss has changed. */
function reward(passes, training) {
  const { steps, next, memory } = update(passes, training);
  const root = LESSON.nodes.length - 1;
  const second = forward(next);
  return {
    next, memory, nextData: second.data,
    steps: [
      ...passes.steps, ...steps, ...second.steps.map((step) => ({ ...step, second: true })),
      { kind: "reward", node: root, second: true, before: passes.data[root], after: second.data[root] },
    ],
  };
}

/** The optimizer's step: one for each parameter, the numbers after it, and what it remembers. */
function update({ data, grad }, { rate, memory }) {
  const { parameters, first, later } = LESSON.update;
  const next = [...data];
  const steps = parameters.map(({ node }, k) => {
    const old = memory[k];
    const [gradient, before] = [grad[node], data[node]];
    const [after, ...kept] =
      old ? laterUpdate(gradient, before, rate, ...old) : firstUpdate(gradient, before, rate);
    next[node] = after;
    return {
      kind: "update", node, before, after, gradient, rate, old, kept, formulas: old ? later : first,
    };
  });
  return { steps, next, memory: steps.map(({ kept }) => kept) };
}

/** The numbers and the training after `count` training steps. */
function trained(numbers, training, count) {
  let { memory, losses: [...losses] } = training;
  for (let i = 0; i < count; i++) {
    const { loss, grad } = meanOverExamples(numbers);
    losses.push(loss);
    ({ next: numbers, memory } = update({ data: numbers, grad }, { ...training, memory }));
  }
  return { numbers, training: { ...training, memory, losses } };
}

/** The numbers with those of an example in its leaves. */
function withExample(numbers, [inputs, target]) {
  const { inputs: nodes, target: node } = LESSON.examples;
  const placed = [...numbers];
  nodes.forEach((i, k) => { placed[i] = inputs[k]; });
  placed[node] = target;
  return placed;
}

/** The numbers for each example of the lesson; for the one in the leaves, if there are no others. */
const everyExample = (numbers) =>
  LESSON.examples?.rows.map((row) => withExample(numbers, row)) ?? [numbers];

/** The mean loss over the examples, and the gradients of that mean. */
function meanOverExamples(numbers) {
  const passes = everyExample(numbers).map((placed) => run(placed));
  const mean = (of) => passes.reduce((sum, each) => sum + of(each), 0) / passes.length;
  return {
    loss: mean(({ data }) => data.at(-1)),
    grad: numbers.map((_, i) => mean(({ grad }) => grad[i])),
  };
}

/** The numbers with which the lesson begins; "Infinity" and "NaN" are texts in it. */
const numbersOfLesson = () => LESSON.nodes.map(({ data }) => Number(data));

/** Each node's number, from the leaves' numbers: the forward pass alone, for many inputs. */
function evaluate(numbers, { nodes } = LESSON) {
  const data = Float64Array.from(numbers);
  nodes.forEach(({ op, operands }, i) => {
    if (op) data[i] = OPS[op].forward(...operands.map((k) => data[k]));
  });
  return data;
}

/** Whether a number is not the right one, by more than rounding. */
const differs = (x, right) =>
  !(Math.abs(x - right) <= 1e-9 * Math.max(1e-6, Math.abs(right)) || Object.is(x, right));

/** The first value, in the order of the passes, that the faulty engine has wrong; or -1. */
function firstWrong({ data, grad, right }) {
  const forward = data.findIndex((x, i) => differs(x, right.data[i]));
  if (forward >= 0) return forward;
  for (let i = grad.length - 1; i >= 0; i--) if (differs(grad[i], right.grad[i])) return i;
  return -1;
}

/** What is known after the first `count` steps: each node's data and grad, or undefined.
 *
 * arrived: how many times each node has received some gradient; flows: what came back along each
 * edge, by "user position".
 */
function stateAfter(steps, count, numbers) {
  const { nodes } = LESSON;
  const data = nodes.map(({ op }, i) => (op ? undefined : numbers[i]));
  let grad = nodes.map(() => undefined);
  const arrived = nodes.map(() => 0);
  const flows = new Map();
  let isSecond = false;
  for (const { kind, node, second, after, user, position, flow } of steps.slice(0, count)) {
    if (kind === "again" || (second && !isSecond)) { // a new graph, over the same leaves
      data.forEach((_, i) => { if (nodes[i].op) data[i] = undefined; });
      grad = grad.map((g, i) => (nodes[i].op || second ? undefined : g));
      arrived.fill(0);
      flows.clear();
      isSecond = second;
    }
    if (kind === "again") continue;
    if (["forward", "update", "reward"].includes(kind)) {
      data[node] = after;
    } else {
      grad[node] = after;
      arrived[node] += 1;
      if (kind === "backward") {
        const edge = `${user} ${position}`;
        flows.set(edge, (flows.get(edge) ?? 0) + flow);
      }
    }
  }
  return { data, grad, arrived, flows };
}

/** How many steps give each node its gradient: one for each use, and one more for the root. */
function expectedSteps() {
  const counts = LESSON.nodes.map(() => 0);
  LESSON.nodes.forEach(({ operands }) => operands?.forEach((k) => { counts[k] += 1; }));
  counts[counts.length - 1] += 1;
  return counts;
}

/** The paths along which a gradient comes from the root to a node. Computed here, and not data of
 * the page: there may be many for each node, and their products change with every number.
 *
 * Gives how many there are, and up to `most` of them, each with its edges [user, position] from
 * the root down, and the product of the local derivatives along them.
 */
function pathsTo(target, partials, most) {
  const { nodes } = LESSON;
  const root = nodes.length - 1;
  const counts = nodes.map((_, i) => (i === target ? 1 : 0)); // from each node down to the target
  nodes.forEach(({ operands }, i) => {
    if (i !== target) operands?.forEach((k) => { counts[i] += counts[k]; });
  });
  const paths = [];
  const stack = [{ node: root, edges: [], product: 1 }];
  while (stack.length && paths.length < most) {
    const { node, edges, product } = stack.pop();
    if (node === target) {
      paths.push({ edges, product });
      continue;
    }
    const { operands = [] } = nodes[node];
    for (let k = operands.length - 1; k >= 0; k--) {
      if (!counts[operands[k]]) continue;
      stack.push({
        node: operands[k], edges: [...edges, [node, k]], product: product * partials[node][k],
      });
    }
  }
  return { count: counts[root], paths };
}

/** The ways to get a step wrong, and the number that each leads to; by the classroom's formulas. */
function mistakesOf(step, partials) {
  const { kind, user, position, upstream, local, before, after } = step;
  if (kind === "forward") return [["sign", -after]];
  if (kind !== "backward") return [];
  const numbers = backwardMistakes(before, after, upstream, local);
  const others = partials[user].filter((_, k) => k !== position);
  return [
    ...LESSON.backwardHints.map((hint, i) => [hint, numbers[i]]),
    ...others.map((other) => ["operand", operandMistake(before, upstream, other)]),
  ];
}

/** What to say to an answer; nothing if it is right. */
function hintFor(given, step, partials) {
  if (isNear(given, step.after)) return "";
  const made = mistakesOf(step, partials).find(([, number]) => isNear(given, number));
  return LESSON.hints[made ? made[0] : step.kind] ?? LESSON.hints.backward;
}
