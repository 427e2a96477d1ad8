// @ts-check
// The power spectrum of the micrograph, with the rings that a defocus would make: on them the image has no contrast.
import { getBlob } from "./api.js";
import { button, canvas, el, input, select } from "./dom.js";
import { sheet } from "./labels.js";

const SIDE_PX = 480, MOST_RINGS = 12;
const SPHERICAL_ABERRATION_MM = 2.7, AMPLITUDE_CONTRAST = 0.1;

/** @type {ImageBitmap | null} */
let picture = null;

/**
 * Where the contrast transfer is 0.
 * @param {number} defocus Å, underfocus is positive
 * @param {number} kv
 * @returns {number[]} cycles per Å, rising
 */
export function zeros(defocus, kv) {
  // Relativistic wavelength of the electron, Å.
  const wavelength = 12.2639 / Math.sqrt(kv * 1000 + 0.97845 * kv * kv);
  const cs = SPHERICAL_ABERRATION_MM * 1e7, result = [];
  for (let n = 1; n <= MOST_RINGS; n++) {
    // pi lambda df k² - pi/2 Cs lambda³ k⁴ + asin(A) = n pi, solved for k².
    const turn = n - Math.asin(AMPLITUDE_CONTRAST) / Math.PI;
    const inside = (wavelength * defocus) ** 2 - 2 * cs * wavelength ** 3 * turn;
    if (inside < 0) break;
    result.push(Math.sqrt((wavelength * defocus - Math.sqrt(inside)) / (cs * wavelength ** 3)));
  }
  return result;
}

function draw() {
  const node = canvas("spectrum-picture"), context = /** @type {CanvasRenderingContext2D} */ (node.getContext("2d"));
  node.width = node.height = SIDE_PX;
  context.fillStyle = "#808080";
  context.fillRect(0, 0, SIDE_PX, SIDE_PX);
  if (picture) context.drawImage(picture, 0, 0, SIDE_PX, SIDE_PX);
  const pixelSize = sheet()?.pixelSize, micrometres = Number(input("spectrum-defocus").value);
  el("spectrum-value").textContent = `${micrometres.toFixed(2)} µm`;
  input("spectrum-defocus").disabled = select("spectrum-voltage").disabled = !pixelSize;
  if (!pixelSize) {
    el("spectrum-note").textContent = "Rings need the pixel size; give it in the tab Label.";
    return;
  }
  const all = zeros(micrometres * 1e4, Number(select("spectrum-voltage").value));
  const rings = all.filter((k) => k * 2 * pixelSize <= 1);
  // Nyquist, one cycle in two pixels, is at the edge. The left half stays free, to compare.
  context.strokeStyle = "#ffb020";
  for (const k of rings) {
    context.beginPath();
    context.arc(SIDE_PX / 2, SIDE_PX / 2, k * pixelSize * SIDE_PX, -Math.PI / 2, Math.PI / 2);
    context.stroke();
  }
  const first = rings.length ? ` The first is at ${(1 / rings[0]).toFixed(1)} Å.` : "";
  el("spectrum-note").textContent = `Move the defocus until the rings lie on the dark ones. The edge is ${(2 * pixelSize).toFixed(1)} Å.${first} Cs 2.7 mm, amplitude contrast 0.1.`;
}

async function open() {
  const one = sheet();
  if (!one) return;
  picture = null;
  el("spectrum-title").textContent = `Power spectrum of ${one.name}`;
  /** @type {HTMLDialogElement} */ (el("spectrum")).showModal();
  draw();
  try {
    picture = await createImageBitmap(await getBlob(`api/micrographs/${one.id}/spectrum`));
    draw();
  } catch (error) {
    el("spectrum-note").textContent = /** @type {Error} */ (error).message;
  }
}

export function startSpectrum() {
  button("show-spectrum").addEventListener("click", open);
  input("spectrum-defocus").addEventListener("input", draw);
  select("spectrum-voltage").addEventListener("change", draw);
}
