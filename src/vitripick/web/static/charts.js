// @ts-check
// Small plots on canvases, in the page's own colours.

/**
 * @typedef {object} Plot
 * @property {CanvasRenderingContext2D} context
 * @property {number} width
 * @property {number} height
 * @property {(name: string) => string} colour a CSS variable's value
 */

/**
 * A canvas ready to draw on, in CSS pixels; null while it is not on the screen.
 * @param {HTMLCanvasElement} node
 * @returns {Plot | null}
 */
export function plotOn(node) {
  const width = node.clientWidth, height = Number(node.getAttribute("height"));
  if (!width) return null;
  const density = Math.min(2, window.devicePixelRatio || 1);
  if (!node.dataset.height) node.dataset.height = String(height);
  const own = Number(node.dataset.height);
  node.style.height = `${own}px`;
  if (node.width !== Math.round(width * density)) node.width = Math.round(width * density);
  if (node.height !== Math.round(own * density)) node.height = Math.round(own * density);
  const context = /** @type {CanvasRenderingContext2D} */ (node.getContext("2d"));
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, own);
  const style = getComputedStyle(document.documentElement);
  context.font = "11px system-ui, sans-serif";
  return { context, width, height: own, colour: (name) => style.getPropertyValue(`--${name}`).trim() };
}

/**
 * @param {Plot} plot
 * @param {[number, number][]} points in plot pixels
 * @param {string} colour
 * @param {number} [width]
 */
export function line({ context }, points, colour, width = 2) {
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.stroke();
}

/**
 * @param {Plot} plot
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {CanvasTextAlign} [align]
 */
export function note({ context, colour }, text, x, y, align = "left") {
  context.fillStyle = colour("dim");
  context.textAlign = align;
  context.fillText(text, x, y);
}
