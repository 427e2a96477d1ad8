// @ts-check
// Pictures of micrographs: fetched, kept, and given contrast here, so that sliders act at once.
import { getBlob } from "./api.js";

const TILE_PX = 1024;
const MAX_SIDE_PX = 2048;
const KEPT_PICTURES = 6;
const KEPT_TILES = 30;
/** Grey levels between black and white of a denoised picture: half of all stand for twice the spread of the noise. */
const LEAST_DENOISED = 128;

/**
 * @typedef {object} Grey 8-bit pixels, row by row
 * @property {Uint8ClampedArray} pixels
 * @property {number} width
 * @property {number} height
 *
 * @typedef {object} Look how greys become what is seen
 * @property {boolean} auto
 * @property {number} dark
 * @property {number} bright
 * @property {boolean} invert
 */

/** @param {Blob} blob @returns {Promise<Grey>} */
async function decode(blob) {
  const bitmap = await createImageBitmap(blob);
  const { width, height } = bitmap;
  const surface = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (surface.getContext("2d", { willReadFrequently: true }));
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const pixels = new Uint8ClampedArray(rgba.length);
  for (let i = 0; i < rgba.length; i++) pixels[i] = rgba[i] & 255;
  return { pixels, width, height };
}

/**
 * Grey levels between which a picture spans the whole scale: all but the darkest and brightest per cent, and nothing
 * farther than five standard deviations from the median, estimated from the quartiles: a crystal makes nothing else flat.
 * @param {Grey} grey
 * @param {number} least levels that black and white are apart at least
 * @returns {[number, number]}
 */
function percentiles(grey, least) {
  const counts = new Uint32Array(256);
  const step = Math.max(1, Math.floor(grey.pixels.length / 200_000));
  let total = 0;
  for (let i = 0; i < grey.pixels.length; i += step, total++) counts[grey.pixels[i]]++;
  let dark = 0, bright = 255;
  for (let sum = 0; dark < 255 && sum + counts[dark] < total * 0.01; dark++) sum += counts[dark];
  for (let sum = 0; bright > 0 && sum + counts[bright] < total * 0.005; bright--) sum += counts[bright];
  const at = (/** @type {number} */ share) => {
    let level = 0;
    for (let sum = counts[0]; level < 255 && sum < total * share; sum += counts[++level]);
    return level;
  };
  const middle = at(0.5), below = middle - at(0.25), above = at(0.75) - middle;
  if (below) dark = Math.max(dark, Math.round(middle - (5 / 0.6745) * below));
  if (above) bright = Math.min(bright, Math.round(middle + (5 / 0.6745) * above));
  const lacking = least - (bright - dark);
  if (lacking > 0) {
    dark = Math.max(0, Math.min(255 - least, Math.round(dark - lacking / 2)));
    bright = dark + least;
  }
  return [dark, bright];
}

/** A grey picture on a canvas, with smaller copies for zooming out. */
class Shown {
  /** @param {Grey} grey @param {boolean} withCopies */
  constructor(grey, withCopies) {
    this.grey = grey;
    /** @type {OffscreenCanvas[]} */
    this.levels = [new OffscreenCanvas(grey.width, grey.height)];
    for (let i = 1; withCopies && i < 4 && Math.min(grey.width, grey.height) >> i > 64; i++) {
      this.levels.push(new OffscreenCanvas(grey.width >> i, grey.height >> i));
    }
    this.key = "";
  }

  /** @param {Uint32Array} table @param {string} key of the table */
  apply(table, key) {
    if (key === this.key) return;
    this.key = key;
    const { pixels, width, height } = this.grey;
    const image = new ImageData(width, height);
    const out = new Uint32Array(image.data.buffer);
    for (let i = 0; i < out.length; i++) out[i] = table[pixels[i]];
    context(this.levels[0]).putImageData(image, 0, 0);
    for (let i = 1; i < this.levels.length; i++) {
      const level = this.levels[i];
      const target = context(level);
      // At exactly half the size, bilinear is the mean of four: nothing slower would be better.
      target.imageSmoothingQuality = "low";
      target.drawImage(this.levels[i - 1], 0, 0, level.width, level.height);
    }
  }
}

/** @param {OffscreenCanvas} surface */
const context = (surface) => /** @type {OffscreenCanvasRenderingContext2D} */ (surface.getContext("2d"));

/** @param {Look} look @param {[number, number]} auto @returns {[Uint32Array, string]} */
function tableOf(look, auto) {
  const [dark, bright] = look.auto ? auto : [look.dark, Math.max(look.bright, look.dark + 1)];
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let value = Math.round((Math.min(1, Math.max(0, (i - dark) / (bright - dark)))) * 255);
    if (look.invert) value = 255 - value;
    table[i] = 0xff000000 | (value << 16) | (value << 8) | value;
  }
  return [table, `${dark},${bright},${look.invert}`];
}

/** One micrograph's picture, with tiles of the full size where the whole is reduced. */
export class Picture {
  /** @param {string} id @param {string} filter @param {Grey} grey */
  constructor(id, filter, grey) {
    this.id = id;
    this.filter = filter;
    this.whole = new Shown(grey, true);
    // What is faint in a denoised picture may be nothing, so it stays faint.
    this.auto = percentiles(grey, filter.includes("denoised=1") ? LEAST_DENOISED : 1);
    /** @type {Map<string, Shown | null>} */
    this.tiles = new Map();
  }

