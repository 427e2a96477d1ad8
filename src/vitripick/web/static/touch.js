// @ts-check
// Fingers on the micrograph: two of them zoom and move it, a long press takes away. One finger is a pointer like any other.
import { viewport } from "./viewer.js";

/** So long a finger rests for what the right button does elsewhere. */
const LONG_PRESS_MS = 550;
/** A finger that rests still moves by so much. */
const STILL_PX = 9;

/** @typedef {{cancel: () => void, long: (place: [number, number]) => void, moved: () => void}} Does */

export class Touch {
  /** @param {Does} does */
  constructor(does) {
    this.does = does;
    /** @type {Map<number, [number, number]>} */
    this.fingers = new Map();
    /** Until all fingers are up again: what they do is not a click. */
    this.taken = false;
    /** @type {number | undefined} */
    this.timer = undefined;
    /** @type {[number, number]} */
    this.start = [0, 0];
  }

  /** @param {PointerEvent} event @param {[number, number]} place on the screen @returns {boolean} whether the event is done with */
  down(event, place) {
    if (event.pointerType !== "touch") return false;
    this.fingers.set(event.pointerId, place);
    clearTimeout(this.timer);
    if (this.fingers.size > 1) {
      this.taken = true;
      this.does.cancel();
      return true;
    }
    this.taken = false;
    this.start = place;
    this.timer = setTimeout(() => {
      this.taken = true;
      this.does.cancel();
      this.does.long(place);
    }, LONG_PRESS_MS);
    return false;
  }

  /** @param {PointerEvent} event @param {[number, number]} place @returns {boolean} whether the event is done with */
  move(event, place) {
    const before = this.fingers.get(event.pointerId);
    if (!before) return false;
    if (Math.hypot(place[0] - this.start[0], place[1] - this.start[1]) > STILL_PX) clearTimeout(this.timer);
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)?.[1];
    this.fingers.set(event.pointerId, place);
    if (other && this.fingers.size === 2) {
      const span = (/** @type {[number, number]} */ a) => Math.max(12, Math.hypot(a[0] - other[0], a[1] - other[1]));
      viewport.zoom(span(place) / span(before), (place[0] + other[0]) / 2, (place[1] + other[1]) / 2);
      viewport.pan((place[0] - before[0]) / 2, (place[1] - before[1]) / 2);
      this.does.moved();
    }
    return this.taken;
  }

  /** @param {PointerEvent} event @returns {boolean} whether the event is done with */
  up(event) {
    if (!this.fingers.delete(event.pointerId)) return false;
    clearTimeout(this.timer);
    return this.taken;
  }
}
