// @ts-check
// Undo of what was done since this page was opened, in its order: labels, flags and box sizes, on every micrograph.
// What is older is undone on a second press only, since no one remembers it.
import { post } from "./api.js";
import { count, toast } from "./dom.js";
import { applyFlag, flush, onEdit, sheet, step } from "./labels.js";
import { setBox } from "./label_panel.js";
import { changed, store, updateRows } from "./store.js";
import { viewport } from "./viewer.js";

/** @typedef {import("./types.js").Flag} Flag */
/** @typedef {{id: string, from: Flag | null, to: Flag | null}} FlagChange */
/** @typedef {{kind: "edit" | "flag" | "flags" | "box", id: string, from?: any, to?: any, flags?: FlagChange[], gesture?: number}} Action */

/** @type {Action[]} */
let done = [];
/** @type {Action[]} */
let undone = [];
let gesture = 0;
let joined = false;
/** An undo is under way: what it does is not a new action. */
let replaying = false;
/** @type {(id: string) => Promise<void>} */
let open = async () => {};
/** The micrograph whose older history was asked about, and until when a second press counts. */
let asked = { id: "", until: 0 };
const SECOND_PRESS_MS = 6000;

/** @param {Action} action */
export function record(action) {
  if (replaying || store.readOnly) return;
  const last = done[done.length - 1];
  undone = [];
  // A box that is made larger step by step is one change of size.
  if (action.kind === "box" && last?.kind === "box") {
    last.to = action.to;
    return;
  }
  if (!joined) gesture += 1;
  done.push({ ...action, gesture });
}

/** What this does is undone at once. @param {() => Promise<void>} act */
export async function together(act) {
  gesture += 1;
  joined = true;
  try {
    await act();
  } finally {
    joined = false;
  }
}

export const canUndo = () => Boolean(done.length || sheet()?.canUndo);
export const canRedo = () => Boolean(undone.length || sheet()?.canRedo);

/** @param {Action[]} actions @returns {Action[]} the last ones that were one gesture, taken away */
function takeLast(actions) {
  const last = actions[actions.length - 1];
  if (!last) return [];
  const first = actions.findIndex((action) => action.gesture === last.gesture);
  return actions.splice(first);
}

/** @param {string} id */
const nameOf = (id) => store.byId.get(id)?.name ?? "a micrograph";

/** Presses that follow quickly wait for one another. @type {Promise<void>} */
let queue = Promise.resolve();

/** @param {() => Promise<void>} act none of it is an action of its own */
function replay(act) {
  const run = async () => {
    replaying = true;
    try {
      await act();
    } finally {
      replaying = false;
      changed("labels");
    }
  };
  queue = queue.then(run, run);
  return queue;
}

export const undo = () => replay(async () => {
  if (store.readOnly) return;
  await flush();
  const group = takeLast(done);
  if (!group.length) return older();
  const words = [];
  for (const action of [...group].reverse()) words.push(await revert(action, "undo"));
  undone.push(...group);
  say("Undone", group, words);
});

export const redo = () => replay(async () => {
  if (store.readOnly) return;
  await flush();
  const group = takeLast(undone);
  if (!group.length) {
    if (sheet()?.canRedo) say("Done again", [{ kind: "edit", id: sheet()?.id ?? "" }], [await stepped("redo")]);
    return;
  }
  const words = [];
  for (const action of group) words.push(await revert(action, "redo"));
  done.push(...group);
  say("Done again", group, words);
});

/** What was done before this page was opened. */
async function older() {
  const one = sheet();
  if (!one?.canUndo) return toast("Nothing to undo here.");
  if (asked.id !== one.id || Date.now() > asked.until) {
    asked = { id: one.id, until: Date.now() + SECOND_PRESS_MS };
    toast(`Nothing more was done since this page was opened. Press again to undo an older change of ${one.name}.`);
    return;
  }
  asked.until = Date.now() + SECOND_PRESS_MS;
  say("Undone", [{ kind: "edit", id: one.id }], [await stepped("undo")]);
}

