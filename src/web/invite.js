import { inviteLink, shortId } from './api.js';

const COPIED_MS = 2000;

/** The link, the code and the PIN of an invitation. */
export class Invite {
  #parts;

  /** `parts`: link (an input), copy, code, pinText. */
  constructor(parts) {
    this.#parts = parts;
    parts.link.addEventListener('focus', () => parts.link.select());
    parts.copy.addEventListener('click', () => this.#copy());
  }

  /** `isSecret`: the room has a PIN that this member does not know. */
  async show(roomId, pin, { isSecret = false } = {}) {
    const { link, code, pinText } = this.#parts;
    pinText.textContent = pin || (isSecret ? 'ask the host' : 'none');
    const known = link.dataset.room === roomId && code.textContent !== '–';
    if (!known) {
      link.dataset.room = roomId;
      code.textContent = '–';
    }
    link.value = inviteLink(roomId, known ? code.textContent : null, pin, known ? link.dataset.mark : '');
    try {
      const answer = await shortId(roomId);
      if (!answer?.shortId || link.dataset.room !== roomId) return;
      code.textContent = answer.shortId;
      link.dataset.mark = answer.pageUrl ? new URL(answer.pageUrl).search : '';
      link.value = inviteLink(roomId, answer.shortId, pin, link.dataset.mark);
      link.dataset.ready = 'true';
    } catch {
      // The long link stays; it works as well.
    }
  }

  async #copy() {
    const { link, copy } = this.#parts;
    const label = copy.querySelector('span');
    try {
      await navigator.clipboard.writeText(link.value);
    } catch {
      // The clipboard API needs HTTPS; the older API works with plain HTTP.
      link.focus();
      link.select();
      document.execCommand('copy');
    }
    label.textContent = 'Copied';
    setTimeout(() => {
      label.textContent = 'Copy link';
    }, COPIED_MS);
  }
}
