// The WebAssembly module, made once: its memory, and strings and bytes in and out of it.
//
// The module is libbinarynet (docs/embed.md). It needs no file, no network and no thread. Of what a C library may ask
// of its system it asks for the time of day and for a way to stop; the rest answers that there is nothing.

const NO_SUCH_FILE = 8; // WASI's EBADF
const encoder = new TextEncoder();
const decoder = new TextDecoder();

class Engine {
  constructor(instance) {
    this.c = instance.exports;
  }

  // Views are made anew: memory that has grown is another buffer.
  get bytes() {
    return new Uint8Array(this.c.memory.buffer);
  }

  get view() {
    return new DataView(this.c.memory.buffer);
  }

  word(address) {
    return this.view.getUint32(address, true);
  }

  // Memory for so many bytes, aligned for every number.
  take(count) {
    const address = this.c.malloc(Math.max(count, 1)) >>> 0;
    if (!address) throw new RangeError(`binarynet: not enough memory for ${count} bytes`);
    return address;
  }

  put(bytes) {
    const address = this.take(bytes.byteLength);
    this.bytes.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), address);
    return address;
  }

  // The text behind an address, or null.
  text(address) {
    address >>>= 0;
    if (!address) return null;
    const bytes = this.bytes;
    return decoder.decode(bytes.slice(address, bytes.indexOf(0, address)));
  }

  putText(text) {
    if (text.includes("\0")) throw new TypeError("binarynet: a name holds no NUL");
    return this.put(encoder.encode(`${text}\0`));
  }
}

function imports(memory) {
  const view = () => new DataView(memory().buffer);
  const none = () => NO_SUCH_FILE;
  return {
    env: { emscripten_notify_memory_growth() {} },
    wasi_snapshot_preview1: {
      clock_time_get(clock, precision, address) {
        view().setBigUint64(address, BigInt(Math.round(performance.now() * 1e6)), true);
        return 0;
      },
      environ_sizes_get(count, size) {
        view().setUint32(count, 0, true);
        view().setUint32(size, 0, true);
        return 0;
      },
      environ_get: () => 0,
      fd_close: none,
      fd_read: none,
      fd_seek: none,
      fd_write: none,
      proc_exit(code) {
        throw new WebAssembly.RuntimeError(`the engine stopped (${code})`);
      },
    },
  };
}

// The bytes of a URL. Node reads files itself, because its `fetch` does not.
export async function read(url) {
  const address = new URL(url, globalThis.location?.href ?? "file:///");
  if (address.protocol === "file:" && globalThis.process?.versions?.node) {
    const { readFile } = await import("node:fs/promises");
    return new Uint8Array(await readFile(address));
  }
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address.href}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

let made = null;

// The one engine of this thread. After a fault it is made again.
export function engine() {
  made ??= make().catch((error) => {
    made = null;
    throw error;
  });
  return made;
}

async function make() {
  let instance = null;
  const bytes = await read(new URL("./binarynet.wasm", import.meta.url));
  ({ instance } = await WebAssembly.instantiate(bytes, imports(() => instance.exports.memory)));
  instance.exports._initialize();
  return new Engine(instance);
}

// Runs what calls into the module. What traps there leaves its memory in no known state, so the engine is given up.
export function guarded(body) {
  try {
    return body();
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) made = null;
    throw error;
  }
}