/** @param {Action} action @param {"undo" | "redo"} way @returns {Promise<string>} what that did, in words */
async function revert(action, way) {
  const to = way === "undo" ? action.from : action.to;
  if (action.kind === "box") {
    setBox(to);
    return `box of ${Math.round(to)} px`;
  }
  if (action.kind === "flags") {
    const { changed: flags, problem } = await putFlags(action.flags ?? [], way === "undo" ? "from" : "to");
    return `marks of ${count(flags.length, "micrograph")}${problem ? ` (${problem})` : ""}`;
  }
  if (sheet()?.id !== action.id) await open(action.id);
  if (action.kind === "flag") {
    await applyFlag(to);
    return to ? `marked ${to === "complete" ? "fully labelled" : to}` : "no mark";
  }
  return stepped(way);
}

/**
 * Set the marks of several micrographs.
 * @param {FlagChange[]} flags
 * @param {"from" | "to"} which of the two each shall have
 * @returns {Promise<{changed: FlagChange[], problem: string}>} those that are on the disk, and what the server said last
 */
export async function putFlags(flags, which) {
  const rows = [], done = [];
  let problem = "";
  for (const one of flags) {
    try {
      rows.push((await post(`api/micrographs/${one.id}/flag`, { flag: one[which] })).row);
      done.push(one);
    } catch (error) {
      problem = /** @type {Error} */ (error).message;
    }
  }
  updateRows(rows);
  changed("labels");
  return { changed: done, problem };
}

/** @param {"undo" | "redo"} way @returns {Promise<string>} what that did, in words */
async function stepped(way) {
  const one = sheet();
  if (!one) return "";
  const before = { labels: new Map(one.labels), lines: new Map(one.lines), areas: one.areas.size, rejected: one.rejected.size };
  await step(way);
  const after = sheet();
  if (!after) return "";
  let added = 0, removed = 0, moved = 0;
  /** @type {[number, number] | null} */
  let place = null;
  for (const [n, at] of after.labels) {
    const old = before.labels.get(n);
    if (!old) added += 1;
    else if (old[0] !== at[0] || old[1] !== at[1]) moved += 1;
    else continue;
    place ??= at;
  }
  for (const [n, at] of before.labels) {
    if (after.labels.has(n)) continue;
    removed += 1;
    place ??= at;
  }
  const parts = linesStepped(before.lines, after.lines);
  if (place) bringIntoView(place);
  if (added) parts.push(`${count(added, "label")} back`);
  if (removed) parts.push(`${count(removed, "label")} away`);
  if (moved) parts.push(`${count(moved, "label")} moved`);
  const areas = after.areas.size - before.areas, rejected = after.rejected.size - before.rejected;
  if (areas) parts.push(`${count(Math.abs(areas), "area")} ${areas > 0 ? "back" : "away"}`);
  if (rejected) parts.push(`${count(Math.abs(rejected), "rejection")} ${rejected > 0 ? "back" : "away"}`);
  return parts.join(", ") || "an area changed";
}

/** What a step did to filaments, in words. @param {Map<number, [number, number][]>} before @param {Map<number, [number, number][]>} after */
function linesStepped(before, after) {
  const back = [...after.keys()].filter((n) => !before.has(n)), away = [...before.keys()].filter((n) => !after.has(n));
  const bent = [...after.keys()].filter((n) => before.has(n) && JSON.stringify(before.get(n)) !== JSON.stringify(after.get(n)));
  const [first] = [...back, ...bent, ...away], line = after.get(first) ?? before.get(first);
  if (line) bringIntoView(line[Math.floor(line.length / 2)]);
  return [[back, "back"], [away, "away"], [bent, "bent"]].filter(([numbers]) => numbers.length).map(([numbers, word]) => `${count(numbers.length, "filament")} ${word}`);
}

/** @param {[number, number]} place */
function bringIntoView(place) {
  const [x, y] = viewport.toScreen(...place);
  if (x >= 0 && y >= 0 && x <= viewport.width && y <= viewport.height) return;
  viewport.centreOn(...place);
  changed("view");
}

/** @param {string} what @param {Action[]} group @param {string[]} words */
function say(what, group, words) {
  const id = group.find((action) => action.kind === "edit" || action.kind === "flag")?.id;
  toast(`${what}: ${words.filter(Boolean).join("; ")}${id ? `, on ${nameOf(id)}` : ""}.`);
}

/** @param {(id: string) => Promise<void>} opener shows a micrograph */
export function startUndo(opener) {
  open = opener;
  onEdit((action) => record(action));
}
