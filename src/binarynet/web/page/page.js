// The page: what is drawn goes to the engine, what it answers is shown. Text out of files is only ever text.

import { codes, pixels, shapeOf } from "./codes.js";
import { Engine } from "./engine.js";
import { Layers } from "./layers.js";
import { Pad } from "./pad.js";

const $ = (id) => document.getElementById(id);
const MODELS = new URL("../models/", import.meta.url);
const SEVEN = [[70, 70], [205, 70], [190, 110], [150, 170], [130, 230]];
const MOST = 256 << 20; // bytes of a model's file

const engine = new Engine();
let model = null;
let running = false;
let again = false;
let voice = 0;

const layers = new Layers(
  { layers: $("layers"), filters: $("filters"), text: $("hand-text"), bits: $("hand-bits"), legend: $("hand-legend") },
  () => ask(),
);
const pad = new Pad($("pad"), () => ask());

function problem(error) {
  $("problem").textContent = error ? String(error.message ?? error) : "";
}

async function use(bytes, name) {
  problem("");
  try {
    if (bytes.byteLength > MOST) throw new Error(`${name}: more than ${MOST >> 20} MB`);
    const found = await engine.load(bytes);
    if (!shapeOf(found.model.input)) throw new Error(`${name} takes ${found.model.input.shape} numbers, which are no picture`);
    model = { ...found.model, name, milliseconds: found.milliseconds };
  } catch (error) {
    return problem(`${name}: ${error.message}`);
  }
  layers.show(bytes, model);
  await ask();
}

// One question at a time; what was drawn meanwhile is asked next.
async function ask() {
  if (!model) return;
  if (running) {
    again = true;
    return;
  }
  running = true;
  try {
    do {
      again = false;
      const shape = shapeOf(model.input);
      const image = pixels(pad.ink, shape, $("centre").checked);
      const given = codes(image, shape, model.input.encoding);
      const seen = Object.assign($("seen"), { width: shape[1], height: shape[0] });
      seen.getContext("2d").putImageData(image, 0, 0);
      const of = model;
      const found = await engine.run(given, layers.wanted);
      if (of !== model) continue;
      answer(found);
      layers.fill(given, found.values);
    } while (again);
  } catch (error) {
    problem(error);
  } finally {
    running = false;
  }
}

const shown = (number, real) => (real ? number.toFixed(2) : String(number));

function answer({ answer: numbers, microseconds }) {
  const order = [...numbers.keys()].sort((a, b) => numbers[b] - numbers[a]);
  const name = (i) => model.classes[i] ?? String(i);
  $("answer").textContent = name(order[0]);
  const rows = numbers.length <= 16 ? [...numbers.keys()] : order.slice(0, 10);
  const [low, high] = [numbers[order.at(-1)], numbers[order[0]]];
  const real = model.output.type === 2;
  $("bars").tBodies[0].replaceChildren(...rows.map((i) => bar(name(i), numbers[i], low, high, i === order[0], real)));
  const facts = {
    "One answer": `${microseconds < 1000 ? `${microseconds.toFixed(0)} µs` : `${(microseconds / 1000).toFixed(1)} ms`}, one thread (${model.isa})`,
    "The model": `${model.bytes.toLocaleString("en")} bytes, read and checked in ${model.milliseconds.toFixed(0)} ms`,
    "It takes": `${model.input.shape.join(" × ")} numbers of ${model.input.encoding}`,
  };
  const pairs = Object.entries(facts).flatMap(([term, fact]) =>
    [Object.assign(document.createElement("dt"), { textContent: term }), Object.assign(document.createElement("dd"), { textContent: fact })]);
  $("numbers").replaceChildren(...pairs);
  clearTimeout(voice); // a reader says what stands, not every stroke
  voice = setTimeout(() => ($("said").textContent = `The answer is ${name(order[0])}`), 600);
}

function bar(name, number, low, high, best, real) {
  const row = document.createElement("tr");
  row.className = best ? "best" : "";
  const head = Object.assign(document.createElement("th"), { scope: "row", textContent: name, title: name });
  const meter = Object.assign(document.createElement("meter"), { min: 0, max: 1, value: high > low ? (number - low) / (high - low) : 0 });
  meter.setAttribute("aria-hidden", "true");
  const cells = [meter, document.createTextNode(shown(number, real))].map((content) => {
    const cell = document.createElement("td");
    cell.append(content);
    return cell;
  });
  row.append(head, ...cells);
  return row;
}

async function take(file) {
  if (!file) return;
  if (file.name.endsWith(".bnn")) return use(new Uint8Array(await file.arrayBuffer()), file.name);
  try {
    const picture = await createImageBitmap(file);
    $("centre").checked = false;
    pad.paint(picture);
  } catch {
    problem(`${file.name} is no picture that this browser reads, and no .bnn file`);
  }
}

async function fetched(name) {
  const answer = await fetch(new URL(`${encodeURIComponent(name)}.bnn`, MODELS));
  if (!answer.ok) return problem(`${name}: ${answer.status} ${answer.statusText}`);
  await use(new Uint8Array(await answer.arrayBuffer()), name);
}

for (const id of ["picture", "model"])
  $(id).addEventListener("change", ({ target }) => {
    take(target.files[0]);
    target.value = "";
  });
$("clear").addEventListener("click", () => pad.clear());
$("example").addEventListener("click", () => {
  pad.clear();
  $("centre").checked = true;
  pad.stroke(SEVEN);
});
$("centre").addEventListener("change", () => ask());
$("models").addEventListener("change", ({ target }) => fetched(target.value));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  take(event.dataTransfer.files[0]);
});

const names = await (await fetch(new URL("index.json", MODELS))).json();
$("models").replaceChildren(...names.map((name) => new Option(name, name)));
await fetched(names[0]);
pad.stroke(SEVEN);
