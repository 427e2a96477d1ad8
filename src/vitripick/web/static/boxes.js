// @ts-check
// Draws labels, picks and areas over the micrograph. Labels are squares, picks are circles: shape tells them apart,
// and blue from amber does for every kind of colour vision. Thousands of marks are stamps of a few drawn once.

const LABEL = "#4fb0ff";
const PICK = "#ffb020";
/** Of the second set, where two are compared. */
const SECOND = "#3fd9c3";
const HALO = "rgba(0, 0, 0, 0.55)";
const N_SHADES = 10;
const LARGEST_STAMP_PX = 160;
// Above this many marks, small ones are set pixel by pixel: a canvas takes 5 to 10 microseconds for each drawImage.
const MANY = 800;
const LARGEST_SET_PX = 48;

/** From brown to pale yellow: darker is less sure, also in grey. @param {number} confidence @returns {string} */
export function confidenceColour(confidence) {
  const t = Math.min(1, Math.max(0, confidence));
  const stops = [[196, 78, 24], [255, 160, 30], [255, 240, 150]];
  const i = t < 0.5 ? 0 : 1, f = t * 2 - i;
  const [r, g, b] = stops[i].map((v, k) => Math.round(v + (stops[i + 1][k] - v) * f));
  return `rgb(${r} ${g} ${b})`;
}

const SHADES = Array.from({ length: N_SHADES }, (_, i) => confidenceColour((i + 0.5) / N_SHADES));

/** @type {Map<string, HTMLCanvasElement>} */
const stamps = new Map();

/**
 * @param {"square" | "circle" | "cross"} shape
 * @param {number} size in CSS pixels
 * @param {string} colour
 * @param {number} density
 */
function stampOf(shape, size, colour, density) {
  // Marks of one colour come one after the other: mostly it is the same again.
  if (latest && latest.shape === shape && latest.size === size && latest.colour === colour && latest.density === density) {
    return latest.stamp;
  }
  const stamp = findStamp(shape, size, colour, density);
  latest = { shape, size, colour, density, stamp };
  return stamp;
}

/** @type {{shape: string, size: number, colour: string, density: number, stamp: HTMLCanvasElement} | null} */
let latest = null;

/**
 * @param {"square" | "circle" | "cross"} shape
 * @param {number} size in CSS pixels
 * @param {string} colour
 * @param {number} density
 */
function findStamp(shape, size, colour, density) {
  const key = `${shape}/${size.toFixed(1)}/${colour}/${density}`;
  const known = stamps.get(key);
  if (known) return known;
  if (stamps.size > 120) stamps.clear();
  const node = document.createElement("canvas");
  const side = size + 8;
  node.width = node.height = Math.ceil(side * density);
  const context = /** @type {CanvasRenderingContext2D} */ (node.getContext("2d"));
  context.scale(density, density);
  outline(context, shape, node.width / density / 2, node.height / density / 2, size, colour);
  stamps.set(key, node);
  return node;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {"square" | "circle" | "cross"} shape
 * @param {number} x
 * @param {number} y
 * @param {number} size
 * @param {string} colour
 */
function outline(context, shape, x, y, size, colour) {
  const line = size < 10 ? 1.1 : size < 24 ? 1.3 : 1.6;
  for (const [width, style] of /** @type {[number, string][]} */ ([[line + 2, HALO], [line, colour]])) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.beginPath();
    if (shape === "circle") context.arc(x, y, size / 2, 0, 2 * Math.PI);
    else if (shape === "square") context.roundRect(x - size / 2, y - size / 2, size, size, Math.min(4, size / 6));
    else {
      const h = Math.min(size / 4, 8);
      context.moveTo(x - h, y - h); context.lineTo(x + h, y + h);
      context.moveTo(x + h, y - h); context.lineTo(x - h, y + h);
    }
    context.stroke();
  }
}

