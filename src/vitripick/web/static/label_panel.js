// @ts-check
// The Label tab and the bars above and below the micrograph.
import { get } from "./api.js";
import { button, count, el, framed, input, make, press, settled, toast } from "./dom.js";
import { edit, setBoxSize, setFlag, sheet } from "./labels.js";
import { ofFilaments } from "./line_tools.js";
import { allPicks, shownPicks } from "./picks.js";
import { setTitle } from "./progress.js";
import { canRedo, canUndo, record, redo, undo } from "./session_undo.js";
import { changed, settingsSent, setSettings, setView, store, watch } from "./store.js";
import { pointerPlace } from "./tools.js";
import { currentPicture, filters, look, refilter, viewport } from "./viewer.js";

const pixelSize = () => sheet()?.pixelSize ?? null;

/** Filters go from fine to coarse in equal steps of proportion: 0 is off. @param {number} slider @param {number} least @param {number} most */
const toAngstrom = (slider, least, most) => (slider ? Number((least * (most / least) ** (slider / 100)).toPrecision(2)) : 0);
/** @param {number} angstrom @param {number} least @param {number} most */
const toSlider = (angstrom, least, most) => (angstrom ? Math.max(1, Math.round((100 * Math.log(angstrom / least)) / Math.log(most / least))) : 0);

/** @returns {[string, number, number][]} slider, least, most: in Å, or in pixels where no pixel size is known */
function filterRanges() {
  const unit = pixelSize() ?? 1;
  return [["low", 2 * unit, 100 * unit], ["high", 10 * unit, 1000 * unit]];
}

/** Filters in pixels become filters in Å, and the other way round, where the pixel size becomes known or unknown. @param {number | null} before @param {number | null} now */
function keepFilters(before, now) {
  const factor = before === null && now ? now : before && now === null ? 1 / before : 1;
  const { low, high } = store.settings.view;
  if (factor !== 1) setView({ ...(low ? { low: low * factor } : {}), ...(high ? { high: high * factor } : {}) });
}

/** @param {number} size in pixels */
export function setBox(size) {
  const clean = Math.min(5000, Math.max(4, Math.round(size)));
  const before = sheet()?.boxSize;
  if (!(size > 0) || !Number.isFinite(clean)) return changed("labels");
  if (before !== undefined && before !== clean) record({ kind: "box", id: "", from: before, to: clean });
  setBoxSize(clean);
  setSettings({ box_size_px: clean });
  changed("labels");
}

/** @param {number} way */
export const stepBox = (way) => {
  const size = sheet()?.boxSize ?? 100;
  setBox(size + way * Math.max(1, Math.round(size * 0.04)));
};

function refresh() {
  const one = sheet();
  if (!one) return;
  const row = store.byId.get(one.id);
  el("micrograph-name").textContent = `\u200e${one.name}\u200e`;
  el("micrograph-name").title = one.shape ? `${one.name}: ${one.shape[1]} × ${one.shape[0]} px` : one.name;
  setTitle(`${one.name.split("/").pop()} · vitripick`);
  for (const flag of ["complete", "empty", "excluded"]) press(el(`flag-${flag}`), row?.flag === flag);
  button("undo").disabled = !canUndo();
  button("redo").disabled = !canRedo();
  button("clear-labels").disabled = !one.nLabels;
  const parts = [count(one.nLabels, ofFilaments() ? "filament" : "label")];
  if (one.areas.size) parts.push(count(one.areas.size, "ignored area"));
  if (one.rejected.size) parts.push(`${one.rejected.size} rejected`);
  if (allPicks()) parts.push(count(shownPicks().length, "pick"));
  el("label-counts").textContent = parts.join(" · ");
  const px = input("box-px"), angstrom = input("box-angstrom"), size = input("pixel-size");
  if (document.activeElement !== px) px.value = String(Math.round(one.boxSize));
  if (document.activeElement !== angstrom) angstrom.value = one.pixelSize ? String(Math.round(one.boxSize * one.pixelSize)) : "";
  angstrom.disabled = !one.pixelSize;
  if (document.activeElement !== size) size.value = one.pixelSize ? String(Number(one.pixelSize.toFixed(3))) : "";
}

function refreshView() {
  const view = store.settings.view;
  el("zoom").textContent = sheet()?.shape ? `${(viewport.scale * 100).toFixed(0)} %` : "";
  const unit = pixelSize() ? "Å" : "px";
  for (const [name, least, most] of filterRanges()) {
    const value = name === "low" ? filters().low : filters().high;
    const slider = input(`${name}-pass`);
    if (document.activeElement !== slider) slider.value = String(toSlider(value, least, most));
    el(`${name}-pass-value`).textContent = value ? `${Number(value.toPrecision(3))} ${unit}` : "off";
  }
  const { auto, dark, bright, invert } = look();
  const shown = auto ? currentPicture()?.auto ?? [0, 255] : [dark, bright];
  input("dark").value = String(shown[0]);
  input("bright").value = String(shown[1]);
  el("contrast-value").textContent = `${shown[0]}–${shown[1]}`;
  press(el("auto-contrast"), auto);
  press(el("invert"), invert);
  press(el("denoised"), view.denoised === true);
  input("low-pass").disabled = button("low-pass-auto").disabled = view.denoised === true;
  el("denoised-note").hidden = view.denoised !== true;
  for (const [id, key] of /** @type {const} */ ([["show-labels", "showLabels"], ["show-picks", "showPicks"], ["colour-confidence", "byConfidence"]])) {
    input(id).checked = view[key] !== false;
  }
}

