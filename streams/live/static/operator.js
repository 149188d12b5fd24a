// What only an operator may do. The token lives in this module's memory alone: not in the
// address, not in storage, gone with the tab.

import { apart } from "./parts.js";
import { W } from "./words.js";

const CONTROLS = "live/control";
const VERDICTS = "live/verdict";
const PERSON = "live/user";

export class Operator {
  token = "";
  name = "";
  /** What is being asked in the dialog: {action, target, busy, answer: {ok, text}}. */
  asked = null;
  /** The person looked up last: {busy} | {found} | {refused}. */
  person = null;
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  use(token, name) {
    this.token = token.trim();
    this.name = name.trim();
    this.#changed();
  }

  forget() {
    Object.assign(this, { token: "", name: "", asked: null, person: null });
    this.#changed();
  }

  ask(action, target) {
    this.asked = { action, target, busy: false, answer: null };
    this.#changed();
  }

  async confirm(reason, minutes) {
    const { action, target } = this.asked;
    this.asked = { ...this.asked, busy: true };
    this.#changed();
    const [kind, id] = apart(target);
    const answer =
      kind === "anomaly"
        ? await this.#send(VERDICTS, { anomaly_id: id, verdict: action, note: reason, name: this.name })
        : await this.#send(CONTROLS, { action, target, reason, minutes, name: this.name });
    this.asked = { ...this.asked, busy: false, answer };
    this.#changed();
  }

  async look(user) {
    this.person = { busy: true };
    this.#changed();
    const answer = await this.#send(PERSON, { user_id: user });
    this.person = answer.ok ? { found: answer.said } : { refused: answer.text };
    this.#changed();
  }

  forgetPerson() {
    this.person = null;
    this.#changed();
  }

  /** POST and read the answer; every way it can fail becomes a sentence. */
  async #send(path, body) {
    try {
      const answer = await fetch(path, {
        method: "POST",
        headers: { Authorization: `Bearer ${this.token}`, "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      const said = await answer.json().catch(() => ({}));
      const text = said.sentence ?? said.message;
      if (answer.status === 401 || answer.status === 403) return { ok: false, text: text ?? W.unauthorised };
      return { ok: answer.ok, text: text ?? `HTTP ${answer.status}`, said };
    } catch {
      return { ok: false, text: W.unreachable };
    }
  }
}
