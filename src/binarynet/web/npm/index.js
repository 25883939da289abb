// binarynet: run .bnn models in a browser, in a worker, or in node.
//
//     import { load } from "binarynet";
//     const model = await load("mnist-small.bnn");           // a URL, or the bytes of a file
//     const logits = model.run(image);                       // Uint8Array of 784 → Float32Array of 10
//     const [digit] = model.classify(image);
//
// One image, or several one behind the other, each in the order height, width, channels. The integers are those of
// every other engine (docs/browser.md).

import { engine, guarded, read } from "./engine.js";
import { File } from "./file.js";

const TYPES = [Uint8Array, Int32Array, Float32Array];
// bnn_options and bnn_value of native/library/binarynet.h, with pointers of 32 bits.
const OPTIONS = { size: 64, isa: 4, kernel: 8, ops: 24, values: 32, macs: 40, memory: 48, output: 56 };
const VALUE = { type: 0, encoding: 4, rank: 8, shape: 12, numbers: 24, bytes: 28, highest: 32 };
const freed = new FinalizationRegistry(({ c, address }) => c.bnn_free(address));

/** A file or an image is refused: `kind` is one of docs/format.md's, or argument, input, unavailable, memory. */
export class BinaryNetError extends Error {
  constructor(kind, text) {
    super(text);
    this.name = "BinaryNetError";
    this.kind = kind;
  }
}

function check(made, status) {
  if (status) throw new BinaryNetError(made.text(made.c.bnn_status_name(status)), made.text(made.c.bnn_error()));
}

/** The model in a .bnn file, from its URL or its bytes. */
export async function load(source, options = {}) {
  const bytes = await bytesOf(source);
  const made = await engine();
  return guarded(() => new Model(made, bytes, options));
}

async function bytesOf(source) {
  if (typeof source === "string" || source instanceof URL) return read(source);
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  throw new TypeError("binarynet: load takes a URL, or the bytes of a .bnn file");
}

// The options as they lie in memory, for the time of a call.
function withOptions(made, { isa, kernel, output, limits = {} }, body) {
  const held = [made.take(OPTIONS.size)];
  const [address] = held;
  try {
    made.bytes.fill(0, address, address + OPTIONS.size);
    made.view.setUint32(address, OPTIONS.size, true);
    for (const [name, text] of Object.entries({ isa, kernel, output })) {
      if (text === undefined || text === null) continue;
      held.push(made.putText(String(text)));
      made.view.setUint32(address + OPTIONS[name], held.at(-1), true);
    }
    for (const name of ["ops", "values", "macs", "memory"])
      made.view.setBigUint64(address + OPTIONS[name], BigInt(limits[name] ?? 0), true);
    return body(address);
  } finally {
    for (const each of held) made.c.free(each);
  }
}

function describe(made, address) {
  const shape = [0, 1, 2].map((i) => made.word(address + VALUE.shape + 4 * i));
  return Object.freeze({
    shape: Object.freeze(shape.slice(0, made.word(address + VALUE.rank))),
    encoding: made.text(made.word(address + VALUE.encoding)),
    numbers: made.word(address + VALUE.numbers),
    bytes: made.word(address + VALUE.bytes),
    type: made.word(address + VALUE.type),
    highest: made.word(address + VALUE.highest),
  });
}

/** A loaded model. `free` gives its memory back at once; else that happens when it is no longer reachable. */
export class Model {
  #made;
  #address;

  constructor(made, bytes, options) {
    this.#made = made;
    const { c } = made;
    const file = made.put(bytes);
    const slot = made.take(4);
    try {
      check(made, withOptions(made, options, (given) => c.bnn_load_bytes(file, bytes.byteLength, given, slot)));
      this.#address = made.word(slot);
    } finally {
      c.free(file);
      c.free(slot);
    }
    freed.register(this, { c, address: this.#address }, this);
    this.input = describe(made, c.bnn_inputs(this.#address) >>> 0);
    this.output = describe(made, c.bnn_outputs(this.#address) >>> 0);
    this.answers = Object.freeze(Array.from({ length: c.bnn_answers(this.#address) }, (_, i) =>
      Object.freeze({ name: made.text(c.bnn_answer_name(this.#address, i)), ...describe(made, c.bnn_answer(this.#address, i) >>> 0) })));
    this.isa = made.text(c.bnn_isa(this.#address));
    this.classes = [];
    for (let i = 0, name; (name = made.text(c.bnn_class_name(this.#address, i))) !== null; ++i) this.classes.push(name);
    this.bytes = bytes.byteLength;
    this.file = new File(bytes.slice());
  }

  /** The answers to one image or several: `output.numbers` for each. */
  run(images) {
    return this.#call(images, this.output.bytes, TYPES[this.output.type], (given, count, answers) =>
      this.#made.c.bnn_run(this.#address, given, count, answers));
  }

  /** The class of each image: where its answer is largest, the first of equals. */
  classify(images) {
    return this.#call(images, 4, Uint32Array, (given, count, classes) =>
      this.#made.c.bnn_classify(this.#address, given, count, classes));
  }

  #call(images, bytesOfAnswer, Type, body) {
    if (!this.#address) throw new BinaryNetError("argument", "the model has been freed");
    const count = this.#count(images);
    return guarded(() => {
      const made = this.#made;
      const given = made.put(images);
      let answers = 0;
      try {
        answers = made.take(count * bytesOfAnswer);
        check(made, body(given, count, answers));
        return new Type(made.bytes.slice(answers, answers + count * bytesOfAnswer).buffer);
      } finally {
        made.c.free(given);
        made.c.free(answers);
      }
    });
  }

  // How many images there are in an array of the one type that the model takes.
  #count(images) {
    const real = this.input.type === 2;
    const fits = real ? images instanceof Float32Array : images instanceof Uint8Array || images instanceof Uint8ClampedArray;
    const wanted = `a ${real ? "Float32Array" : "Uint8Array"} of ${this.input.numbers} numbers for each image`;
    if (!fits) throw new TypeError(`binarynet: the model takes ${wanted}`);
    if (images.length % this.input.numbers)
      throw new RangeError(`binarynet: ${images.length} numbers are no whole images; the model takes ${wanted}`);
    return images.length / this.input.numbers;
  }

  free() {
    if (!this.#address) return;
    freed.unregister(this);
    this.#made.c.bnn_free(this.#address);
    this.#address = 0;
  }
}
