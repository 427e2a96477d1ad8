// @ts-check
// How long a job still takes, and the title of the tab, which says how far it is and when it is done.
import { store, watch } from "./store.js";

/** A guess from less time than this jumps about. */
const LEAST_MS = 4000;

let base = "vitripick", note = "";
/** Where the present stage of the present job was when it was first seen. */
let began = { key: "", at: 0, share: 0 };
let wasRunning = false;

function show() {
  document.title = note ? `${note} · ${base}` : base;
}

/** @param {string} title of the page without a job */
export function setTitle(title) {
  base = title;
  show();
}

/** @param {import("./types.js").Job} job */
export const shareOf = (job) => (job.stage === "picking" || job.kind === "classes" ? job.done / Math.max(1, job.total) : job.step / Math.max(1, job.steps));

/** @param {number} seconds @returns {string} */
const words = (seconds) => (seconds < 50 ? `${Math.max(5, Math.ceil(seconds / 5) * 5)} s` : `${Math.ceil(seconds / 60)} min`);

/**
 * How long the present stage still takes, at the speed that it had so far.
 * @param {import("./types.js").Job} job
 * @returns {string} for example "about 2 min left"; "" while nothing can be said
 */
export function timeLeft(job) {
  const key = `${job.run}/${job.stage}`, share = shareOf(job), now = performance.now();
  if (began.key !== key) began = { key, at: now, share };
  const done = share - began.share, spent = now - began.at;
  if (!job.running || done <= 0 || spent < LEAST_MS || share >= 1) return "";
  return `about ${words(((1 - share) / done) * (spent / 1000))} left`;
}

function refresh() {
  const job = store.status?.job;
  if (job?.running) note = `${Math.floor(shareOf(job) * 100)} %`;
  else if (wasRunning && job) {
    // A user who looks at another tab sees it in the title; on this tab the message is enough.
    const what = job.kind === "train" ? "training" : job.kind === "classes" ? "sorting" : "picking";
    note = document.hidden ? (job.stage === "done" ? `✓ ${what} done` : `${what} ${job.stage}`) : "";
  } else if (!document.hidden) note = "";
  wasRunning = Boolean(job?.running);
  show();
}

export function startProgress() {
  watch("status", refresh);
  document.addEventListener("visibilitychange", refresh);
}