const refreshPlace = framed(() => {
  const at = pointerPlace();
  const size = pixelSize();
  if (!at || !viewport.contains(...at)) el("place").textContent = "";
  else el("place").textContent = `x ${at[0].toFixed(1)}  y ${at[1].toFixed(1)}${size ? `  ·  ${((at[0] * size) / 10).toFixed(1)}, ${((at[1] * size) / 10).toFixed(1)} nm` : ""}`;
});

export function startLabelPanel() {
  button("undo").addEventListener("click", undo);
  button("redo").addEventListener("click", redo);
  for (const flag of /** @type {const} */ (["complete", "empty", "excluded"])) el(`flag-${flag}`).addEventListener("click", () => setFlag(flag));
  button("box-smaller").addEventListener("click", () => stepBox(-1));
  button("box-larger").addEventListener("click", () => stepBox(1));
  // An emptied or impossible field takes the old number again.
  for (const id of ["box-px", "box-angstrom"]) input(id).addEventListener("blur", refresh);
  input("box-px").addEventListener("change", () => setBox(Number(input("box-px").value)));
  input("box-angstrom").addEventListener("change", () => {
    const size = pixelSize();
    if (size) setBox(Number(input("box-angstrom").value) / size);
  });
  input("pixel-size").addEventListener("blur", refresh);
  input("pixel-size").addEventListener("change", async () => {
    const text = input("pixel-size").value.trim(), size = Number(text);
    const one = sheet();
    if (!one || (text && !(size > 0 && size < 1000))) return;
    const before = one.pixelSize;
    setSettings({ pixel_size: text ? size : null });
    if (text) one.pixelSize = size;
    else {
      // Without the project's own, the header's counts again.
      await settingsSent();
      one.pixelSize = (await get(`api/micrographs/${one.id}`)).pixel_size;
    }
    keepFilters(before, one.pixelSize);
    changed("labels", "view");
  });
  button("low-pass-auto").addEventListener("click", () => setView({ low: null }));
  button("clear-labels").addEventListener("click", () => {
    const one = sheet();
    if (!one) return;
    edit({ remove: [...one.labels.keys()], remove_lines: [...one.lines.keys()] });
    toast("All labels here deleted; Ctrl+Z brings them back.");
  });
  for (const [id, factor] of /** @type {const} */ ([["zoom-in", 1.25], ["zoom-out", 0.8]])) el(id).addEventListener("click", () => (viewport.zoom(factor), changed("view")));
  el("fit").addEventListener("click", () => (viewport.fit(), changed("view")));
  el("one-to-one").addEventListener("click", oneToOne);
  const filterSoon = settled(refilter, 120);
  for (const [name] of filterRanges()) {
    input(`${name}-pass`).addEventListener("input", () => {
      const [, least, most] = /** @type {[string, number, number]} */ (filterRanges().find(([other]) => other === name));
      setView({ [name]: toAngstrom(Number(input(`${name}-pass`).value), least, most) });
      filterSoon();
    });
  }
  const contrast = framed(() => {
    const dark = Number(input("dark").value), bright = Number(input("bright").value);
    setView({ auto: false, dark: Math.min(dark, bright - 1), bright: Math.max(bright, dark + 1) });
  });
  input("dark").addEventListener("input", contrast);
  input("bright").addEventListener("input", contrast);
  el("auto-contrast").addEventListener("click", toggleAuto);
  el("invert").addEventListener("click", toggleInvert);
  el("denoised").addEventListener("click", toggleDenoised);
  for (const [id, key] of /** @type {const} */ ([["show-labels", "showLabels"], ["show-picks", "showPicks"], ["colour-confidence", "byConfidence"]])) {
    input(id).addEventListener("change", () => setView({ [key]: input(id).checked }));
  }
  const help = ["click an empty place: add", "click a pick: accept it", "drag: move a label, or the micrograph", "right-click, Alt-click or Del: take away", "Shift-drag: erase"];
  el("tool-help").replaceChildren(...help.map((text) => make("li", { textContent: text })));
  watch(["current", "labels", "rows", "picks", "settings"], refresh);
  watch(["view", "current", "settings", "focus"], refreshView);
  watch("focus", refreshPlace);
  refreshView();
}

export function oneToOne() {
  viewport.zoom(1 / viewport.scale);
  changed("view");
}

export function toggleAuto() {
  const { auto, ...rest } = look();
  const shown = currentPicture()?.auto ?? [0, 255];
  // Going manual starts from what is seen.
  setView(auto ? { ...rest, auto: false, dark: shown[0], bright: shown[1] } : { auto: true });
}

export const toggleInvert = () => setView({ invert: !look().invert });

export function toggleDenoised() {
  setView({ denoised: store.settings.view.denoised !== true });
  return refilter();
}
