// A pad to draw on, in white on black as MNIST is: pointer events for mouse, finger and pen, and the keyboard.

const STEP = 8;

export class Pad {
  #canvas;
  #ink;
  #shown;
  #pen = { x: 140, y: 60, down: false };
  #changed;

  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#shown = canvas.getContext("2d");
    // What is drawn lies apart from what is shown, where the keyboard's pen is drawn on top.
    const ink = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    this.#ink = ink.getContext("2d", { willReadFrequently: true });
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (this.#pen.down = false));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => this.#show());
    this.clear();
  }

  get ink() {
    return this.#ink.canvas;
  }

  clear() {
    this.#ink.fillStyle = "#000";
    this.#ink.fillRect(0, 0, this.ink.width, this.ink.height);
    this.#pen.down = false;
    this.#done();
  }

  // A picture, as large as it fits.
  paint(picture) {
    this.clear();
    const { width, height } = this.ink;
    const scale = Math.min(width / picture.width, height / picture.height);
    const [w, h] = [picture.width * scale, picture.height * scale];
    this.#ink.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
    this.#done();
  }

  stroke(points) {
    for (let i = 1; i < points.length; ++i) this.#line(...points[i - 1], ...points[i]);
    this.#done();
  }

  #line(x0, y0, x1, y1) {
    const width = this.ink.width / 13; // two pixels of MNIST's 28
    Object.assign(this.#ink, { strokeStyle: "#fff", lineWidth: width, lineCap: "round", lineJoin: "round" });
    this.#ink.beginPath();
    this.#ink.moveTo(x0, y0);
    this.#ink.lineTo(x1, y1);
    this.#ink.stroke();
  }

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.ink.width, ((event.clientY - box.top) / box.height) * this.ink.height];
  }

  #begin(event) {
    this.#canvas.setPointerCapture(event.pointerId);
    [this.#pen.x, this.#pen.y] = this.#place(event);
    this.#pen.down = true;
    this.#line(this.#pen.x, this.#pen.y, this.#pen.x + 0.1, this.#pen.y);
    this.#done();
  }

  #move(event) {
    if (!this.#pen.down || !event.buttons) return;
    for (const each of event.getCoalescedEvents?.().concat(event) ?? [event]) this.#to(...this.#place(each));
    this.#done();
  }

  #to(x, y) {
    if (this.#pen.down) this.#line(this.#pen.x, this.#pen.y, x, y);
    [this.#pen.x, this.#pen.y] = [x, y];
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (move) {
      const to = (place, by, most) => Math.max(0, Math.min(most, place + by * STEP));
      this.#to(to(this.#pen.x, move[0], this.ink.width), to(this.#pen.y, move[1], this.ink.height));
    } else if (event.key === " ") {
      this.#pen.down = !this.#pen.down;
      if (this.#pen.down) this.#line(this.#pen.x, this.#pen.y, this.#pen.x + 0.1, this.#pen.y);
    } else if (event.key === "Delete") {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
    this.#done();
  }

  #done() {
    this.#show();
    this.#changed();
  }

  #show() {
    this.#shown.drawImage(this.ink, 0, 0);
    if (document.activeElement !== this.#canvas || !this.#canvas.matches(":focus-visible")) return;
    Object.assign(this.#shown, { strokeStyle: this.#pen.down ? "#ff4d4d" : "#4da3ff", lineWidth: 2 });
    this.#shown.beginPath();
    this.#shown.arc(this.#pen.x, this.#pen.y, 12, 0, 7);
    this.#shown.stroke();
  }
}