/**
 * @typedef {object} Scene
 * @property {import("./viewport.js").Viewport} viewport
 * @property {number} density
 * @property {number} boxSize
 * @property {number} pickSize
 * @property {Iterable<[number, number]>} labels
 * @property {import("./types.js").Pick[]} picks
 * @property {import("./types.js").Pick[]} others of a second set
 * @property {Iterable<[number, number]>} rejected
 * @property {Iterable<[number, number][]>} areas
 * @property {[number, number][]} drawing polygon that is being drawn
 * @property {[number, number] | null} selected
 * @property {[number, number] | null} hovered
 * @property {[number, number] | null} pointer where a new box would go
 * @property {{x: number, y: number, radius: number} | null} brush
 * @property {boolean} byConfidence
 * @property {Pixels | null} [set] where marks are set pixel by pixel
 */

/** Marks set pixel by pixel, in whole pixels; what is faint never covers what is there. */
class Pixels {
  /** @param {number} width @param {number} height */
  constructor(width, height) {
    this.image = new ImageData(width, height);
    this.words = new Uint32Array(this.image.data.buffer);
    /** @type {Map<HTMLCanvasElement, {offsets: Int32Array, words: Uint32Array, side: number}>} */
    this.sparse = new Map();
  }

  clear() {
    this.words.fill(0);
  }

  /** @param {HTMLCanvasElement} stamp @param {number} left @param {number} top in device pixels */
  set(stamp, left, top) {
    const { width, height } = this.image;
    let sparse = this.sparse.get(stamp);
    if (!sparse) {
      if (this.sparse.size > 200) this.sparse.clear();
      sparse = sparseOf(stamp, width);
      this.sparse.set(stamp, sparse);
    }
    const { offsets, words, side } = sparse;
    if (left < 0 || top < 0 || left + side > width || top + side > height) return false;
    const start = top * width + left;
    for (let i = 0; i < offsets.length; i++) {
      const at = start + offsets[i];
      if (this.words[at] === 0 || words[i] >>> 24 > 160) this.words[at] = words[i];
    }
    return true;
  }
}

/** The pixels of a stamp that are not clear. @param {HTMLCanvasElement} stamp @param {number} stride */
function sparseOf(stamp, stride) {
  const side = stamp.width;
  const context = /** @type {CanvasRenderingContext2D} */ (stamp.getContext("2d"));
  const all = new Uint32Array(context.getImageData(0, 0, side, side).data.buffer);
  const places = [...all.keys()].filter((i) => all[i] >>> 24 > 24);
  const offsets = Int32Array.from(places, (i) => Math.floor(i / side) * stride + (i % side));
  return { offsets, words: Uint32Array.from(places, (i) => all[i]), side };
}

/** @type {Pixels | null} */
let pixels = null;

/** @param {CanvasRenderingContext2D} context scaled to CSS pixels, cleared @param {Scene} scene */
export function drawScene(context, scene) {
  const { viewport } = scene;
  const size = scene.boxSize * viewport.scale, pickSize = scene.pickSize * viewport.scale;
  scene.set = null;
  if (scene.picks.length + scene.others.length > MANY && pickSize <= LARGEST_SET_PX) {
    const { width, height } = context.canvas;
    if (pixels?.image.width !== width || pixels.image.height !== height) pixels = new Pixels(width, height);
    pixels.clear();
    scene.set = pixels;
    drawPicks(context, scene, pickSize);
    context.putImageData(pixels.image, 0, 0);
    scene.set = null;
  } else {
    drawPicks(context, scene, pickSize);
  }
  for (const area of scene.areas) polygon(context, viewport, area, true);
  if (scene.drawing.length) polygon(context, viewport, scene.drawing, false);
  for (const [x, y] of scene.rejected) mark(context, scene, "cross", x, y, size, "#d0d5da");
  for (const [x, y] of scene.labels) mark(context, scene, "square", x, y, size, LABEL);
  if (scene.hovered) ring(context, viewport, scene.hovered, size + 6, "#ffffff");
  if (scene.selected) {
    ring(context, viewport, scene.selected, size + 14, "#ffffff");
    ring(context, viewport, scene.selected, size + 19, HALO);
  }
  if (scene.pointer) {
    const [x, y] = viewport.toScreen(...scene.pointer);
    context.setLineDash([4, 4]);
    outline(context, "circle", x, y, size, "rgba(255, 255, 255, 0.8)");
    context.setLineDash([]);
  }
  if (scene.brush) {
    context.beginPath();
    context.arc(scene.brush.x, scene.brush.y, scene.brush.radius, 0, 2 * Math.PI);
    context.fillStyle = "rgba(255, 255, 255, 0.16)";
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = "#ffffff";
    context.stroke();
  }
}

