// @ts-check
// Polylines: where a place lies on one, and what cutting, joining and thinning makes of them. No page, no server.

/** @typedef {[number, number]} Place */
/** @typedef {Place[]} Line */
/** @typedef {{distance: number, piece: number, place: Place}} On the nearest place of a line: between vertex `piece` and the next */

/** @type {WeakMap<Line, [number, number, number, number]>} */
const boxes = new WeakMap();

/** @param {Line} line @returns {[number, number, number, number]} smallest x and y, largest x and y */
export function bounds(line) {
  let box = boxes.get(line);
  if (!box) {
    box = [Infinity, Infinity, -Infinity, -Infinity];
    for (const [x, y] of line) {
      if (x < box[0]) box[0] = x;
      if (y < box[1]) box[1] = y;
      if (x > box[2]) box[2] = x;
      if (y > box[3]) box[3] = y;
    }
    boxes.set(line, box);
  }
  return box;
}

/** @param {Line} line */
export function lengthOf(line) {
  let sum = 0;
  for (let i = 1; i < line.length; i++) sum += Math.hypot(line[i][0] - line[i - 1][0], line[i][1] - line[i - 1][1]);
  return sum;
}

/** @param {Line} line @param {number} x @param {number} y @returns {On} */
export function nearestOn(line, x, y) {
  /** @type {On} */
  let best = { distance: Infinity, piece: 0, place: line[0] };
  for (let i = 0; i + 1 < line.length; i++) {
    const [ax, ay] = line[i], dx = line[i + 1][0] - ax, dy = line[i + 1][1] - ay;
    const t = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
    const place = /** @type {Place} */ ([ax + t * dx, ay + t * dy]);
    const distance = Math.hypot(place[0] - x, place[1] - y);
    if (distance < best.distance) best = { distance, piece: i, place };
  }
  return best;
}

/** Whether a place may lie within `reach` of a line, by its bounds. @param {Line} line @param {number} x @param {number} y @param {number} reach */
export function mayReach(line, x, y, reach) {
  const [left, top, right, bottom] = bounds(line);
  return x >= left - reach && x <= right + reach && y >= top - reach && y <= bottom + reach;
}

/**
 * The line nearest to a place, if it is near enough.
 * @template K
 * @param {Iterable<[K, Line]>} lines
 * @param {number} x
 * @param {number} y
 * @param {number} reach
 * @returns {{key: K, on: On} | null}
 */
export function lineAt(lines, x, y, reach) {
  let found = null;
  for (const [key, line] of lines) {
    if (!mayReach(line, x, y, reach)) continue;
    const on = nearestOn(line, x, y);
    if (on.distance <= reach && on.distance < (found?.on.distance ?? Infinity)) found = { key, on };
  }
  return found;
}

/** The vertex nearest to a place, if it is near enough. @param {Line} line @param {number} x @param {number} y @param {number} reach @returns {number | null} */
export function vertexAt(line, x, y, reach) {
  let found = null, best = reach;
  line.forEach(([vx, vy], i) => {
    const distance = Math.hypot(vx - x, vy - y);
    if (distance <= best) [found, best] = [i, distance];
  });
  return found;
}

/** Without a point that repeats the one before it. @param {Line} line @returns {Line} */
export const withoutRepeats = (line) => line.filter(([x, y], i) => !i || x !== line[i - 1][0] || y !== line[i - 1][1]);

/** Both parts of a line that is cut at a place of it; null at an end. @param {Line} line @param {number} piece @param {Place} place @returns {[Line, Line] | null} */
export function cutAt(line, piece, place) {
  const first = withoutRepeats([...line.slice(0, piece + 1), place]), second = withoutRepeats([place, ...line.slice(piece + 1)]);
  return first.length > 1 && second.length > 1 ? [first, second] : null;
}

/** One line of two, by the ends that are said. @param {Line} a @param {boolean} aLast @param {Line} b @param {boolean} bLast @returns {Line} */
export const joined = (a, aLast, b, bLast) => withoutRepeats([...(aLast ? a : [...a].reverse()), ...(bLast ? [...b].reverse() : b)]);

/** How two lines are joined so that the gap is smallest. @param {Line} a @param {Line} b @returns {{gap: number, aLast: boolean, bLast: boolean}} */
export function nearestEnds(a, b) {
  let best = { gap: Infinity, aLast: true, bLast: false };
  for (const aLast of [true, false]) {
    for (const bLast of [true, false]) {
      const [ax, ay] = aLast ? a[a.length - 1] : a[0], [bx, by] = bLast ? b[b.length - 1] : b[0];
      const gap = Math.hypot(ax - bx, ay - by);
      if (gap < best.gap) best = { gap, aLast, bLast };
    }
  }
  return best;
}

/**
 * The vertices that a line needs so that it is nowhere farther than `most` from what it was.
 * @param {Line} line
 * @param {number} most
 * @returns {Line}
 */
export function thinned(line, most) {
  if (line.length < 3) return line;
  const keep = new Uint8Array(line.length);
  keep[0] = keep[line.length - 1] = 1;
  const waiting = [[0, line.length - 1]];
  for (let range = waiting.pop(); range; range = waiting.pop()) {
    const [from, to] = range;
    const [ax, ay] = line[from], dx = line[to][0] - ax, dy = line[to][1] - ay;
    const span = dx * dx + dy * dy || 1;
    let worst = most * most, at = -1;
    for (let i = from + 1; i < to; i++) {
      const px = line[i][0] - ax, py = line[i][1] - ay;
      const t = Math.min(1, Math.max(0, (px * dx + py * dy) / span));
      const off = (px - t * dx) ** 2 + (py - t * dy) ** 2;
      if (off > worst) [worst, at] = [off, i];
    }
    if (at < 0) continue;
    keep[at] = 1;
    waiting.push([from, at], [at, to]);
  }
  return line.filter((_, i) => keep[i]);
}
