// One image, and several, from bytes to logits: this package beside onnxruntime-web and tfjs, which run the same network
// in float32, each on one thread, in turn in one run of node.
//
//     node compare.mjs MODULES MODEL.bnn FLOAT.onnx IMAGES [seconds]
//
// MODULES: the folder that `npm install` filled; FLOAT.onnx: what benchmarks/web/float_net.py makes of the model. The same
// network in float32 is the same products in the same shapes, with a ReLU where ours has a threshold.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, model, float, images, seconds = "6"] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), "package.json"));
const raw = new Uint8Array(readFileSync(images));

async function ours() {
  const { load } = await import("../../src/binarynet/web/npm/index.js");
  const made = await load(new Uint8Array(readFileSync(model)));
  return { name: "binarynet", made, run: (bytes) => made.run(bytes) };
}

const reals = (bytes) => Float32Array.from(bytes, (byte) => byte / 255);

async function onnx({ input }) {
  const ort = await import(pathToFileURL(require.resolve("onnxruntime-web")));
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(readFileSync(float), { executionProviders: ["wasm"] });
  const [height, width, channels] = input.shape;
  const run = async (bytes, count) => {
    const image = new ort.Tensor("float32", reals(bytes), [count, channels, height, width]);
    const { logits } = await session.run({ image });
    return logits.data;
  };
  return { name: "onnxruntime-web", run };
}

async function tfjs({ input, file }) {
  const tf = require("@tensorflow/tfjs-core");
  const wasm = require("@tensorflow/tfjs-backend-wasm");
  wasm.setWasmPaths(join(resolve(modules), "node_modules/@tensorflow/tfjs-backend-wasm/dist/"));
  wasm.setThreadsCount(1);
  await tf.setBackend("wasm");
  const kept = new Map();
  const weight = (op, shape) => kept.get(op.name) ?? kept.set(op.name, tf.keep(tf.randomUniform(shape, -1, 1))).get(op.name);
  const rules = {
    Conv2d(x, op) {
      const [out, kh, kw, depth] = op.weight_shape;
      const padded = tf.pad(x, [[0, 0], ...op.padding, [0, 0]]);
      return tf.conv2d(padded, weight(op, [kh, kw, depth, out]), op.stride, "valid");
    },
    Linear: (x, op) => tf.matMul(x, weight(op, [...op.weight_shape].reverse())),
    Threshold: (x) => tf.relu(x),
    MaxPool2d: (x, op) => tf.maxPool(x, op.kernel, op.stride, "valid"),
    Flatten: (x) => tf.reshape(x, [x.shape[0], -1]),
    Affine: (x) => x,
  };
  const run = (bytes, count) =>
    tf.tidy(() => {
      let x = tf.tensor(reals(bytes), [count, ...input.shape]);
      for (const op of file.ops.slice(1)) x = rules[op.op](x, op);
      return x.dataSync();
    });
  return { name: "tfjs (wasm)", run };
}

const us = await ours();
const all = [us, await onnx(us.made), await tfjs(us.made)];
const rows = [];
for (const count of [1, 16]) {
  const given = raw.subarray(0, count * us.made.input.numbers);
  const times = all.map(() => []);
  for (const { run } of all) for (let i = 0; i < 5; ++i) await run(given, count);
  const end = performance.now() + (Number(seconds) * 1000) / 2;
  while (performance.now() < end)
    for (const [which, { run }] of all.entries()) {
      const begin = performance.now();
      await run(given, count);
      times[which].push(((performance.now() - begin) * 1000) / count);
    }
  for (const [which, { name }] of all.entries()) {
    const sorted = times[which].sort((a, b) => a - b);
    const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
    rows.push({ images: count, engine: name, median: at(0.5), lowest: sorted[0], ninety: at(0.9), runs: sorted.length });
  }
}
for (const row of rows) {
  const first = rows.find((each) => each.images === row.images);
  Object.assign(row, { ratio: row.median / first.median, ratioOfLowest: row.lowest / first.lowest });
}
console.log(JSON.stringify(rows));
process.exit(0);
