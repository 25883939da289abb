// The package in node: questions in, a line of JSON each, and answers out. tests/web/node.py is the other end.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { load } from "../../src/binarynet/web/npm/index.js";

async function answer({ model: path, images, real, options }) {
  const model = await load(await readFile(path), options);
  const { input, output, classes, isa } = model;
  const raw = await readFile(images);
  const bytes = new Uint8Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
  const given = real ? new Float32Array(bytes.buffer) : bytes;
  const answers = model.run(given);
  const found = { input, output, classes, isa, classified: [...model.classify(given)] };
  model.free();
  return { ...found, answers: Buffer.from(answers.buffer).toString("base64") };
}

for await (const line of createInterface({ input: process.stdin })) {
  let found;
  try {
    found = await answer(JSON.parse(line));
  } catch (error) {
    found = { error: error.message, kind: error.kind ?? error.name };
  }
  console.log(JSON.stringify(found));
}
