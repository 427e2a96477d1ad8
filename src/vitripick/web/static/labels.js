// @ts-check
// The labels of the micrograph on the screen. An edit acts here at once and goes to the disk in order; what is not
// yet there is kept and sent again until it is.
import { get, post, ServerError } from "./api.js";
import { count, toast } from "./dom.js";
import { changed, store, updateRow, updateRows } from "./store.js";

/** @typedef {import("./types.js").Change} Change */
/** @typedef {import("./types.js").SheetAnswer} SheetAnswer */
/** @typedef {[number, number]} Place */

const RETRY_MS = 1500;
/** An edit that did not fit so often, each time after a look at what is there, never will. */
const MOST_TRIES = 8;
/** Of this page; with a count it names an edit, so that the server knows one that comes again. */
const PAGE_ID = Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join("");
let nEdits = 0;

/** One micrograph's labels, areas and rejected picks, with the edits on their way. */
export class LabelSheet {
  /** @param {SheetAnswer} answer */
  constructor(answer) {
    this.id = answer.id;
    this.name = answer.name;
    this.error = answer.error;
    this.shape = answer.shape;
    this.pixelSize = answer.pixel_size;
    this.boxSize = answer.box_size_px;
    this.nextNumber = answer.next_number;
    /** @type {Map<number, Place>} */ this.labels = new Map();
    /** @type {Map<number, Place[]>} */ this.areas = new Map();
    /** @type {Map<number, Place>} */ this.rejected = new Map();
    /** Labelled filaments. @type {Map<number, Place[]>} */ this.lines = new Map();
    this.revision = 0;
    this.canUndo = 0;
    this.canRedo = 0;
    /** @type {{id: string, change: Change, tries: number, before?: Map<number, Place[]>, lost?: number}[]} */ this.waiting = [];
    /** The server refused an edit: what is here is not what it has. */
    this.stale = false;
    this.take(answer);
  }

  /** @param {Pick<SheetAnswer, "labels" | "areas" | "rejected" | "lines" | "revision" | "can_undo" | "can_redo">} answer */
  take(answer) {
    this.labels = new Map(answer.labels.map(([n, x, y]) => [n, [x, y]]));
    this.areas = new Map(answer.areas);
    this.rejected = new Map(answer.rejected.map(([n, x, y]) => [n, [x, y]]));
    this.lines = new Map(answer.lines);
    this.revision = answer.revision;
    this.canUndo = answer.can_undo;
    this.canRedo = answer.can_redo;
  }

  /** A number nothing here ever had. */
  number() {
    return this.nextNumber++;
  }

  /** @param {Change} change */
  apply(change) {
    for (const n of change.remove ?? []) this.labels.delete(n);
    for (const [n, x, y] of change.move ?? []) this.labels.set(n, [x, y]);
    for (const [n, x, y] of change.add ?? []) this.labels.set(n, [x, y]);
    for (const n of change.remove_areas ?? []) this.areas.delete(n);
    for (const [n, points] of change.add_areas ?? []) this.areas.set(n, points);
    for (const n of change.unreject ?? []) this.rejected.delete(n);
    for (const [n, x, y] of change.reject ?? []) this.rejected.set(n, [x, y]);
    for (const n of change.remove_lines ?? []) this.lines.delete(n);
    for (const [n, line] of [...(change.bend ?? []), ...(change.add_lines ?? [])]) this.lines.set(n, line);
  }

  get nLabels() {
    return this.labels.size + this.lines.size;
  }
}

/** @type {LabelSheet | null} */
let current = null;
/** @type {"saved" | "saving" | "unsaved"} */
let state = "saved";
/** @type {Promise<void>} */
let sending = Promise.resolve();
/** @type {Set<LabelSheet>} */
const unsaved = new Set();
/** @type {(state: "saved" | "saving" | "unsaved") => void} */
let showState = () => {};

export const sheet = () => current;
/** @param {(state: "saved" | "saving" | "unsaved") => void} show */
export const onSaveState = (show) => (showState = show);
export const isSaved = () => state === "saved";
/** Hears of what the user does to labels and flags. @type {(action: {kind: "edit" | "flag", id: string, from?: any, to?: any}) => void} */
let edited = () => {};
/** @param {typeof edited} hear */
export const onEdit = (hear) => (edited = hear);

/** @param {"saved" | "saving" | "unsaved"} now */
function setState(now) {
  state = now;
  showState(now);
}

