// @ts-check
// Mouse, pen and keys on the micrograph: one mode does all. Shapes of areas are the only other one.
import { el, press, toast } from "./dom.js";
import { edit, labelAt, sheet } from "./labels.js";
import { pickAt, shownPicks } from "./picks.js";
import { changed, store, watch } from "./store.js";
import { marks, redraw, viewport } from "./viewer.js";

/** Movement below this, in screen pixels, is a click. */
const STILL_PX = 4;
const overlay = el("overlay");

/** @type {"label" | "area"} */
let tool = "label";
/** @type {{kind: "pan" | "move" | "brush" | "press", number?: number, from?: [number, number], x: number, y: number, moved: boolean, labels?: Set<number>, picks?: Set<import("./types.js").Pick>} | null} */
let drag = null;
let spaceHeld = false;
/** @type {number | null} the label that Del takes */
let target = null;
/** @type {[number, number] | null} */
let pointerAt = null;

const boxSize = () => sheet()?.boxSize ?? 100;
/** Within this of a centre the pointer is on a box. */
const reach = () => Math.max(boxSize() / 2, 7 / viewport.scale);
const brushRadius = () => Math.max((boxSize() * viewport.scale) / 2, 14);
const labelsShown = () => store.settings.view.showLabels !== false;
const picksShown = () => store.settings.view.showPicks !== false;

/** @param {PointerEvent | MouseEvent | WheelEvent} event @returns {[number, number]} */
function screenPlace(event) {
  const box = overlay.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

/** @param {"label" | "area"} next */
export function setTool(next) {
  tool = next;
  marks.drawing = [];
  press(el("tool-label"), tool === "label");
  press(el("tool-area"), tool === "area");
  const hint = el("tool-hint");
  hint.hidden = tool !== "area";
  hint.textContent = "Click the corners; double-click or Enter closes, Esc leaves, right-click removes an area";
  redraw(false);
}

/** @param {PointerEvent} event */
function down(event) {
  overlay.focus({ preventScroll: true });
  const [x, y] = screenPlace(event);
  const place = viewport.toImage(x, y);
  overlay.setPointerCapture(event.pointerId);
  if (event.button === 1 || spaceHeld || (store.readOnly && event.button === 0)) {
    drag = { kind: "pan", x, y, moved: false };
  } else if (tool === "area") {
    if (event.button === 2) removeArea(place);
    else drag = { kind: "press", x, y, moved: false };
  } else if (event.button === 2 || (event.button === 0 && event.altKey)) {
    takeAway(place);
  } else if (event.button === 0 && event.shiftKey) {
    drag = { kind: "brush", x, y, moved: false, labels: new Set(), picks: new Set() };
    brush(x, y);
  } else if (event.button === 0) {
    const number = labelsShown() ? labelAt(...place, reach()) : null;
    const at = number === null ? undefined : sheet()?.labels.get(number);
    if (number !== null && at) {
      drag = { kind: "move", number, from: [at[0] - place[0], at[1] - place[1]], x, y, moved: false };
      target = number;
      marks.selected = at;
      redraw(false);
    } else {
      drag = { kind: "press", x, y, moved: false };
    }
  }
}

/** @param {PointerEvent} event */
function move(event) {
  const [x, y] = screenPlace(event);
  const place = viewport.toImage(x, y);
  pointerAt = place;
  if (drag) {
    if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < STILL_PX) return;
    drag.moved = true;
    if (drag.kind === "pan" || drag.kind === "press") {
      // Dragging empty ground moves the micrograph; only a click adds.
      overlay.classList.add("panning");
      viewport.pan(x - drag.x, y - drag.y);
      [drag.x, drag.y] = [x, y];
      marks.pointer = null;
      changed("view");
    } else if (drag.kind === "move" && drag.from && drag.number !== undefined) {
      const to = clamped(place[0] + drag.from[0], place[1] + drag.from[1]);
      // Only on the screen for now: the edit is one, when the button goes up.
      sheet()?.labels.set(drag.number, to);
      marks.selected = to;
      redraw(false);
    } else if (drag.kind === "brush") {
      brush(x, y);
    }
  } else {
    hover(place, event);
  }
  changed("focus");
}

/** @param {[number, number]} place @param {PointerEvent | MouseEvent} event */
function hover(place, event) {
  const number = labelsShown() && tool === "label" ? labelAt(...place, reach()) : null;
  const pick = number === null && picksShown() && tool === "label" ? pickAt(...place, reach() * 0.7) : null;
  const at = number !== null ? sheet()?.labels.get(number) : pick ? /** @type {[number, number]} */ ([pick.x, pick.y]) : null;
  marks.hovered = at ?? null;
  const inside = viewport.contains(...place);
  marks.pointer = !at && inside && tool === "label" && !store.readOnly && !event.shiftKey && !spaceHeld ? place : null;
  marks.brush = null;
  overlay.classList.toggle("on-label", number !== null);
  redraw(false);
}

/** @param {PointerEvent} event */
function up(event) {
  const one = sheet();
  const ended = drag;
  drag = null;
  overlay.classList.remove("panning", "brush");
  if (!ended || !one) return;
  const place = viewport.toImage(...screenPlace(event));
  if (ended.kind === "press" && !ended.moved) {
    if (tool === "area") marks.drawing.push(place);
    else addAt(place);
  } else if (ended.kind === "move" && ended.moved && ended.number !== undefined) {
    const to = one.labels.get(ended.number);
    if (to) edit({ move: [[ended.number, ...to]] });
  } else if (ended.kind === "brush") {
    marks.brush = null;
    const picks = [...(ended.picks ?? [])];
    edit({ remove: [...(ended.labels ?? [])], reject: picks.map((pick) => [one.number(), pick.x, pick.y]) });
  }
  if (ended.kind !== "pan") hover(place, event);
  redraw(false);
}

