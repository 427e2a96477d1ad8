// @ts-check
// Particles cut out and laid side by side, surest first: a bad one shows at once. Only the rows in sight are drawn.
import { confidenceColour } from "./boxes.js";
import { canvas, count, el, input, select, settled } from "./dom.js";
import { edit, sheet } from "./labels.js";
import { forget, rankedParticles, squareOf } from "./montage_all.js";
import { allPicks, shownPicks } from "./picks.js";
import { setView, store, watch } from "./store.js";
import { reject } from "./tools.js";
import { currentPicture, goTo, viewport } from "./viewer.js";

const GAP_PX = 4;
/** Of one particle on the screen, in CSS pixels. */
let cell = 66;
/** @type {(id: string) => Promise<void>} */
let open = async () => {};
const scroller = el("montage-scroll"), surface = canvas("montage"), space = el("montage-space");

/** @typedef {{x: number, y: number, confidence: number | null, number: number | null, ranked?: import("./montage_all.js").Ranked}} Particle */

/** @type {Particle[]} */
let particles = [];
let selected = -1;
let columns = 4;
let scheduled = false;

const isOpen = () => !el("page-particles").hidden;

const ofAll = () => select("montage-where").value === "all" && select("montage-what").value === "picks";

async function gatherAll() {
  try {
    const { particles: all, note } = await rankedParticles(select("montage-order").value);
    if (!ofAll()) return;
    particles = all.map((ranked) => ({ ...ranked, number: null, ranked }));
    selected = Math.min(selected, particles.length - 1);
    el("montage-count").textContent = note;
  } catch (error) {
    el("montage-count").textContent = /** @type {Error} */ (error).message;
  }
  schedule();
}

const gatherAllSoon = settled(gatherAll, 250);

function gather() {
  select("montage-where").disabled = select("montage-what").value === "labels";
  if (ofAll()) return gatherAllSoon();
  const one = sheet();
  if (select("montage-what").value === "labels") {
    particles = [...(one?.labels ?? [])].map(([number, [x, y]]) => ({ x, y, confidence: null, number }));
  } else {
    particles = shownPicks().map(({ x, y, confidence }) => ({ x, y, confidence, number: null }));
    if (select("montage-order").value === "worst") particles.reverse();
  }
  selected = Math.min(selected, particles.length - 1);
  const none = select("montage-what").value === "picks" && !allPicks() ? "not picked" : count(particles.length, "particle");
  el("montage-count").textContent = none;
  schedule();
}

function schedule() {
  if (scheduled || !isOpen()) return;
  scheduled = true;
  requestAnimationFrame(draw);
}

function draw() {
  scheduled = false;
  const width = scroller.clientWidth, height = scroller.clientHeight;
  if (!width || !isOpen()) return;
  const step = cell + GAP_PX;
  columns = Math.max(1, Math.floor((width - GAP_PX) / step));
  const rows = Math.ceil(particles.length / columns);
  space.style.height = `${Math.max(0, rows * step + GAP_PX - height)}px`;
  const density = Math.min(2, window.devicePixelRatio || 1);
  surface.width = Math.round(width * density);
  surface.height = Math.round(height * density);
  surface.style.height = `${height}px`;
  const context = /** @type {CanvasRenderingContext2D} */ (surface.getContext("2d"));
  context.setTransform(density, 0, 0, density, 0, 0);
  const picture = currentPicture(), one = sheet();
  // What was gathered decides, not what is chosen by now: the particles of all micrographs come a moment later.
  const all = Boolean(particles[0]?.ranked);
  if (!all && (!picture || !one?.shape || picture.id !== one.id)) return;
  context.imageSmoothingQuality = "medium";
  const first = Math.max(0, Math.floor(scroller.scrollTop / step));
  for (let i = first * columns; i < Math.min(particles.length, (first + Math.ceil(height / step) + 1) * columns); i++) {
    const { x, y, confidence } = particles[i];
    const left = GAP_PX + (i % columns) * step, top = GAP_PX + Math.floor(i / columns) * step - scroller.scrollTop;
    context.fillStyle = "#808080";
    context.fillRect(left, top, cell, cell);
    context.save();
    context.beginPath();
    context.rect(left, top, cell, cell);
    context.clip();
    if (all) {
      const square = squareOf(i, schedule);
      if (square) context.drawImage(square.source, square.x, square.y, square.side, square.side, left, top, cell, cell);
    } else if (picture && one) picture.thumbnail(context, viewport.shape, x, y, one.boxSize * 1.3, left, top, cell);
    context.restore();
    if (confidence !== null) {
      context.fillStyle = confidenceColour(confidence);
      context.fillRect(left, top + cell - 4, cell * confidence, 4);
    }
    if (i === selected) {
      context.lineWidth = 3;
      context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
      context.strokeRect(left - 1, top - 1, cell + 2, cell + 2);
    }
  }
}

/** @param {number} index */
function choose(index) {
  const particle = particles[index];
  if (!particle) return;
  selected = index;
  const step = cell + GAP_PX, top = Math.floor(index / columns) * step;
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  else if (top + step > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + step + GAP_PX - scroller.clientHeight;
  const sure = particle.confidence === null ? "" : `, confidence ${particle.confidence.toFixed(2)}`;
  scroller.setAttribute("aria-label", `Particle ${index + 1} of ${particles.length}${sure}`);
  schedule();
  const { ranked } = particle;
  if (!ranked || ranked.micrograph === sheet()?.id) return goTo(particle.x, particle.y);
  open(ranked.micrograph).then(() => sheet()?.id === ranked.micrograph && goTo(ranked.x, ranked.y));
}

function takeAway() {
  const particle = particles[selected];
  if (!particle || store.readOnly) return;
  if (particle.ranked && particle.ranked.micrograph !== sheet()?.id) return;
  if (particle.number !== null) edit({ remove: [particle.number] });
  else reject({ x: particle.x, y: particle.y, size: 0, confidence: particle.confidence ?? 0 });
  if (particle.ranked) {
    forget(particle.ranked);
    particles = particles.filter((one) => one !== particle);
  }
  // The edit has made the list again; the next one has moved to this place.
  if (particles.length) choose(Math.min(selected, particles.length - 1));
}

/** @param {(id: string) => Promise<void>} opener */
export function startMontage(opener) {
  open = opener;
  cell = Number(store.settings.view.montageCell ?? cell);
  input("montage-size").value = String(cell);
  input("montage-size").addEventListener("input", () => {
    cell = Number(input("montage-size").value);
    setView({ montageCell: cell });
    schedule();
  });
  for (const id of ["montage-what", "montage-order", "montage-where"]) select(id).addEventListener("change", () => {
    selected = -1;
    gather();
  });
  scroller.addEventListener("scroll", schedule, { passive: true });
  new ResizeObserver(schedule).observe(scroller);
  surface.addEventListener("click", (event) => {
    const box = surface.getBoundingClientRect();
    const step = cell + GAP_PX;
    const column = Math.floor((event.clientX - box.left - GAP_PX) / step);
    const row = Math.floor((event.clientY - box.top - GAP_PX + scroller.scrollTop) / step);
    if (column >= 0 && column < columns) choose(row * columns + column);
    scroller.focus({ preventScroll: true });
  });
  scroller.addEventListener("keydown", (event) => {
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    if (event.key in steps) choose(Math.min(particles.length - 1, Math.max(0, selected + steps[event.key])));
    else if (event.key === "Delete" || event.key === "Backspace") takeAway();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  watch(["picks", "labels", "settings", "current"], () => isOpen() && gather());
  watch("view", schedule);
}

export { gather as refreshMontage };
