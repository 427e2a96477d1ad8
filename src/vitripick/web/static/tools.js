// @ts-check
// Mouse, pen and keys on the micrograph: one mode does all. Shapes of areas are the only other one.
import { el, press, toast } from "./dom.js";
import { edit, labelAt, sheet } from "./labels.js";
import { deleteLine, dropLine, isDrawing, lineAway, lineClick, lineDown, lineDrag, lineHover, lineKey, lineUp, nextLine, nudgeLine, ofFilaments, pointByKey, selectLine } from "./line_tools.js";
import { placeOf } from "./line_picks.js";
import { pickAt, shownPicks } from "./picks.js";
import { changed, store, watch } from "./store.js";
import { Touch } from "./touch.js";
import { marks, redraw, viewport } from "./viewer.js";

/** Movement below this, in screen pixels, is a click. */
const STILL_PX = 4;
const overlay = el("overlay");

/** @type {"label" | "area"} */
let tool = "label";
/** @type {{kind: "pan" | "move" | "brush" | "press", number?: number, from?: [number, number], at?: [number, number], x: number, y: number, moved: boolean, labels?: Set<number>, picks?: Set<import("./types.js").Pick>} | import("./line_tools.js").LineDrag | null} */
let drag = null;
let spaceHeld = false;
/** @type {number | null} the label that Del takes */
let target = null;
/** @type {[number, number] | null} */
let pointerAt = null;
/** The keyboard works on the micrograph: new labels go to the middle of what is seen. */
let byKeyboard = false;

