// @ts-check
// The list and the panel fold away, so that the micrograph gets their room.
import { button, el } from "./dom.js";

const KEPT = "vitripick-folded";
/** @typedef {"list" | "panel"} Side */
const SIDES = /** @type {const} */ (["list", "panel"]);

/** @param {Side} side */
const isFolded = (side) => el(side).hidden;

/** @param {Side} side @param {boolean} folded */
function fold(side, folded) {
  el(side).hidden = folded;
  document.body.classList.toggle(`no-${side}`, folded);
  button(`fold-${side}`).setAttribute("aria-expanded", String(!folded));
  localStorage.setItem(KEPT, SIDES.filter(isFolded).join());
}

/** Fold both; where both are folded, unfold both. */
export function toggleFold() {
  const folded = !SIDES.every(isFolded);
  for (const side of SIDES) fold(side, folded);
}

export function startFold() {
  const kept = (localStorage.getItem(KEPT) ?? "").split(",");
  for (const side of SIDES) {
    fold(side, kept.includes(side));
    button(`fold-${side}`).addEventListener("click", () => fold(side, !isFolded(side)));
  }
}