/** @param {SheetAnswer} answer the micrograph that is on the screen from now on */
export function show(answer) {
  current = new LabelSheet(answer);
  changed("labels");
}

/** @param {number} size the project's box size */
export function setBoxSize(size) {
  if (current) current.boxSize = size;
}

/**
 * Change labels: at once on the screen, then on the disk.
 * @param {Change} change
 */
export function edit(change) {
  if (!current || store.readOnly) return;
  if (!Object.values(change).some((rows) => rows?.length)) return;
  // What a filament was: it is bent only as long as no other window has bent it.
  const before = new Map((change.bend ?? []).map(([n]) => [n, current?.lines.get(n) ?? []]));
  current.apply(change);
  current.canUndo += 1;
  current.canRedo = 0;
  const row = store.byId.get(current.id);
  if (row) row.labels = current.nLabels;
  current.waiting.push({ id: `${PAGE_ID}-${nEdits++}`, change, tries: 0, before });
  unsaved.add(current);
  edited({ kind: "edit", id: current.id });
  flush();
  changed("labels", "rows");
}

/** @returns {Promise<void>} when everything is on the disk */
export function flush() {
  sending = sending.then(sendAll, sendAll);
  return sending;
}

/** @param {string} id @returns {Promise<void>} when no edit of this micrograph is on its way */
export async function settled(id) {
  if ([...unsaved].some((one) => one.id === id)) await flush();
}

async function sendAll() {
  for (const one of unsaved) {
    while (one.stale || one.waiting.length) {
      setState("saving");
      try {
        await (one.stale ? reload(one) : sendFirst(one));
      } catch (error) {
        const { status, message } = /** @type {ServerError} */ (error);
        if (status === 0 || status === 401 || status >= 500) {
          // Nothing is lost: it waits here, and says so.
          setState("unsaved");
          if (status >= 500) toast(message, "bad");
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
          continue;
        }
        if (one.stale) {
          // The server does not know this micrograph any more, or cannot read its labels.
          toast(message, "bad");
          one.waiting.length = 0;
          one.stale = false;
          close(one);
          continue;
        }
        // What another window did is taken over, and what was done here is fitted to it. Only an edit that the server
        // refuses for what it is goes.
        if (status !== 409 || ++one.waiting[0].tries > MOST_TRIES) {
          toast(message, "bad");
          one.waiting.shift();
        }
        one.stale = true;
      }
    }
    unsaved.delete(one);
  }
  setState("saved");
  changed("labels");
}

/** @param {LabelSheet} one its oldest edit that waits */
async function sendFirst(one) {
  const { id, change } = one.waiting[0];
  const answer = await post(`api/micrographs/${one.id}/edit`, { revision: one.revision, id, ...change });
  one.waiting.shift();
  one.revision = answer.revision;
  if (answer.behind) one.stale = true;
  if (!one.waiting.length) {
    one.canUndo = answer.can_undo;
    one.canRedo = answer.can_redo;
  }
  updateRow(answer.row);
}

/** @param {LabelSheet} one as the server has it, and what was done meanwhile */
async function reload(one) {
  const answer = await get(`api/micrographs/${one.id}`);
  one.take(answer);
  one.nextNumber = Math.max(one.nextNumber, answer.next_number);
  one.stale = false;
  const lost = refit(one);
  if (lost) toast(`${count(lost, "change")} left out: another window has removed or changed what ${lost === 1 ? "it was" : "they were"} about.`, "bad");
  changed("labels");
}

/**
 * Fit the edits that wait to what the server has now: what is new gets numbers that nothing else has, and what is
 * about something that is gone is left out.
 * @param {LabelSheet} one
 * @returns {number} how many changes were left out
 */
function refit(one) {
  /** @type {Map<number, number>} */
  const renamed = new Map();
  let lost = 0;
  const fresh = (/** @type {number} */ n) => {
    const now = one.number();
    renamed.set(n, now);
    return now;
  };
  /** @template T @param {T[]} rows @param {(row: T) => boolean} keep */
  const those = (rows, keep) => {
    const kept = rows.filter(keep);
    lost += rows.length - kept.length;
    return kept;
  };
  for (const edit of one.waiting) {
    const { add = [], remove = [], move = [], add_areas = [], remove_areas = [], reject = [], unreject = [] } = edit.change;
    const known = (/** @type {number} */ n) => renamed.get(n) ?? n;
    edit.change = {
      remove: those(remove.map(known), (n) => one.labels.has(n)),
      move: those(move.map(([n, x, y]) => /** @type {[number, number, number]} */ ([known(n), x, y])), ([n]) => one.labels.has(n)),
      remove_areas: those(remove_areas.map(known), (n) => one.areas.has(n)),
      unreject: those(unreject.map(known), (n) => one.rejected.has(n)),
      add: add.map(([n, x, y]) => [fresh(n), x, y]),
      add_areas: add_areas.map(([n, points]) => [fresh(n), points]),
      reject: reject.map(([n, x, y]) => [fresh(n), x, y]),
      ...refitLines(one, edit, known, fresh),
    };
    lost += edit.lost ?? 0;
    one.apply(edit.change);
  }
  one.waiting = one.waiting.filter(({ change }) => Object.values(change).some((rows) => rows?.length));
  return lost;
}

