// @ts-check
// A second axis beside confidence: how much a pick differs from its surroundings. What lies outside a drawn box can be rejected.
import { line, note, plotOn } from "./charts.js";
import { button, canvas, count, el, toast } from "./dom.js";
import { edit, sheet } from "./labels.js";
import { pickBoxSize, shownPicks } from "./picks.js";
import { store, watch } from "./store.js";
import { currentPicture } from "./viewer.js";

const PAD = 22;
/** Ends of the axis, in standard deviations of the micrograph as it is shown. */
const LEAST = -1, MOST = 3;

/** @typedef {import("./types.js").Pick} Pick */
/** Left, right (confidence), bottom, top (contrast). @type {[number, number, number, number] | null} */
let box = null;
/** @type {[number, number] | null} */
let start = null;
/** @type {{key: unknown[], contrast: number[]}} */
let known = { key: [], contrast: [] };

const isOpen = () => /** @type {HTMLDetailsElement} */ (el("second-axis")).open && !el("page-picks").hidden;

/** How much darker the middle of each pick is than the ring around it, in standard deviations. @param {Pick[]} picks @returns {number[]} */
function contrasts(picks) {
  const picture = currentPicture(), one = sheet();
  if (!picture || !one?.shape || picture.id !== one.id) return [];
  const key = [picture, picks, pickBoxSize()];
  if (key.every((value, i) => value === known.key[i])) return known.contrast;
  const { pixels, width, height } = picture.whole.grey;
  const scale = width / one.shape[1], radius = (pickBoxSize() / 2) * scale;
  let sum = 0, squares = 0, n = 0;
  for (let i = 0; i < pixels.length; i += 37, n++) {
    sum += pixels[i];
    squares += pixels[i] ** 2;
  }
  const spread = Math.sqrt(Math.max(1, squares / n - (sum / n) ** 2));
  const step = Math.max(1, radius / 8);
  const contrast = picks.map(({ x, y }) => {
    let inner = 0, nInner = 0, outer = 0, nOuter = 0;
    for (let dy = -1.5 * radius; dy <= 1.5 * radius; dy += step) {
      for (let dx = -1.5 * radius; dx <= 1.5 * radius; dx += step) {
        const far = Math.hypot(dx, dy) / radius, px = Math.round(x * scale + dx), py = Math.round(y * scale + dy);
        if (far > 1.5 || px < 0 || py < 0 || px >= width || py >= height) continue;
        if (far <= 0.9) (inner += pixels[py * width + px]), nInner++;
        else if (far >= 1.1) (outer += pixels[py * width + px]), nOuter++;
      }
    }
    return nInner && nOuter ? (outer / nOuter - inner / nInner) / spread : 0;
  });
  known = { key, contrast };
  return contrast;
}

/** @returns {Pick[]} picks that the box leaves out */
function outside() {
  const picks = shownPicks(), contrast = contrasts(picks);
  if (!box || !contrast.length) return [];
  const [left, right, bottom, top] = box;
  return picks.filter(({ confidence }, i) => {
    const c = Math.min(MOST, Math.max(LEAST, contrast[i]));
    return confidence < left || confidence > right || c < bottom || c > top;
  });
}

function draw() {
  if (!isOpen()) return;
  const plot = plotOn(canvas("scatter"));
  if (!plot) return;
  const { context, width, height, colour } = plot, picks = shownPicks(), contrast = contrasts(picks);
  const x = (/** @type {number} */ v) => PAD + v * (width - PAD - 4);
  const y = (/** @type {number} */ v) => height - PAD - ((Math.min(MOST, Math.max(LEAST, v)) - LEAST) / (MOST - LEAST)) * (height - PAD - 4);
  line(plot, [[x(0), y(MOST)], [x(0), y(LEAST)], [x(1), y(LEAST)]], colour("line"), 1);
  line(plot, [[x(0), y(0)], [x(1), y(0)]], colour("line"), 1);
  note(plot, "0", x(0) - 5, y(0) + 4, "right");
  note(plot, "confidence", x(0.5), height - 7, "center");
  note(plot, "contrast", x(0) + 5, y(MOST) + 10);
  context.fillStyle = colour("pick");
  picks.forEach(({ confidence }, i) => contrast.length && context.fillRect(x(confidence) - 1.5, y(contrast[i]) - 1.5, 3, 3));
  if (box) line(plot, [[x(box[0]), y(box[2])], [x(box[1]), y(box[2])], [x(box[1]), y(box[3])], [x(box[0]), y(box[3])], [x(box[0]), y(box[2])]], colour("label"), 2);
  const n = outside().length;
  button("reject-outside").disabled = !n || store.readOnly;
  button("reject-outside").textContent = box ? `Reject ${count(n, "pick")} outside the box` : "Draw a box around what to keep";
}

/** @param {PointerEvent} event @returns {[number, number]} confidence and contrast */
function placeOf(event) {
  const at = canvas("scatter").getBoundingClientRect();
  const share = (event.clientX - at.left - PAD) / (at.width - PAD - 4), up = (at.bottom - PAD - event.clientY) / (at.height - PAD - 4);
  return [Math.min(1, Math.max(0, share)), LEAST + Math.min(1, Math.max(0, up)) * (MOST - LEAST)];
}

function reject() {
  const one = sheet(), picks = outside();
  if (!one || store.readOnly || !picks.length) return;
  edit({ reject: picks.map(({ x, y }) => [one.number(), x, y]) });
  toast(`${count(picks.length, "pick")} rejected here; Ctrl+Z brings them back.`);
}

export function startScatter() {
  canvas("scatter").addEventListener("pointerdown", (event) => {
    canvas("scatter").setPointerCapture(event.pointerId);
    start = placeOf(event);
  });
  canvas("scatter").addEventListener("pointermove", (event) => {
    if (!start) return;
    const [a, b] = start, [c, d] = placeOf(event);
    box = [Math.min(a, c), Math.max(a, c), Math.min(b, d), Math.max(b, d)];
    draw();
  });
  canvas("scatter").addEventListener("pointerup", () => {
    start = null;
    if (box && (box[1] - box[0] < 0.01 || box[3] - box[2] < 0.02)) box = null;
    draw();
  });
  button("reject-outside").addEventListener("click", reject);
  el("second-axis").addEventListener("toggle", draw);
  watch(["picks", "settings", "labels", "current", "focus"], draw);
}
