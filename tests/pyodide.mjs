// Runs a Python file in Pyodide: node pyodide.mjs PYODIDE_PACKAGE WHEEL FILE
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, wheel, file] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`));
const pyodide = await loadPyodide();
pyodide.unpackArchive(new Uint8Array(readFileSync(wheel)), "wheel");
console.log(await pyodide.runPythonAsync(readFileSync(file, "utf-8")));