  /**
   * Draw what the viewport shows.
   * @param {CanvasRenderingContext2D} target scaled to CSS pixels
   * @param {import("./viewport.js").Viewport} viewport
   * @param {Look} look
   * @param {number} density device pixels a CSS pixel
   * @param {() => void} arrived called when a missing tile has come
   */
  draw(target, viewport, look, density, arrived) {
    const [table, key] = tableOf(look, this.auto);
    this.whole.apply(table, key);
    const [rows, columns] = viewport.shape;
    const reduction = this.whole.grey.width / columns;
    // The smallest copy that is still finer than the screen.
    const screen = (viewport.scale * density) / reduction;
    const level = Math.min(this.whole.levels.length - 1, Math.max(0, Math.floor(Math.log2(1 / screen))));
    target.imageSmoothingEnabled = screen < 3;
    target.imageSmoothingQuality = "low";
    this.#blit(target, this.whole.levels[level], viewport, -0.5, -0.5, columns, rows);
    if (reduction < 0.99 && screen > 1.2) this.#drawTiles(target, viewport, table, key, density, arrived);
  }

  /**
   * @param {CanvasRenderingContext2D} target
   * @param {import("./viewport.js").Viewport} viewport
   * @param {Uint32Array} table
   * @param {string} key
   * @param {number} density
   * @param {() => void} arrived
   */
  #drawTiles(target, viewport, table, key, density, arrived) {
    const [rows, columns] = viewport.shape;
    const [left, top] = viewport.toImage(0, 0);
    const [right, bottom] = viewport.toImage(viewport.width, viewport.height);
    target.imageSmoothingEnabled = viewport.scale * density < 3;
    for (let row = Math.max(0, Math.floor(top / TILE_PX)); row * TILE_PX < Math.min(rows, bottom); row++) {
      for (let column = Math.max(0, Math.floor(left / TILE_PX)); column * TILE_PX < Math.min(columns, right); column++) {
        const name = `${column}/${row}`;
        const tile = this.tiles.get(name);
        if (tile) {
          tile.apply(table, key);
          const { width, height } = tile.grey;
          this.#blit(target, tile.levels[0], viewport, column * TILE_PX - 0.5, row * TILE_PX - 0.5, width, height);
        } else if (tile === undefined) {
          this.#fetchTile(name, arrived);
        }
      }
    }
  }

  /** @param {string} name @param {() => void} arrived */
  async #fetchTile(name, arrived) {
    this.tiles.set(name, null);
    try {
      const grey = await decode(await getBlob(`api/micrographs/${this.id}/tiles/${name}?${this.filter}`));
      this.tiles.set(name, new Shown(grey, false));
    } catch {
      this.tiles.delete(name);
      return;
    }
    for (const old of this.tiles.keys()) {
      if (this.tiles.size <= KEPT_TILES) break;
      this.tiles.delete(old);
    }
    arrived();
  }

  /**
   * @param {CanvasRenderingContext2D} target
   * @param {OffscreenCanvas} source
   * @param {import("./viewport.js").Viewport} viewport
   * @param {number} x where the source's outline begins, in the micrograph
   * @param {number} y
   * @param {number} width of the source in the micrograph
   * @param {number} height
   */
  #blit(target, source, viewport, x, y, width, height) {
    // Only what is visible: browsers clip large scaled images slowly.
    const [left, top] = viewport.toImage(0, 0);
    const [right, bottom] = viewport.toImage(viewport.width, viewport.height);
    const perX = source.width / width, perY = source.height / height;
    const sx = Math.max(0, Math.floor((left - x) * perX) - 1), sy = Math.max(0, Math.floor((top - y) * perY) - 1);
    const ex = Math.min(source.width, Math.ceil((right - x) * perX) + 1);
    const ey = Math.min(source.height, Math.ceil((bottom - y) * perY) + 1);
    if (ex <= sx || ey <= sy) return;
    const [dx, dy] = viewport.toScreen(x + sx / perX, y + sy / perY);
    const scaleX = viewport.scale / perX, scaleY = viewport.scale / perY;
    target.drawImage(source, sx, sy, ex - sx, ey - sy, dx, dy, (ex - sx) * scaleX, (ey - sy) * scaleY);
  }

  /**
   * Cut out a square for a thumbnail.
   * @param {CanvasRenderingContext2D} target
   * @param {[number, number]} shape of the micrograph
   * @param {number} x centre
   * @param {number} y
   * @param {number} size in micrograph pixels
   * @param {number} left on the target
   * @param {number} top
   * @param {number} side on the target
   */
  thumbnail(target, shape, x, y, size, left, top, side) {
    const source = this.whole.levels[0];
    const perX = source.width / shape[1], perY = source.height / shape[0];
    const sx = (x + 0.5 - size / 2) * perX, sy = (y + 0.5 - size / 2) * perY;
    target.drawImage(source, sx, sy, size * perX, size * perY, left, top, side, side);
  }
}

/** @type {Map<string, Promise<Picture>>} */
const kept = new Map();

/**
 * The picture of a micrograph, from memory where it is there.
 * @param {string} id
 * @param {string} filter query of the filters
 * @returns {Promise<Picture>}
 */
export function pictureOf(id, filter) {
  const key = `${id}?${filter}`;
  let picture = kept.get(key);
  if (!picture) {
    picture = getBlob(`api/micrographs/${id}/image?${filter}`).then(decode).then((grey) => new Picture(id, filter, grey));
    picture.catch(() => kept.delete(key));
  }
  kept.delete(key);
  kept.set(key, picture);
  for (const old of kept.keys()) {
    if (kept.size <= KEPT_PICTURES) break;
    kept.delete(old);
  }
  return picture;
}

export { MAX_SIDE_PX };