const touch = new Touch({
  cancel: dropDrag,
  long: ([x, y]) => takeAway(viewport.toImage(x, y)),
  moved: () => changed("view"),
});

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
  byKeyboard = false;
  overlay.setPointerCapture(event.pointerId);
  if (touch.down(event, [x, y])) return;
  if (event.button === 1 || spaceHeld || (store.readOnly && event.button === 0)) {
    drag = { kind: "pan", x, y, moved: false };
  } else if (tool === "area") {
    if (event.button === 2) removeArea(place);
    else drag = { kind: "press", x, y, moved: false };
  } else if (event.button === 2 || (event.button === 0 && event.altKey)) {
    takeAway(place);
  } else if (ofFilaments()) {
    const begun = lineDown(event, place, [x, y]);
    if (begun !== "done") drag = begun ?? { kind: "press", x, y, moved: false };
  } else if (event.button === 0 && event.shiftKey) {
    drag = { kind: "brush", x, y, moved: false, labels: new Set(), picks: new Set() };
    brush(x, y);
  } else if (event.button === 0) {
    const number = labelsShown() ? labelAt(...place, reach()) : null;
    const at = number === null ? undefined : sheet()?.labels.get(number);
    if (number !== null && at) {
      drag = { kind: "move", number, from: [at[0] - place[0], at[1] - place[1]], at, x, y, moved: false };
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
  if (touch.move(event, [x, y])) return;
  const place = viewport.toImage(x, y);
  byKeyboard = false;
  pointerAt = place;
  if (drag) {
    if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < STILL_PX) return;
    drag.moved = true;
    if (drag.kind === "pan" || drag.kind === "press") {
      // Dragging an empty place moves the micrograph; only a click adds.
      overlay.classList.add("panning");
      viewport.pan(x - drag.x, y - drag.y);
      [drag.x, drag.y] = [x, y];
      marks.pointer = null;
      changed("view");
    } else if (drag.kind === "line") {
      lineDrag(drag, place);
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
  if (ofFilaments()) {
    overlay.classList.toggle("on-label", lineHover(place, viewport.contains(...place)));
    return redraw(false);
  }
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
  if (touch.up(event)) return;
  const one = sheet();
  const ended = drag;
  drag = null;
  overlay.classList.remove("panning", "brush");
  if (!ended || !one) return;
  const place = viewport.toImage(...screenPlace(event));
  if (ended.kind === "press" && !ended.moved) {
    if (tool === "area") marks.drawing.push(place);
    else if (ofFilaments()) lineClick(place);
    else addAt(place);
  } else if (ended.kind === "line") {
    lineUp(ended);
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
  if (!one || store.readOnly || (ofFilaments() && lineAway(place))) return;
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
  const [x, y] = pick.line ? placeOf(pick, shownPicks(), one.boxSize) : [pick.x, pick.y];
  edit({ reject: [[one.number(), x, y]] });
  marks.selected = marks.hovered = null;
}

/** @param {number} x @param {number} y on the screen */
function brush(x, y) {
  const one = sheet();
  if (!one || drag?.kind === "line" || !drag?.labels || !drag.picks || store.readOnly) return;
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
  if (!one || (ofFilaments() && deleteLine(pointerAt))) return;
  if (pointerAt && (marks.hovered || ofFilaments())) takeAway(pointerAt);
  else if (target !== null && one.labels.has(target)) edit({ remove: [target] });
  target = null;
}

/** Forget what the pointer began: a label that it moved goes back. */
function dropDrag() {
  if (drag?.kind === "move" && drag.moved && drag.number !== undefined && drag.at) sheet()?.labels.set(drag.number, drag.at);
  if (drag?.kind === "line") dropLine(drag);
  drag = null;
  Object.assign(marks, { pointer: null, brush: null, selected: null });
  overlay.classList.remove("panning", "brush");
  redraw(false);
}

/** The label that has the ring, which the arrow keys move. @returns {number | null} */
function selectedLabel() {
  const at = target === null ? undefined : sheet()?.labels.get(target);
  return at && marks.selected && at[0] === marks.selected[0] && at[1] === marks.selected[1] ? target : null;
}

/** @param {number | null} number the label that gets the ring, or none */
function select(number) {
  const one = sheet();
  const at = number === null ? undefined : one?.labels.get(number);
  target = at ? number : null;
  marks.selected = at ?? null;
  if (at && one) {
    const [x, y] = viewport.toScreen(...at);
    if (x < 0 || y < 0 || x > viewport.width || y > viewport.height) viewport.centreOn(...at);
    el("spoken").textContent = `label at x ${at[0].toFixed(0)}, y ${at[1].toFixed(0)}, one of ${one.labels.size}`;
  }
  changed("view");
}

export const deselect = () => (select(null), selectLine(null));

/** Add a label where the pointer is, or in the middle of what is seen. */
export function addByKey() {
  const one = sheet();
  if (!one || store.readOnly) return;
  if (ofFilaments()) return pointByKey(byKeyboard ? null : pointerAt);
  const before = target;
  addAt(pointerAt ?? viewport.toImage(viewport.width / 2, viewport.height / 2));
  if (target !== before) select(target);
}

/** Go to the next label, row by row as one reads. @param {1 | -1} way */
export function nextLabel(way) {
  const one = sheet();
  if (ofFilaments()) return nextLine(way);
  if (!one?.labels.size) return toast("No labels here.");
  const band = Math.max(1, boxSize());
  const order = [...one.labels].sort(([, a], [, b]) => Math.floor(a[1] / band) - Math.floor(b[1] / band) || a[0] - b[0]).map(([n]) => n);
  const now = target === null ? -1 : order.indexOf(target);
  select(order[now < 0 ? (way > 0 ? 0 : order.length - 1) : (now + way + order.length) % order.length]);
}

/** Move the label that has the ring. @param {number} dx @param {number} dy in pixels @returns {boolean} whether there is one */
export function nudge(dx, dy) {
  if (ofFilaments()) return nudgeLine(dx, dy);
  const number = selectedLabel(), at = number === null ? undefined : sheet()?.labels.get(number);
  if (number === null || !at || store.readOnly) return false;
  edit({ move: [[number, ...clamped(at[0] + dx, at[1] + dy)]] });
  select(number);
  return true;
}

/** @param {number} x @param {number} y @returns {[number, number]} */
const rounded = (x, y) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100];

/** @param {number} x @param {number} y @returns {[number, number]} inside the micrograph */
function clamped(x, y) {
  const [rows, columns] = viewport.shape;
  return rounded(Math.min(columns - 1, Math.max(0, x)), Math.min(rows - 1, Math.max(0, y)));
}

/** While an area is drawn these keys take its last corner back, and no label. @param {KeyboardEvent} event */
const isTakeBack = (event) => ["Backspace", "Delete"].includes(event.key) || ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z");

/** @param {KeyboardEvent} event @returns {boolean} whether it was for the tools */
export function toolKey(event) {
  if (ofFilaments() && tool === "label" && lineKey(event)) return true;
  if (tool === "area") {
    if (event.key === "Enter") closeArea();
    else if (event.key === "Escape") setTool("label");
    else if (marks.drawing.length && isTakeBack(event)) {
      marks.drawing.pop();
      redraw(false);
    } else return false;
    return true;
  }
  return false;
}

/** Show where a label from the keyboard would go. */
function showMiddle() {
  if (!byKeyboard || pointerAt || store.readOnly || tool !== "label" || isDrawing()) return;
  marks.pointer = viewport.toImage(viewport.width / 2, viewport.height / 2);
  redraw(false);
}

export const pointerPlace = () => pointerAt;

export function startTools() {
  overlay.addEventListener("pointerdown", down);
  overlay.addEventListener("pointermove", move);
  overlay.addEventListener("pointerup", up);
  overlay.addEventListener("pointercancel", (event) => {
    touch.up(event);
    dropDrag();
  });
  overlay.addEventListener("focus", () => {
    byKeyboard = overlay.matches(":focus-visible");
    showMiddle();
  });
  overlay.addEventListener("blur", () => {
    if (byKeyboard) marks.pointer = null;
    byKeyboard = false;
    redraw(false);
  });
  watch("view", showMiddle);
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
    const unit = event.deltaMode === 1 ? 16 : 1;
    const amount = Math.max(-120, Math.min(120, event.deltaY * unit));
    // A pinch on a trackpad arrives as a wheel with Ctrl, in steps of a few pixels; a mouse with Ctrl makes steps of 100.
    const speed = event.ctrlKey && Math.abs(amount) < 40 ? 0.01 : 0.0022;
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) viewport.pan(-event.deltaX * unit, 0);
    else viewport.zoom(Math.exp(-amount * speed), x, y);
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
    if (tool === "area") setTool("label");
  });
  el("tool-label").addEventListener("click", () => setTool("label"));
  el("tool-area").addEventListener("click", () => setTool("area"));
}
