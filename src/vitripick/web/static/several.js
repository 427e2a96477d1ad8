// @ts-check
// Act on several micrographs of the list at once.
import { button, count, el, select, toast } from "./dom.js";
import { flush } from "./labels.js";
import { marked, markNone, whenMarked } from "./list.js";
import { putFlags, record } from "./session_undo.js";
import { store } from "./store.js";
import { act } from "./train_panel.js";

/** @param {string} flag "" takes the mark away */
async function flagAll(flag) {
  await flush();
  const wanted = [...marked].map((id) => ({ id, from: store.byId.get(id)?.flag ?? null, to: /** @type {any} */ (flag || null) }));
  const { changed: flags, problem } = await putFlags(wanted, "to");
  if (flags.length) record({ kind: "flags", id: "", flags });
  toast(problem ? `${flags.length} of ${count(wanted.length, "micrograph")} changed: ${problem}` : `${count(flags.length, "micrograph")} changed`, problem ? "bad" : "");
}

function refresh() {
  el("marked").hidden = !marked.size;
  el("marked-count").textContent = `${count(marked.size, "micrograph")} chosen (Ctrl or Shift and click)`;
}

export function startMarked() {
  for (const node of el("marked").querySelectorAll("button[data-flag]")) {
    node.addEventListener("click", () => flagAll(/** @type {HTMLElement} */ (node).dataset.flag ?? ""));
  }
  button("marked-pick").addEventListener("click", () => act("api/pick", { model: select("pick-model").value, which: "these", micrographs: [...marked] }));
  button("marked-none").addEventListener("click", markNone);
  whenMarked(refresh);
}
