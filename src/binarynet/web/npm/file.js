// What stands in a .bnn file, read without running it: ops, their fields, and their tensors (docs/format.md).
//
// The engine has taken the file before this reads it, so it is what the page of the format says.

const ARRAYS = { U64: BigUint64Array, I32: Int32Array, F32: Float32Array };

export class File {
  constructor(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = Number(view.getBigUint64(0, true));
    const { __metadata__: metadata, ...tensors } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    const graph = JSON.parse(metadata.binarynet);
    this.ops = graph.ops;
    this.meta = new Map(Object.entries(graph.meta));
    this.bytes = bytes;
    this.data = 8 + length;
    this.tensors = new Map(Object.entries(tensors));
  }

  // A tensor, by op and field, as a typed array of its own; null where the op has none of that name.
  tensor(op, field) {
    const entry = this.tensors.get(`${op}.${field}`);
    if (!entry) return null;
    const [begin, end] = entry.data_offsets;
    const copy = this.bytes.slice(this.data + begin, this.data + end);
    return new ARRAYS[entry.dtype](copy.buffer);
  }

  // Bits of a yes / no field, or of the one plane of a b1 weight: (rows, depth) as 0 and 1, one row behind the other.
  bits(op, field) {
    const { [`${field}_shape`]: shape } = this.ops.find((each) => each.name === op);
    const words = this.tensor(op, field);
    const rows = shape.length > 1 ? shape[0] : 1;
    const depth = shape.reduce((product, size) => product * size, 1) / rows;
    const bytes = new Uint8Array(words.buffer);
    const stride = 8 * Math.ceil(depth / 64);
    const bits = new Uint8Array(rows * depth);
    for (let row = 0; row < rows; ++row)
      for (let i = 0; i < depth; ++i) bits[row * depth + i] = (bytes[row * stride + (i >> 3)] >> (i & 7)) & 1;
    return bits;
  }
}