/**
 * The part of `refit` for filaments. Cutting and joining is done whole or not at all.
 * @param {LabelSheet} one
 * @param {{change: Change, before?: Map<number, Place[]>, lost?: number}} edit
 * @param {(n: number) => number} known its number now
 * @param {(n: number) => number} fresh a number for what is new
 * @returns {Change}
 */
function refitLines(one, edit, known, fresh) {
  const { add_lines = [], remove_lines = [], bend = [] } = edit.change;
  const remove = remove_lines.map(known), was = edit.before ?? new Map();
  const same = (/** @type {number} */ n) => JSON.stringify(one.lines.get(known(n))) === JSON.stringify(was.get(n));
  edit.lost = 0;
  if (bend.length && !(bend.every(([n]) => same(n)) && remove.every((n) => one.lines.has(n)))) {
    edit.lost = 1;
    return {};
  }
  edit.before = new Map([...was].map(([n, line]) => [known(n), line]));
  const kept = remove.filter((n) => one.lines.has(n));
  edit.lost = remove.length - kept.length;
  return {
    remove_lines: kept,
    bend: bend.map(([n, line]) => [known(n), line]),
    add_lines: add_lines.map(([n, line]) => [fresh(n), line]),
  };
}

/**
 * Take over what other windows did.
 * @param {any[][]} rows of micrographs that changed
 * @param {Record<string, number | null>} revisions null: the server has not read its labels, so they may be any
 */
export function hear(rows, revisions) {
  const waiting = new Set([...unsaved].map((one) => one.id));
  updateRows(rows.filter(([id]) => !waiting.has(id)));
  const one = current;
  const now = one && revisions[one.id];
  if (one && !waiting.has(one.id) && (now === null || (now ?? 0) > one.revision)) {
    one.stale = true;
    unsaved.add(one);
    flush();
  }
}

/** @param {LabelSheet} one nothing more can be done to it here */
function close(one) {
  if (current !== one) return;
  current = null;
  changed("current");
}

/** @param {"undo" | "redo"} way */
export async function step(way) {
  if (!current || store.readOnly) return;
  const one = current;
  await flush();
  try {
    const answer = await post(`api/micrographs/${one.id}/${way}`, { revision: one.revision });
    one.take(answer);
    updateRow(answer.row);
  } catch (error) {
    toast(/** @type {Error} */ (error).message, "bad");
    one.stale = true;
    unsaved.add(one);
    await flush();
  }
  changed("labels");
}

/** @param {import("./types.js").Flag} flag the same one again takes it back */
export async function setFlag(flag) {
  const row = current && store.byId.get(current.id);
  if (!row || store.readOnly) return;
  const from = row.flag, to = row.flag === flag ? null : flag;
  if (await applyFlag(to)) edited({ kind: "flag", id: row.id, from, to });
}

/** @param {import("./types.js").Flag | null} flag @returns {Promise<boolean>} whether it is on the disk */
export async function applyFlag(flag) {
  const row = current && store.byId.get(current.id);
  if (!row) return false;
  await flush();
  try {
    const answer = await post(`api/micrographs/${row.id}/flag`, { flag });
    updateRow(answer.row);
    changed("labels");
    return true;
  } catch (error) {
    toast(/** @type {Error} */ (error).message, "bad");
    return false;
  }
}

/**
 * The label nearest to a place, if it is near enough.
 * @param {number} x
 * @param {number} y
 * @param {number} reach
 * @returns {number | null}
 */
export function labelAt(x, y, reach) {
  let found = null, best = reach * reach;
  for (const [n, [lx, ly]] of current?.labels ?? []) {
    const distance = (lx - x) ** 2 + (ly - y) ** 2;
    if (distance <= best) [found, best] = [n, distance];
  }
  return found;
}
