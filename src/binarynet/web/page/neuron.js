// One neuron counted by hand: its inputs and weights from the file's bits, no engine.
//
//     ±1 · ±1 is XNOR: +1 where both agree, −1 where they differ. So the sum of `depth` products is
//     agree − differ, and what lies outside the image counts 0.

export class Hand {
  #file;
  #weights = new Map();

  constructor(file) {
    this.#file = file;
  }

  op(name) {
    return this.#file.ops.find((op) => op.name === name);
  }

  // The product behind a threshold, if its weights are one bit each.
  product(threshold) {
    const product = this.op(threshold.sources[0]);
    return ["Conv2d", "Linear"].includes(product.op) && product.weight_encoding === "b1" ? product : null;
  }

  #row(product, channel) {
    if (!this.#weights.has(product.name)) this.#weights.set(product.name, this.#file.bits(product.name, "weight"));
    const bits = this.#weights.get(product.name);
    const depth = bits.length / product.weight_shape[0];
    return bits.subarray(channel * depth, (channel + 1) * depth);
  }

  // Inputs and weights of the neuron at (y, x, c), in the order of the file: NaN where a zero lies outside the image.
  gather(product, { y, x, c }, source, shape) {
    const weights = this.#row(product, c);
    if (product.op === "Linear") return { inputs: Float64Array.from(source), weights };
    const [height, width, channels] = shape;
    const [outputs, rows, columns, depth] = product.weight_shape;
    const first = Math.floor(c / (outputs / product.groups)) * (channels / product.groups);
    const inputs = new Float64Array(weights.length);
    let i = 0;
    for (let ky = 0; ky < rows; ++ky)
      for (let kx = 0; kx < columns; ++kx)
        for (let k = 0; k < depth; ++k, ++i) {
          const sy = y * product.stride[0] + ky * product.dilation[0] - product.padding[0][0];
          const sx = x * product.stride[1] + kx * product.dilation[1] - product.padding[1][0];
          const inside = sy >= 0 && sx >= 0 && sy < height && sx < width;
          inputs[i] = inside ? source[(sy * width + sx) * channels + first + k] : product.pad_value || NaN;
        }
    return { inputs, weights };
  }

  // What the counting gives: how many agree and differ, how many count nothing, and the sum.
  static count({ inputs, weights }) {
    let [agree, differ, outside, sum] = [0, 0, 0, 0];
    for (let i = 0; i < inputs.length; ++i) {
      if (Number.isNaN(inputs[i])) {
        ++outside;
        continue;
      }
      const signed = weights[i] ? inputs[i] : -inputs[i];
      sum += signed;
      if (signed > 0) ++agree;
      else ++differ;
    }
    return { agree, differ, outside, sum };
  }

  // The bit that a threshold of one level makes of a sum, and its number t.
  decide(threshold, c, sum) {
    const t = this.#file.tensor(threshold.name, "thresholds")[c];
    const rising = this.#file.bits(threshold.name, "rising")[c] === 1;
    return { t, rising, bit: (sum >= t) === rising ? 1 : -1 };
  }
}
