// A picture → the codes that a model's input takes (docs/data.md), and the codes → the numbers that they mean.

// What a picture has to become: [height, width, channels]; of a flat input the square that it stands for.
export function shapeOf(input) {
  if (input.shape.length === 3) return input.shape;
  const [features] = input.shape;
  for (const channels of [1, 3]) {
    const side = Math.round(Math.sqrt(features / channels));
    if (side * side * channels === features) return [side, side, channels];
  }
  return null;
}

function scratch(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  Object.assign(context, { imageSmoothingEnabled: true, imageSmoothingQuality: "high", fillStyle: "#000" });
  context.fillRect(0, 0, width, height);
  return context;
}

// The box of what is not black, and its centre of mass; null where all is black.
function extent({ data, width, height }) {
  let [left, top, right, bottom, sum, sumX, sumY] = [width, height, -1, -1, 0, 0, 0];
  for (let y = 0; y < height; ++y)
    for (let x = 0; x < width; ++x) {
      const light = data[4 * (y * width + x)];
      if (light < 32) continue;
      left = Math.min(left, x), right = Math.max(right, x), top = Math.min(top, y), bottom = Math.max(bottom, y);
      sum += light, sumX += light * x, sumY += light * y;
    }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1, x: sumX / sum, y: sumY / sum };
}

// As MNIST was made: the drawing fills 20 of 28 pixels, and its centre of mass is the centre.
function centred(source, width, height) {
  const box = extent(source.getContext("2d").getImageData(0, 0, source.width, source.height));
  const made = scratch(width, height);
  if (!box) return made;
  const scale = ((20 / 28) * Math.min(width, height)) / Math.max(box.width, box.height);
  // Not so far that a part of it falls off the edge.
  const within = (place, size, most) => Math.max(0, Math.min(most - size * scale, place));
  const x = within(width / 2 - (box.x - box.left) * scale, box.width, width);
  const y = within(height / 2 - (box.y - box.top) * scale, box.height, height);
  made.drawImage(source, box.left, box.top, box.width, box.height, x, y, box.width * scale, box.height * scale);
  return made;
}

// RGBA of the size that the model takes.
export function pixels(source, [height, width], centre) {
  if (centre) return centred(source, width, height).getImageData(0, 0, width, height);
  const made = scratch(width, height);
  made.drawImage(source, 0, 0, width, height);
  return made.getImageData(0, 0, width, height);
}

const GREY = [0.299, 0.587, 0.114];

export function codes({ data }, [height, width, channels], encoding) {
  const count = height * width;
  const real = encoding === "f32";
  const made = real ? new Float32Array(count * channels) : new Uint8Array(count * channels);
  const highest = real ? 1 : 2 ** Number(encoding.slice(1)) - 1;
  for (let i = 0; i < count; ++i)
    for (let c = 0; c < channels; ++c) {
      const grey = GREY.reduce((sum, part, k) => sum + part * data[4 * i + k], 0);
      const byte = channels === 1 ? Math.round(grey) : c < 3 ? data[4 * i + c] : 0;
      made[i * channels + c] = real ? byte / 255 : Math.round((byte / 255) * highest);
    }
  return made;
}

// What codes mean as numbers: of b8 2c − 255, of u8 c.
export function numbers(given, encoding) {
  if (encoding === "f32") return given;
  const highest = 2 ** Number(encoding.slice(1)) - 1;
  return Int32Array.from(given, (code) => (encoding[0] === "b" ? 2 * code - highest : code));
}
