// The worker, as promises.

export class Engine {
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  #open = new Map();
  #last = 0;

  constructor() {
    this.#worker.onmessage = ({ data: { id, error, kind, ...found } }) => {
      const { resolve, reject } = this.#open.get(id);
      this.#open.delete(id);
      if (error === undefined) resolve(found);
      else reject(Object.assign(new Error(error), { kind }));
    };
    this.#worker.onerror = (event) => {
      for (const { reject } of this.#open.values()) reject(new Error(event.message || "the engine could not be loaded"));
      this.#open.clear();
    };
  }

  #ask(question) {
    return new Promise((resolve, reject) => {
      this.#open.set(++this.#last, { resolve, reject });
      this.#worker.postMessage({ id: this.#last, ...question });
    });
  }

  load(bytes) {
    return this.#ask({ load: bytes });
  }

  run(image, wanted) {
    return this.#ask({ run: image, wanted });
  }
}
