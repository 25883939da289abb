// Values as pictures: one tile a channel, white for +1, dark for −1; and back from a place of the picture to a neuron.

const GAP = 1;
const TILE = 48; // pixels of the screen that a tile is about wide, of a narrow one less

// How the channels of [height, width, channels], or the features of a vector, are laid out in so many pixels.
export class Layout {
  constructor(shape, room) {
    this.vector = shape.length === 1;
    [this.height, this.width, this.channels] = this.vector ? [1, 1, shape[0]] : shape;
    this.gap = this.vector ? 0 : GAP;
    this.zoom = Math.max(1, Math.min(8, Math.round((room < 500 ? TILE / 2 : TILE) / this.width), Math.floor(room / this.width)));
    const most = Math.max(1, Math.floor((room / this.zoom + this.gap) / (this.width + this.gap)));
    this.across = Math.min(this.channels, most, this.vector ? 64 : 32);
    this.columns = this.across * (this.width + this.gap) - this.gap;
    this.rows = Math.ceil(this.channels / this.across) * (this.height + this.gap) - this.gap;
  }

  place(y, x, c) {
    return [(c % this.across) * (this.width + this.gap) + x, Math.floor(c / this.across) * (this.height + this.gap) + y];
  }

  // The neuron at a pixel of the picture, or null between tiles.
  at(column, row) {
    const [tx, ty] = [Math.floor(column / (this.width + this.gap)), Math.floor(row / (this.height + this.gap))];
    const [x, y, c] = [column - tx * (this.width + this.gap), row - ty * (this.height + this.gap), ty * this.across + tx];
    return x < 0 || y < 0 || x >= this.width || y >= this.height || tx >= this.across || c >= this.channels ? null : { y, x, c };
  }
}

export function draw(canvas, layout, colour) {
  Object.assign(canvas, { width: layout.columns, height: layout.rows });
  canvas.style.width = `${layout.columns * layout.zoom}px`;
  const context = canvas.getContext("2d");
  const image = context.createImageData(layout.columns, layout.rows);
  for (let y = 0; y < layout.height; ++y)
    for (let x = 0; x < layout.width; ++x)
      for (let c = 0; c < layout.channels; ++c) {
        const [column, row] = layout.place(y, x, c);
        image.data.set([...colour((y * layout.width + x) * layout.channels + c), 255], 4 * (row * layout.columns + column));
      }
  context.putImageData(image, 0, 0);
}

export const PLUS = [250, 250, 245], MINUS = [38, 50, 74], OUTSIDE = [200, 60, 50], MARK = [255, 140, 0];

// Numbers as shades between the lowest and the highest of them; ±1 as the two colours.
export function shades(numbers) {
  let [low, high] = [Infinity, -Infinity];
  for (const number of numbers) (low = Math.min(low, number)), (high = Math.max(high, number));
  const span = high - low || 1;
  return (i) => PLUS.map((plus, k) => MINUS[k] + ((plus - MINUS[k]) * (numbers[i] - low)) / span);
}
