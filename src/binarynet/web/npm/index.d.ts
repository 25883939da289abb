/** Why a file or an image is refused. */
export type Kind =
  | "file" | "safetensors" | "json" | "version" | "checksum" | "fields" | "tensors" | "rules" | "limits"
  | "argument" | "input" | "unavailable" | "memory" | "internal";

export class BinaryNetError extends Error {
  constructor(kind: Kind, text: string);
  readonly kind: Kind;
}

export interface Options {
  /** The op whose value is the answer, by name; without it the last of the file. */
  output?: string;
  /** An instruction set: "wasm" (the default) or "portable". */
  isa?: "wasm" | "portable";
  /** What every product must run on (docs/kernels.md); without it the cheapest for each. */
  kernel?: string;
  /** The most that a file may ask for (docs/format.md). */
  limits?: Partial<Record<"ops" | "values" | "macs" | "memory", number | bigint>>;
}

/** What one image is, or one answer. */
export interface Value {
  /** [features], or [height, width, channels]. */
  readonly shape: readonly number[];
  /** "b8": raw bytes; "b1": 0 and 1 as an input, ±1 as an answer; "f32"; "i32" … (docs/format.md). */
  readonly encoding: string;
  readonly numbers: number;
  readonly bytes: number;
  /** 0: Uint8Array, 1: Int32Array, 2: Float32Array. */
  readonly type: 0 | 1 | 2;
  /** The largest byte that is a code; 0 where the type is another. */
  readonly highest: number;
}

export interface Op {
  readonly op: string;
  readonly name: string;
  readonly sources: readonly string[];
  readonly [field: string]: unknown;
}

/** What stands in the file: its ops, texts and tensors. Its texts are whatever the file holds: never HTML. */
export interface File {
  readonly ops: readonly Op[];
  readonly meta: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, { dtype: "U64" | "I32" | "F32"; shape: readonly number[] }>;
  tensor(op: string, field: string): BigUint64Array | Int32Array | Float32Array | null;
  /** A packed field as 0 and 1, row behind row. */
  bits(op: string, field: string): Uint8Array;
}

export interface Model {
  readonly input: Value;
  readonly output: Value;
  /** A file may have several answers, which stand one behind the other in `output`; `classify` reads the first. */
  readonly answers: readonly (Value & { readonly name: string })[];
  /** The names of the classes, or none. */
  readonly classes: readonly string[];
  readonly isa: string;
  /** Of the file. */
  readonly bytes: number;
  readonly file: File;
  /** One image or several, one behind the other, each in the order height, width, channels. */
  run(images: Uint8Array | Uint8ClampedArray | Float32Array): Int32Array | Float32Array;
  /** The class of each image: where its answer is largest, the first of equals. */
  classify(images: Uint8Array | Uint8ClampedArray | Float32Array): Uint32Array;
  free(): void;
}

/** The model in a .bnn file, from its URL or its bytes. */
export function load(source: string | URL | ArrayBuffer | ArrayBufferView, options?: Options): Promise<Model>;
