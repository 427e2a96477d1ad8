// @ts-check
// Particles of all micrographs for the montage: their order, and their pictures on sheets of sixty-four.
import { get, getBlob } from "./api.js";
import { store } from "./store.js";
import { filterQuery } from "./viewer.js";

const ON_SHEET = 64, COLUMNS = 8, SIDE_PX = 128, KEPT = 24;

/** @typedef {{micrograph: string, x: number, y: number, confidence: number}} Ranked */

/** @type {{key: string, particles: Ranked[], note: string}} */
let ranking = { key: "", particles: [], note: "" };
/** @type {Map<string, ImageBitmap | null>} */
const sheets = new Map();

/** @param {string} order "best" or "worst" @returns {Promise<{particles: Ranked[], note: string}>} */
export async function rankedParticles(order) {
  const s = store.settings;
  if (!s.pick_set) return { particles: [], note: "not picked" };
  const key = [s.pick_set, order, s.threshold, s.minimum_distance_px, s.smallest_px, s.largest_px, store.status?.n_picked, JSON.stringify(s.class_choices?.[s.pick_set])].join("/");
  if (ranking.key !== key) {
    const answer = await get(`api/picks/${s.pick_set}/ranking?order=${order}`);
    const of = answer.n_particles > answer.particles.length ? `first ${answer.particles.length} of ${answer.n_particles}` : `${answer.n_particles} particles`;
    const read = answer.n_read < answer.n_picked ? ` on ${answer.n_read} of ${answer.n_picked} micrographs` : "";
    const particles = answer.particles.map((/** @type {[string, number, number, number]} */ [micrograph, x, y, confidence]) => ({ micrograph, x, y, confidence }));
    ranking = { key, particles, note: of + read };
  }
  return ranking;
}

/** Take one out that was rejected. @param {Ranked} particle */
export function forget(particle) {
  ranking.particles = ranking.particles.filter((one) => one !== particle);
  sheets.clear();
}

/**
 * Where the picture of a particle is; null while it is fetched.
 * @param {number} index in the ranking
 * @param {() => void} arrived
 * @returns {{source: ImageBitmap, x: number, y: number, side: number} | null}
 */
export function squareOf(index, arrived) {
  const number = Math.floor(index / ON_SHEET), key = `${ranking.key}/${filterQuery()}/${store.settings.box_size_px}/${number}`;
  const sheet = sheets.get(key);
  if (sheet === undefined) fetchSheet(key, ranking.particles.slice(number * ON_SHEET, (number + 1) * ON_SHEET), arrived);
  if (!sheet) return null;
  const place = index % ON_SHEET;
  return { source: sheet, x: (place % COLUMNS) * SIDE_PX, y: Math.floor(place / COLUMNS) * SIDE_PX, side: SIDE_PX };
}

/** @param {string} key @param {Ranked[]} particles @param {() => void} arrived */
async function fetchSheet(key, particles, arrived) {
  sheets.set(key, null);
  const places = particles.map(({ micrograph, x, y }) => `${micrograph},${x},${y}`).join(";");
  try {
    const blob = await getBlob(`api/montage?side=${SIDE_PX}&places=${places}&${filterQuery()}`);
    sheets.set(key, await createImageBitmap(blob));
  } catch {
    sheets.delete(key);
    return;
  }
  for (const old of sheets.keys()) {
    if (sheets.size <= KEPT) break;
    sheets.delete(old);
  }
  arrived();
}
