// @ts-check
// The micrograph on the screen: two canvases, the picture below and the marks above.
import { get, onConnection, ServerError } from "./api.js";
import { drawScaleBar, drawScene } from "./boxes.js";
import { picksToDraw } from "./compare.js";
import { canvas, el, settled as soon, toast } from "./dom.js";
import { drawLines } from "./draw_lines.js";
import { settled, sheet, show } from "./labels.js";
import { loadPicks, pickBoxSize, picksOf } from "./picks.js";
import { pictureOf } from "./picture.js";
import { changed, store, watch } from "./store.js";
import { Viewport } from "./viewport.js";

export const viewport = new Viewport();
const pictureCanvas = canvas("picture"), overlayCanvas = canvas("overlay");
const message = el("stage-message");

/** @type {import("./picture.js").Picture | null} */
let picture = null;
/** The filters that it was made with. */
let pictureFilter = "";
let density = 1;
let wantPicture = true, wantOverlay = true, scheduled = false;
/** Which micrograph was asked for last. */
let wanted = "";
/** What to do when the server is back. @type {() => void} */
let openAgain = () => {};
onConnection((reachable, entered) => {
  if (!reachable || !entered) return;
  openAgain();
  openAgain = () => {};
});

/** What tools show: the pointer's box, the brush, what is selected. */
export const marks = {
  /** @type {[number, number] | null} */ selected: null,
  /** @type {[number, number] | null} */ hovered: null,
  /** @type {[number, number] | null} */ pointer: null,
  /** @type {{x: number, y: number, radius: number} | null} */ brush: null,
  /** @type {[number, number][]} */ drawing: [],
};

/** What filaments add to that; the tools for them fill it. @type {Pick<import("./draw_lines.js").Lines, "selected" | "vertex" | "hovered" | "drawing" | "pointer">} */
export const lineMarks = { selected: null, vertex: null, hovered: null, drawing: [], pointer: null };

/** How long things took, for tests and the curious. */
export const timings = { drawMs: 0, frames: 0, showMs: 0 };

export const currentPicture = () => picture;

/** @returns {import("./picture.js").Look} */
export function look() {
  const { auto = true, dark = 0, bright = 255, invert = false } = store.settings.view;
  return { auto, dark, bright, invert };
}

/** Of the box: noise finer than this hides a particle, coarser smoothing would hide its edge. */
const FIRST_LOW_PASS = 0.08;

/** Filters, in Å (pixels where no pixel size is known); until the user chose one, the noise is calmed a little. */
export function filters() {
  const { low, high = 0 } = store.settings.view;
  const one = sheet();
  const calm = one ? Number((FIRST_LOW_PASS * one.boxSize * (one.pixelSize ?? 1)).toPrecision(2)) : 0;
  return { low: low ?? calm, high };
}

/** A denoised picture has no low-pass of its own. */
export const filterQuery = () =>
  store.settings.view.denoised ? `denoised=1&high=${filters().high}` : `low=${filters().low}&high=${filters().high}`;

/** @param {boolean} withPicture whether more than the marks has changed */
export function redraw(withPicture = true) {
  wantOverlay = true;
  wantPicture ||= withPicture;
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(draw);
}

function draw() {
  scheduled = false;
  const started = performance.now();
  if (wantPicture) {
    const context = cleared(pictureCanvas);
    if (picture) picture.draw(context, viewport, look(), density, () => redraw());
    wantPicture = false;
  }
  if (wantOverlay) {
    drawOverlay(cleared(overlayCanvas));
    wantOverlay = false;
  }
  timings.drawMs = performance.now() - started;
  timings.frames += 1;
}

/** @param {CanvasRenderingContext2D} context */
function drawOverlay(context) {
  const one = sheet();
  if (!one?.shape) return;
  const { showLabels = true, showPicks = true, byConfidence = true } = store.settings.view;
  drawScene(context, {
    viewport, density, byConfidence,
    boxSize: one.boxSize,
    pickSize: pickBoxSize(),
    labels: showLabels ? one.labels.values() : [],
    ...(showPicks && !store.settings.filaments ? picksToDraw() : { picks: [], others: [] }),
    rejected: showPicks && store.settings.pick_set ? one.rejected.values() : [],
    areas: one.areas.values(),
    ...marks,
  });
  if (store.settings.filaments) drawLines(context, linesToDraw(one, showLabels, showPicks));
  drawScaleBar(context, viewport, one.pixelSize);
}

/** @param {import("./labels.js").LabelSheet} one @param {boolean} showLabels @param {boolean} showPicks @returns {import("./draw_lines.js").Lines} */
function linesToDraw(one, showLabels, showPicks) {
  const { byConfidence = true } = store.settings.view;
  return {
    viewport, byConfidence, width: one.boxSize,
    labels: showLabels ? one.lines : [],
    picks: showPicks ? picksToDraw().picks : [],
    ...lineMarks,
  };
}

