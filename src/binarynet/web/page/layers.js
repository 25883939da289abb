// The layers of a model, a picture each, and the neuron that one points at, counted by hand.

import { File } from "../npm/file.js";
import { numbers } from "./codes.js";
import { draw, Layout, MARK, MINUS, OUTSIDE, PLUS, shades } from "./maps.js";
import { Hand } from "./neuron.js";

const SHOWN = ["Threshold", "MaxPool2d", "SumPool2d", "Add"];
const SMALL = 4 << 20; // bytes of a file, times its layers, up to which all layers are open at once

const element = (tag, properties, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const text = (number) => number.toLocaleString("en");
const by = (shape) => shape.join(" × ");

export class Layers {
  #places;
  #file;
  #hand;
  #sections = new Map(); // op → {op, canvas, note, box, layout, point}
  #values = {};
  #codes = null;
  #input;
  #changed;
  #pointed = null;

  // places: the elements of the page; changed: called when other layers are wanted than before.
  constructor(places, changed) {
    this.#places = places;
    this.#changed = changed;
  }

  show(bytes, model) {
    this.#file = new File(bytes);
    this.#hand = new Hand(this.#file);
    this.#input = model.input;
    this.#pointed = null;
    this.#sections.clear();
    this.#values = {};
    const shown = this.#file.ops.filter((op) => SHOWN.includes(op.op));
    const open = bytes.length * shown.length <= SMALL;
    this.#places.layers.replaceChildren(...shown.map((op) => this.#section(op, open)));
    this.#places.filters.replaceChildren(...this.#filters());
    this.#places.text.textContent =
      "Point at a bit of a layer, or go there with the Tab key and the arrows: its XNOR is counted here.";
    this.#places.bits.hidden = this.#places.legend.hidden = true;
  }

  // The ops whose values are to be shown, and what a neuron that is pointed at is made of.
  get wanted() {
    const found = new Set();
    for (const { op, box } of this.#sections.values()) if (box.open) found.add(op.name);
    if (this.#pointed)
      for (const name of [this.#pointed.op.name, ...this.#behind(this.#pointed.op)]) found.add(name);
    return [...found].filter((name) => this.#hand.op(name).op !== "Input");
  }

  #behind(op) {
    if (op.op !== "Threshold") return [];
    const product = this.#hand.product(op);
    return product ? [product.name, ...product.sources] : op.sources;
  }

  fill(codes, values) {
    this.#codes = codes;
    this.#values = values;
    for (const section of this.#sections.values()) if (values[section.op.name]) this.#draw(section);
    this.#count();
  }

  #section(op, open) {
    const canvas = element("canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "application");
    const title = op.op === "Threshold" ? `${op.sources[0]} → ${op.name}` : op.name;
    const note = element("span", { className: "small" });
    const box = element("details", { open }, element("summary", {}, element("h3", { textContent: title }), " ", note), canvas);
    const section = { op, canvas, note, box, layout: null, point: { y: 0, x: 0, c: 0 } };
    box.addEventListener("toggle", () => box.open && this.#changed());
    canvas.addEventListener("pointerdown", (event) => this.#at(section, event));
    canvas.addEventListener("pointermove", (event) => event.pointerType === "mouse" && this.#at(section, event));
    canvas.addEventListener("keydown", (event) => this.#key(section, event));
    canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && this.#point(section, section.point));
    this.#sections.set(op.name, section);
    return box;
  }

  #draw(section) {
    const { op, canvas, note } = section;
    const { numbers, shape, encoding } = this.#values[op.name];
    const layout = (section.layout = new Layout(shape, Math.max(200, this.#places.layers.clientWidth - 30)));
    const bits = encoding === "b1";
    const plus = bits ? numbers.reduce((sum, number) => sum + (number > 0), 0) : 0;
    const crossed = op.op === "Threshold" ? "thresholds crossed" : "are +1";
    note.textContent = bits
      ? `${op.op}, ${by(shape)} bits: ${text(plus)} of ${text(numbers.length)} ${crossed}`
      : `${op.op}, ${by(shape)} numbers of ${encoding}`;
    canvas.setAttribute("aria-label", `${op.name}: ${note.textContent}. Arrows move to a neuron, Page Up and Down to another channel.`);
    draw(canvas, layout, bits ? (i) => (numbers[i] > 0 ? PLUS : MINUS) : shades(numbers));
    if (this.#pointed === section) this.#mark(section);
  }

  #mark({ canvas, layout, point }) {
    const context = canvas.getContext("2d");
    const [column, row] = layout.place(point.y, point.x, point.c);
    context.fillStyle = `rgb(${MARK.join(" ")})`;
    context.fillRect(column, row, 1, 1);
  }

  #at(section, event) {
    if (!section.layout) return;
    const box = section.canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * section.layout.columns);
    const row = Math.floor(((event.clientY - box.top) / box.height) * section.layout.rows);
    const point = section.layout.at(column, row);
    if (point) this.#point(section, point);
  }

  #key(section, event) {
    const moves = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", -1], ArrowDown: ["y", 1], PageUp: ["c", -1], PageDown: ["c", 1] };
    const move = moves[event.key];
    const { layout } = section;
    if (!move || !layout) return;
    event.preventDefault();
    const axis = layout.vector ? "c" : move[0];
    const step = layout.vector && move[0] === "y" ? move[1] * layout.across : move[1];
    const most = { y: layout.height, x: layout.width, c: layout.channels }[axis];
    const to = Math.max(0, Math.min(most - 1, section.point[axis] + step));
    this.#point(section, { ...section.point, [axis]: to });
  }

  #point(section, point) {
    const before = this.#pointed;
    if (before === section && ["y", "x", "c"].every((axis) => before.point[axis] === point[axis])) return;
    section.point = point;
    this.#pointed = section;
    for (const each of new Set([before, section])) if (each && this.#values[each.op.name]) this.#draw(each);
    if (this.wanted.every((name) => this.#values[name])) this.#count();
    else this.#changed();
  }

  // What stands behind an op: its numbers and shape, those of the input from the image.
  #value(name) {
    const op = this.#hand.op(name);
    if (op.op !== "Input") return this.#values[name];
    return { numbers: numbers(this.#codes, op.encoding), shape: op.shape, encoding: op.encoding };
  }

  #count() {
    if (!this.#pointed || !this.#values[this.#pointed.op.name]) return;
    const { op, point, layout } = this.#pointed;
    const { text: place, bits, legend } = this.#places;
    const index = (point.y * layout.width + point.x) * layout.channels + point.c;
    const bit = this.#values[op.name].numbers[index];
    const where = layout.vector ? `neuron ${point.c}` : `channel ${point.c}, row ${point.y}, column ${point.x}`;
    const product = op.op === "Threshold" && this.#hand.product(op);
    bits.hidden = legend.hidden = true;
    if (!product || !this.#values[product.name]) {
      place.textContent = `${op.name}, ${where}: ${bit > 0 ? "+" : ""}${bit}.`;
      return;
    }
    const source = this.#value(product.sources[0]);
    if (!source) return;
    const taps = this.#hand.gather(product, point, source.numbers, source.shape);
    const { agree, differ, outside, sum } = Hand.count(taps);
    const said = this.#values[product.name].numbers[index];
    const { t, rising, bit: made } = this.#hand.decide(op, point.c, sum);
    const one = source.encoding === "b1";
    const outer = outside ? `, ${text(outside)} lie outside the image and count 0` : "";
    const counted = one
      ? `Of ${text(taps.inputs.length)} inputs and weights ${text(agree)} agree (XNOR 1), ${text(differ)} differ${outer}: ${text(agree)} − ${text(differ)} = ${sum}.`
      : `${text(taps.inputs.length)} numbers of ${source.encoding}, added where the weight is +1 and taken away where it is −1${outer}: ${sum}.`;
    const verdict = sum === said && made === bit ? "as the engine says" : `but the engine says ${said} and ${bit}`;
    const rule = `The bit is +1 ${rising ? `from ${t} on` : `below ${t}`}: here ${made > 0 ? "+1" : "−1"}`;
    place.textContent = `${op.name}, ${where}. ${counted} ${rule}, ${verdict}.`;
    if (one) this.#words(taps);
    bits.hidden = legend.hidden = !one;
  }

  // Words of 64 bits: inputs, weights, and where they agree.
  #words({ inputs, weights }) {
    const { bits: canvas } = this.#places;
    const words = Math.min(32, Math.ceil(inputs.length / 64));
    Object.assign(canvas, { width: 64, height: words * 4 - 1 });
    const image = new ImageData(64, words * 4 - 1);
    for (let i = 0; i < Math.min(inputs.length, words * 64); ++i) {
      const outside = Number.isNaN(inputs[i]);
      const colours = [outside ? OUTSIDE : inputs[i] > 0 ? PLUS : MINUS, weights[i] ? PLUS : MINUS];
      colours.push(outside ? OUTSIDE : inputs[i] > 0 === (weights[i] === 1) ? PLUS : MINUS);
      colours.forEach((colour, line) => image.data.set([...colour, 255], 4 * ((Math.floor(i / 64) * 4 + line) * 64 + (i % 64))));
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  // The first layer's weights as small images, if they are bits: of a Linear in the shape of the image.
  #filters() {
    const first = this.#file.ops.find((op) => ["Conv2d", "Linear"].includes(op.op));
    if (!first || first.weight_encoding !== "b1") return [];
    const [outputs, ...rest] = first.weight_shape;
    const image = this.#input.shape.length === 3 ? this.#input.shape : null;
    const side = Math.sqrt(rest[0]);
    const [height, width, depth] = first.op === "Conv2d" ? rest : (image ?? (Number.isInteger(side) ? [side, side, 1] : [1, rest[0], 1]));
    const bits = this.#file.bits(first.name, "weight");
    const layout = new Layout([height, width, outputs], Math.max(200, this.#places.layers.clientWidth - 30));
    const canvas = element("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `The ${outputs} filters of ${first.name}, ${by([height, width])} weights of one bit each`);
    draw(canvas, layout, (i) => {
      const [place, c] = [Math.floor(i / outputs), i % outputs];
      const weights = [0, 1, 2].map((k) => bits[c * height * width * depth + place * depth + Math.min(k, depth - 1)]);
      return depth === 3 ? weights.map((bit) => (bit ? 255 : 40)) : weights[0] ? PLUS : MINUS;
    });
    const note = element("span", { className: "small", textContent: `${text(outputs)} × ${by(rest)} weights, a bit each` });
    return [element("details", { open: true }, element("summary", {}, element("h3", { textContent: `${first.name}: first filters` }), " ", note), canvas)];
  }
}
