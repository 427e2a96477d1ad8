// @ts-check
// From micrograph to screen and back. Scale is screen (CSS) pixels a micrograph pixel.

const MAX_SCALE = 48;

export class Viewport {
  constructor() {
    this.scale = 1;
    /** Micrograph coordinates at the screen's left upper corner. */
    this.x0 = 0;
    this.y0 = 0;
    this.width = 1;
    this.height = 1;
    /** @type {[number, number]} rows, columns */
    this.shape = [1, 1];
    this.fitted = true;
  }

  /** @param {number} x @param {number} y @returns {[number, number]} */
  toScreen(x, y) {
    return [(x - this.x0) * this.scale, (y - this.y0) * this.scale];
  }

  /** @param {number} x @param {number} y @returns {[number, number]} */
  toImage(x, y) {
    return [x / this.scale + this.x0, y / this.scale + this.y0];
  }

  /** @param {number} x @param {number} y */
  contains(x, y) {
    return x >= -0.5 && y >= -0.5 && x <= this.shape[1] - 0.5 && y <= this.shape[0] - 0.5;
  }

  get fitScale() {
    const margin = 12;
    const [rows, columns] = this.shape;
    return Math.min((this.width - margin) / columns, (this.height - margin) / rows);
  }

  fit() {
    this.scale = this.fitScale;
    this.centreOn((this.shape[1] - 1) / 2, (this.shape[0] - 1) / 2);
    this.fitted = true;
  }

  /** @param {number} x @param {number} y */
  centreOn(x, y) {
    this.x0 = x - this.width / 2 / this.scale;
    this.y0 = y - this.height / 2 / this.scale;
    this.fitted = false;
  }

  /** @param {number} dx @param {number} dy in screen pixels */
  pan(dx, dy) {
    this.x0 -= dx / this.scale;
    this.y0 -= dy / this.scale;
    this.fitted = false;
    this.#keepInSight();
  }

  /**
   * Zoom so that what lies under (x, y) of the screen stays there.
   * @param {number} factor
   * @param {number} x
   * @param {number} y
   */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const [imageX, imageY] = this.toImage(x, y);
    this.scale = Math.min(MAX_SCALE, Math.max(this.fitScale / 3, this.scale * factor));
    this.x0 = imageX - x / this.scale;
    this.y0 = imageY - y / this.scale;
    this.fitted = false;
    this.#keepInSight();
  }

  #keepInSight() {
    const [rows, columns] = this.shape;
    const spanX = this.width / this.scale, spanY = this.height / this.scale;
    this.x0 = Math.min(columns - spanX * 0.2, Math.max(-spanX * 0.8, this.x0));
    this.y0 = Math.min(rows - spanY * 0.2, Math.max(-spanY * 0.8, this.y0));
  }
}
