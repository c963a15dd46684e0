import { el } from './dom.js';

const STAY_MS = 5000;
const MOST = 4;

/** Short messages in a corner. The box is an aria-live region, so screen readers read them, too. */
export class Toasts {
  #box;

  constructor(box) {
    this.#box = box;
  }

  say(text, { kind = 'info' } = {}) {
    const last = this.#box.lastElementChild;
    if (last?.textContent === text) last.remove();
    const toast = el('p', { className: `toast is-${kind}`, text, data: { testid: 'toast' } });
    this.#box.append(toast);
    while (this.#box.childElementCount > MOST) this.#box.firstElementChild.remove();
    setTimeout(() => toast.remove(), kind === 'error' ? STAY_MS * 1.6 : STAY_MS);
  }
}
