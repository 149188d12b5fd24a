// Follows the server's frames and says how fresh they are: live, stale or reconnecting.

import { merged } from "./merge.js";

/** A frame older than this is not "now" any more (ms). */
export const STALE_AFTER = 3000;

/** EventSource gives up for good on an answer that is no stream; we do not (ms). */
const AGAIN_AFTER = 1000;

export class Stream {
  #address;
  #onFrame;
  #onState;
  #source = null;
  #again = null;
  #arrived = null;
  #page = null;

  /** `onFrame(page)` per frame, always the whole page; `onState()` whenever what `state` says may have changed. */
  constructor(address, { onFrame, onState }) {
    this.#address = address;
    this.#onFrame = onFrame;
    this.#onState = onState;
  }

  open() {
    this.#again = null;
    this.#source?.close();
    this.#source = new EventSource(this.#address);
    this.#source.addEventListener("snapshot", (event) => this.#take(JSON.parse(event.data)));
    this.#source.addEventListener("frame", (event) => {
      if (this.#page !== null) this.#take(merged(this.#page, JSON.parse(event.data)));
    });
    this.#source.addEventListener("open", () => this.#onState());
    this.#source.addEventListener("error", () => this.#lost());
  }

  close() {
    clearTimeout(this.#again);
    this.#source?.close();
  }

  /** Ms since the last frame arrived; null before the first. */
  get age() {
    return this.#arrived === null ? null : performance.now() - this.#arrived;
  }

  /** "connecting" (nothing yet), "live", "stale" or "reconnecting". */
  get state() {
    const open = this.#source?.readyState === EventSource.OPEN;
    if (this.#arrived === null) return "connecting";
    if (!open) return "reconnecting";
    return this.age > STALE_AFTER ? "stale" : "live";
  }

  #take(page) {
    this.#page = page;
    this.#arrived = performance.now();
    this.#onFrame(page);
  }

  #lost() {
    if (this.#source.readyState === EventSource.CLOSED && this.#again === null)
      this.#again = setTimeout(() => this.open(), AGAIN_AFTER);
    this.#onState();
  }
}
