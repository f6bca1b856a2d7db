// Runs scripts one after the other, each with a global object of its own: those of earlier scripts
// are not seen. A line of standard input is a script as JSON; a line of output says what it printed.
import { createInterface } from "node:readline";
import { createContext, runInContext } from "node:vm";

for await (const line of createInterface({ input: process.stdin })) {
  const printed = [];
  const console = { log: (text) => printed.push(text) };
  let error = null;
  try {
    runInContext(JSON.parse(line), createContext({ console, process }));
  } catch (thrown) {
    error = String(thrown?.stack ?? thrown);
  }
  process.stdout.write(`${JSON.stringify({ printed: printed.join("\n"), error })}\n`);
}