/** @param {[number, number]} place */
function addAt(place) {
  const one = sheet();
  if (!one?.shape || store.readOnly || !viewport.contains(...place)) return;
  // On a pick, the click accepts it where the model has it.
  const pick = picksShown() ? pickAt(...place, boxSize() * 0.35) : null;
  const number = one.number();
  edit({ add: [[number, ...(pick ? rounded(pick.x, pick.y) : rounded(...place))]] });
  target = number;
  marks.selected = null;
}

/** Delete the label at a place, or reject the pick there. @param {[number, number]} place */
function takeAway(place) {
  const one = sheet();
  if (!one || store.readOnly) return;
  const number = labelsShown() ? labelAt(...place, reach()) : null;
  if (number !== null) {
    edit({ remove: [number] });
    marks.selected = marks.hovered = null;
    return;
  }
  const pick = picksShown() ? pickAt(...place, reach()) : null;
  if (pick) reject(pick);
}

/** @param {import("./types.js").Pick} pick */
export function reject(pick) {
  const one = sheet();
  if (!one || store.readOnly) return;
  edit({ reject: [[one.number(), pick.x, pick.y]] });
  marks.selected = marks.hovered = null;
}

/** @param {number} x @param {number} y on the screen */
function brush(x, y) {
  const one = sheet();
  if (!one || !drag?.labels || !drag.picks || store.readOnly) return;
  const radius = brushRadius();
  overlay.classList.add("brush");
  marks.brush = { x, y, radius };
  marks.pointer = marks.hovered = null;
  const [imageX, imageY] = viewport.toImage(x, y);
  const within = (radius / viewport.scale) ** 2;
  if (labelsShown()) {
    for (const [n, [lx, ly]] of one.labels) {
      if ((lx - imageX) ** 2 + (ly - imageY) ** 2 <= within) drag.labels.add(n);
    }
  }
  if (picksShown()) {
    for (const pick of shownPicks()) {
      if ((pick.x - imageX) ** 2 + (pick.y - imageY) ** 2 <= within) drag.picks.add(pick);
    }
  }
  redraw(false);
}

function closeArea() {
  const one = sheet();
  // A double-click has set its corner twice.
  const points = marks.drawing.filter((p, i, all) => !i || Math.hypot(p[0] - all[i - 1][0], p[1] - all[i - 1][1]) * viewport.scale > STILL_PX);
  marks.drawing = [];
  if (one && points.length >= 3) edit({ add_areas: [[one.number(), points.map((p) => rounded(...p))]] });
  else toast("An area needs three corners.");
  redraw(false);
}

/** @param {[number, number]} place */
function removeArea([x, y]) {
  for (const [number, points] of sheet()?.areas ?? []) {
    let inside = false;
    for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
      const [ax, ay] = points[i], [bx, by] = points[j];
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
    }
    if (inside) {
      edit({ remove_areas: [number] });
      return;
    }
  }
}

/** Delete what the pointer is on, or what was clicked last. */
export function deleteTarget() {
  const one = sheet();
  if (!one) return;
  if (pointerAt && marks.hovered) takeAway(pointerAt);
  else if (target !== null && one.labels.has(target)) edit({ remove: [target] });
  target = null;
}

/** @param {number} x @param {number} y @returns {[number, number]} */
const rounded = (x, y) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100];

/** @param {number} x @param {number} y @returns {[number, number]} inside the micrograph */
function clamped(x, y) {
  const [rows, columns] = viewport.shape;
  return rounded(Math.min(columns - 1, Math.max(0, x)), Math.min(rows - 1, Math.max(0, y)));
}

/** @param {KeyboardEvent} event @returns {boolean} whether it was for the tools */
export function toolKey(event) {
  if (tool === "area") {
    if (event.key === "Enter") closeArea();
    else if (event.key === "Escape") setTool("label");
    else return false;
    return true;
  }
  return false;
}

export const pointerPlace = () => pointerAt;

export function startTools() {
  overlay.addEventListener("pointerdown", down);
  overlay.addEventListener("pointermove", move);
  overlay.addEventListener("pointerup", up);
  overlay.addEventListener("pointercancel", () => (drag = null));
  overlay.addEventListener("pointerleave", () => {
    if (drag) return;
    Object.assign(marks, { pointer: null, hovered: null, brush: null });
    pointerAt = null;
    changed("focus");
    redraw(false);
  });
  overlay.addEventListener("dblclick", () => tool === "area" && closeArea());
  overlay.addEventListener("contextmenu", (event) => event.preventDefault());
  overlay.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x, y] = screenPlace(event);
    const amount = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
    viewport.zoom(Math.exp(-Math.max(-120, Math.min(120, amount)) * 0.0022), x, y);
    changed("view");
  }, { passive: false });
  window.addEventListener("keydown", (event) => {
    if (event.key === " " && document.activeElement === overlay) {
      spaceHeld = true;
      marks.pointer = null;
      event.preventDefault();
    }
  });
  window.addEventListener("keyup", (event) => {
    if (event.key === " ") spaceHeld = false;
  });
  watch("current", () => {
    target = null;
    drag = null;
  });
  el("tool-label").addEventListener("click", () => setTool("label"));
  el("tool-area").addEventListener("click", () => setTool("area"));
}
