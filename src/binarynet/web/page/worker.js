// The engine, in a thread of its own: the pen never waits for a network.
//
//     {id, load: bytes}             → {model: {input, output, classes, isa, bytes}, milliseconds}
//     {id, run: image, wanted: […]} → {answer, values: {op: {numbers, shape, encoding}}, microseconds}
import { load } from "../npm/index.js";

let bytes = null;
let whole = null;
let inside = new Map(); // op → the model that ends in it

async function take(given) {
  const begin = performance.now();
  const model = await load(given);
  const milliseconds = performance.now() - begin;
  for (const each of [whole, ...inside.values()]) each?.free();
  [bytes, whole, inside] = [given, model, new Map()];
  const { input, output, classes, isa } = model;
  return { model: { input, output, classes, isa, bytes: model.bytes }, milliseconds };
}

async function answer(image, wanted) {
  const answer = whole.run(image);
  const microseconds = time(() => whole.run(image));
  const values = {};
  for (const op of wanted) {
    if (!inside.has(op)) inside.set(op, await load(bytes, { output: op }));
    const model = inside.get(op);
    values[op] = { numbers: model.run(image), shape: model.output.shape, encoding: model.output.encoding };
  }
  return { answer, values, microseconds };
}

// The median of a few runs: what a browser's clock shows of a single one is coarse.
function time(body) {
  const end = performance.now() + 8;
  const times = [];
  do {
    const begin = performance.now();
    for (let i = 0; i < 4; ++i) body();
    times.push(((performance.now() - begin) / 4) * 1000);
  } while (performance.now() < end);
  return times.sort((a, b) => a - b)[times.length >> 1];
}

// One after the other: what is asked while a model loads waits for it.
let last = Promise.resolve();
self.onmessage = ({ data: { id, load: given, run, wanted } }) => {
  last = last.then(async () => {
    try {
      self.postMessage({ id, ...(given ? await take(given) : await answer(run, wanted)) });
    } catch (error) {
      self.postMessage({ id, error: String(error.message), kind: error.kind ?? error.name });
    }
  });
};