/** @param {CanvasRenderingContext2D} context @param {Scene} scene @param {number} size on the screen */
function drawPicks(context, scene, size) {
  // A little larger, so that both are seen where both sets have a particle.
  for (const pick of scene.others) mark(context, scene, "circle", pick.x, pick.y, size + 6, SECOND);
  // The surest last, so that it lies on top.
  for (let i = scene.picks.length - 1; i >= 0; i--) {
    const pick = scene.picks[i];
    const shade = Math.min(N_SHADES - 1, Math.floor(pick.confidence * N_SHADES));
    mark(context, scene, "circle", pick.x, pick.y, size, scene.byConfidence ? SHADES[shade] : PICK);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {"square" | "circle" | "cross"} shape
 * @param {number} imageX
 * @param {number} imageY
 * @param {number} size
 * @param {string} colour
 */
function mark(context, scene, shape, imageX, imageY, size, colour) {
  const [x, y] = scene.viewport.toScreen(imageX, imageY);
  const half = size / 2 + 4;
  if (x < -half || y < -half || x > scene.viewport.width + half || y > scene.viewport.height + half) return;
  if (size > LARGEST_STAMP_PX) {
    outline(context, shape, x, y, size, colour);
    return;
  }
  const stamp = stampOf(shape, size, colour, scene.density);
  const width = stamp.width / scene.density;
  if (scene.set?.set(stamp, Math.round((x - width / 2) * scene.density), Math.round((y - width / 2) * scene.density))) return;
  if (scene.set) return; // cut by the edge: not worth a second layer among thousands
  context.drawImage(stamp, x - width / 2, y - width / 2, width, width);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./viewport.js").Viewport} viewport
 * @param {[number, number]} place
 * @param {number} size
 * @param {string} colour
 */
function ring(context, viewport, place, size, colour) {
  const [x, y] = viewport.toScreen(...place);
  context.beginPath();
  context.arc(x, y, size / 2, 0, 2 * Math.PI);
  context.lineWidth = 2;
  context.strokeStyle = colour;
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./viewport.js").Viewport} viewport
 * @param {[number, number][]} points
 * @param {boolean} closed
 */
function polygon(context, viewport, points, closed) {
  context.beginPath();
  points.forEach(([x, y], i) => {
    const [sx, sy] = viewport.toScreen(x, y);
    if (i) context.lineTo(sx, sy);
    else context.moveTo(sx, sy);
  });
  if (closed) {
    context.closePath();
    context.fillStyle = "rgba(190, 60, 150, 0.25)";
    context.fill();
  }
  for (const [width, style] of /** @type {[number, string][]} */ ([[4, HALO], [2, "#f08ad0"]])) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.stroke();
  }
}

/**
 * A bar of a round length at the lower left.
 * @param {CanvasRenderingContext2D} context
 * @param {import("./viewport.js").Viewport} viewport
 * @param {number | null} pixelSize Å
 */
export function drawScaleBar(context, viewport, pixelSize) {
  const perUnit = pixelSize ? (viewport.scale * 10) / pixelSize : viewport.scale;
  const round = [1, 2, 5].flatMap((n) => [0.1, 1, 10, 100, 1000].map((p) => n * p)).sort((a, b) => a - b);
  const length = round.filter((v) => v * perUnit <= 150).pop() ?? 1;
  const width = length * perUnit;
  const text = `${Number(length.toFixed(1))} ${pixelSize ? "nm" : "px"}`;
  const x = 14, y = viewport.height - 16;
  context.font = "600 12px system-ui, sans-serif";
  const box = Math.max(width, context.measureText(text).width) + 16;
  context.fillStyle = "rgba(12, 15, 17, 0.6)";
  context.beginPath();
  context.roundRect(x - 8, y - 22, box, 32, 6);
  context.fill();
  context.fillStyle = "#ffffff";
  context.fillRect(x, y, width, 3);
  context.fillText(text, x, y - 6);
}