/** @param {HTMLCanvasElement} node */
function cleared(node) {
  const context = /** @type {CanvasRenderingContext2D} */ (node.getContext("2d"));
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, node.width, node.height);
  context.setTransform(density, 0, 0, density, 0, 0);
  return context;
}

function resize() {
  const box = el("canvas-box").getBoundingClientRect();
  density = Math.min(2, window.devicePixelRatio || 1);
  for (const node of [pictureCanvas, overlayCanvas]) {
    node.width = Math.max(1, Math.round(box.width * density));
    node.height = Math.max(1, Math.round(box.height * density));
  }
  const middle = viewport.toImage(viewport.width / 2, viewport.height / 2);
  viewport.width = box.width;
  viewport.height = box.height;
  if (viewport.fitted) viewport.fit();
  else viewport.centreOn(...middle);
  changed("view");
}

/** @param {string} text shown instead of a picture; "" takes it away */
function say(text) {
  message.textContent = text;
  message.hidden = !text;
}

/**
 * Show a micrograph; the next one is fetched meanwhile.
 * @param {string} id
 * @param {string[]} following ids to have ready
 */
export async function openMicrograph(id, following) {
  wanted = id;
  const started = performance.now();
  const slow = setTimeout(() => wanted === id && say("reading…"), 250);
  // Where the filter follows from the box, the first micrograph of all must say its size before.
  let filter = filterQuery();
  let pending = sheet() ? pictureOf(id, filter) : null;
  pending?.catch(() => {});
  try {
    await settled(id);
    const answer = await get(`api/micrographs/${id}`);
    if (wanted !== id) return;
    const before = viewport.shape;
    show(answer);
    Object.assign(marks, { selected: null, hovered: null, drawing: [] });
    if (answer.shape) {
      viewport.shape = answer.shape;
      // The place is kept from micrograph to micrograph of one shape only where the user zoomed in.
      if (viewport.fitted || before[0] !== answer.shape[0] || before[1] !== answer.shape[1]) viewport.fit();
    }
    changed("current");
    loadPicks();
    if (!pending || filterQuery() !== filter) pending = pictureOf(id, (filter = filterQuery()));
    const arrived = await pending;
    if (wanted !== id) return;
    picture = arrived;
    pictureFilter = filter;
    say("");
    timings.showMs = performance.now() - started;
  } catch (error) {
    if (wanted !== id) return;
    picture = null;
    say(/** @type {Error} */ (error).message);
    if (error instanceof ServerError && (error.status === 0 || error.status === 401)) {
      // The micrograph is not at fault: it is opened as soon as the server is back.
      openAgain = () => wanted === id && openMicrograph(id, following);
      return;
    }
    const row = store.byId.get(id);
    if (row && !row.error) row.error = /** @type {Error} */ (error).message;
    changed("rows");
  } finally {
    clearTimeout(slow);
  }
  redraw();
  changed("focus"); // the bar shows the contrast of this picture
  for (const next of following) {
    pictureOf(next, filterQuery()).catch(() => {});
    picksOf(next).catch(() => {});
  }
}

/** The filters have changed: another picture of the same micrograph. */
export async function refilter() {
  const id = sheet()?.id;
  if (!id) return;
  const filter = filterQuery();
  try {
    const arrived = await pictureOf(id, filter);
    if (sheet()?.id !== id || filterQuery() !== filter) return;
    picture = arrived;
    pictureFilter = filter;
    redraw();
    changed("focus");
  } catch (error) {
    toast(/** @type {Error} */ (error).message, "bad");
  }
}

/**
 * Bring a place to the middle and mark it.
 * @param {number} x
 * @param {number} y
 */
export function goTo(x, y) {
  const one = sheet();
  if (!one) return;
  // A particle should be about a tenth of the view.
  const wantedScale = Math.min(viewport.width, viewport.height) / (one.boxSize * 9);
  if (viewport.scale < wantedScale) viewport.scale = wantedScale;
  viewport.centreOn(x, y);
  marks.selected = [x, y];
  changed("view");
}

export function startViewer() {
  new ResizeObserver(resize).observe(el("canvas-box"));
  resize();
  watch(["view"], () => redraw());
  // Box and pixel size decide the filter until the user chose one.
  const filterSoon = soon(() => picture && filterQuery() !== pictureFilter && refilter(), 120);
  watch(["labels", "settings", "view"], filterSoon);
  watch(["labels", "picks", "settings", "current"], () => redraw(false));
}
