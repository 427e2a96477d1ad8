// @ts-check
// Draws filaments over the micrograph: labels are thick and blue with square ends, traced ones thin and amber. What is
// selected shows its width and its vertices.
import { confidenceColour } from "./boxes.js";
import { bounds, thinned } from "./lines.js";

/** @typedef {import("./lines.js").Line} Line */
/** @typedef {import("./lines.js").Place} Place */
/** @typedef {import("./types.js").Pick} Traced with its line */

const LABEL = "#4fb0ff", PICK = "#ffb020", HALO = "rgba(0, 0, 0, 0.55)", BAND = "rgba(79, 176, 255, 0.2)";
const N_SHADES = 10;
const SHADES = Array.from({ length: N_SHADES }, (_, i) => confidenceColour((i + 0.5) / N_SHADES));
// Below this many lines in sight, each shows its width.
const FEW = 150;
// Pixels of the screen by which a line may leave its place: only lines of few vertices are drawn in time by the thousand.
const OFF_PX = 0.35;

/**
 * @typedef {object} Lines
 * @property {import("./viewport.js").Viewport} viewport
 * @property {number} width of a filament, in pixels of the micrograph
 * @property {Iterable<[number, Line]>} labels
 * @property {Traced[]} picks the surest first
 * @property {boolean} byConfidence
 * @property {number | null} selected number of a label
 * @property {number | null} vertex of the selected one that has the ring
 * @property {Line | null} hovered
 * @property {Line} drawing a filament that is being drawn
 * @property {Place | null} pointer where its next vertex would go
 */

/** Lines with the vertices that a zoom needs. @type {{scale: number, known: WeakMap<Line, Line>}} */
let thin = { scale: 0, known: new WeakMap() };

/** @param {Line} line @param {number} scale @returns {Line} */
function forScale(line, scale) {
  // A step of the wheel changes the scale by a tenth or so: what was thinned for it serves on for a while.
  if (!(scale <= thin.scale && scale > thin.scale / 1.5)) thin = { scale: scale * 1.2, known: new WeakMap() };
  let found = thin.known.get(line);
  if (!found) {
    found = line.length > 3 ? thinned(line, OFF_PX / thin.scale) : line;
    thin.known.set(line, found);
  }
  return found;
}

/** @param {CanvasRenderingContext2D} context scaled to CSS pixels @param {Lines} scene */
export function drawLines(context, scene) {
  const { viewport } = scene;
  context.lineJoin = context.lineCap = "round";
  const seen = /** @type {[number, Line][]} */ ([]);
  for (const one of scene.labels) if (inSight(viewport, one[1], scene.width)) seen.push(one);
  const picks = scene.picks.filter(({ line }) => line && inSight(viewport, line, scene.width));
  if (seen.length + picks.length <= FEW) {
    for (const [, line] of seen) band(context, scene, line, BAND);
  }
  // The surest last, so that it lies on top.
  for (let i = picks.length - 1; i >= 0; i--) {
    const shade = SHADES[Math.min(N_SHADES - 1, Math.floor(picks[i].confidence * N_SHADES))];
    stroke(context, viewport, picks[i].line ?? [], scene.byConfidence ? shade : PICK, 1.6);
  }
  for (const [, line] of seen) {
    stroke(context, viewport, line, LABEL, 2.4);
    for (const end of [line[0], line[line.length - 1]]) dot(context, viewport, end, LABEL, 2.6);
  }
  if (scene.hovered) stroke(context, viewport, scene.hovered, "#ffffff", 1.6);
  for (const [number, line] of seen) if (number === scene.selected) select(context, scene, line);
  if (scene.drawing.length) draw(context, scene);
}

/** @param {import("./viewport.js").Viewport} viewport @param {Line} line @param {number} width */
function inSight(viewport, line, width) {
  const [left, top, right, bottom] = bounds(line);
  const [x0, y0] = viewport.toImage(0, 0), [x1, y1] = viewport.toImage(viewport.width, viewport.height);
  return right >= x0 - width && left <= x1 + width && bottom >= y0 - width && top <= y1 + width;
}

/** @param {CanvasRenderingContext2D} context @param {import("./viewport.js").Viewport} viewport @param {Line} line */
function trace(context, viewport, line) {
  context.beginPath();
  const { scale, x0, y0 } = viewport;
  for (const [x, y] of forScale(line, scale)) context.lineTo((x - x0) * scale, (y - y0) * scale);
}

/** @param {CanvasRenderingContext2D} context @param {import("./viewport.js").Viewport} viewport @param {Line} line @param {string} colour @param {number} wide */
function stroke(context, viewport, line, colour, wide) {
  trace(context, viewport, line);
  context.lineWidth = wide + 2;
  context.strokeStyle = HALO;
  context.stroke();
  context.lineWidth = wide;
  context.strokeStyle = colour;
  context.stroke();
}

/** How wide the filament is. @param {CanvasRenderingContext2D} context @param {Lines} scene @param {Line} line @param {string} colour */
function band(context, scene, line, colour) {
  const wide = scene.width * scene.viewport.scale;
  if (wide < 5) return;
  trace(context, scene.viewport, line);
  context.lineCap = "butt";
  context.lineWidth = wide;
  context.strokeStyle = colour;
  context.stroke();
  context.lineCap = "round";
}

/** @param {CanvasRenderingContext2D} context @param {import("./viewport.js").Viewport} viewport @param {Place} place @param {string} colour @param {number} half */
function dot(context, viewport, place, colour, half) {
  const [x, y] = viewport.toScreen(...place);
  context.fillStyle = HALO;
  context.fillRect(x - half - 1, y - half - 1, 2 * half + 2, 2 * half + 2);
  context.fillStyle = colour;
  context.fillRect(x - half, y - half, 2 * half, 2 * half);
}

/** @param {CanvasRenderingContext2D} context @param {Lines} scene @param {Line} line */
function select(context, scene, line) {
  const { viewport } = scene;
  band(context, scene, line, "rgba(255, 255, 255, 0.2)");
  stroke(context, viewport, line, "#ffffff", 2);
  line.forEach((place, i) => {
    dot(context, viewport, place, "#ffffff", 3);
    if (i !== scene.vertex) return;
    const [x, y] = viewport.toScreen(...place);
    for (const [wide, colour] of /** @type {[number, string][]} */ ([[4, HALO], [2, "#ffffff"]])) {
      context.beginPath();
      context.arc(x, y, 10, 0, 2 * Math.PI);
      context.lineWidth = wide;
      context.strokeStyle = colour;
      context.stroke();
    }
  });
}

/** @param {CanvasRenderingContext2D} context @param {Lines} scene */
function draw(context, scene) {
  const { viewport, drawing } = scene;
  band(context, scene, drawing, BAND);
  if (scene.pointer) {
    const last = drawing[drawing.length - 1];
    context.setLineDash([5, 5]);
    stroke(context, viewport, [last, scene.pointer], "#ffffff", 1.4);
    context.setLineDash([]);
  }
  if (drawing.length > 1) stroke(context, viewport, drawing, LABEL, 2.4);
  for (const place of drawing) dot(context, viewport, place, "#ffffff", 3);
}
