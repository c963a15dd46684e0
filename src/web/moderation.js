import { el, icon, setText } from './dom.js';

/**
 * The lock, the PIN and the bans of the room, for those who may change them. `ask(frame)` resolves with the ACK, or with nothing if it was refused;
 * `pinSet(pin)` is told of the PIN that was set here.
 */
export class Moderation {
  #parts;
  #room;
  #ask;
  #pinSet;

  /** `parts`: lock, lockSwitch, bansButton, bansDialog, bansList, bansNone, pinButton, pinDialog, pinInput, banDialog, banText. */
  constructor({ parts, room, connection, ask, pinSet }) {
    this.#parts = parts;
    this.#room = room;
    this.#ask = ask;
    this.#pinSet = pinSet;
    room.on('change', () => this.draw());
    connection.on('frame', (frame) => {
      if (frame.type === 'BANS') this.#list(frame.bans);
    });
    parts.lock.addEventListener('change', async () => {
      if (!(await ask({ type: 'LOCK_ROOM', locked: parts.lock.checked }))) this.draw();
    });
    parts.bansButton.addEventListener('click', () => {
      parts.bansList.replaceChildren();
      parts.bansNone.hidden = true;
      parts.bansDialog.showModal();
      ask({ type: 'LIST_BANS' });
    });
    parts.pinButton.addEventListener('click', () => {
      parts.pinInput.value = '';
      // After Escape a dialog keeps its previous return value.
      parts.pinDialog.returnValue = '';
      parts.pinDialog.showModal();
    });
    parts.pinDialog.addEventListener('close', () => this.#setPin());
    parts.banDialog.addEventListener('close', () => {
      const { returnValue, dataset } = parts.banDialog;
      if (returnValue === 'ok') ask({ type: 'BAN', targetUserId: dataset.target });
    });
  }

  /** Asks whether this member is to be banned. */
  confirmBan(userId) {
    const { banDialog, banText } = this.#parts;
    setText(banText, `${this.#room.nameOf(userId)} will leave at once and cannot come back, until you lift the ban.`);
    banDialog.returnValue = '';
    banDialog.dataset.target = userId;
    banDialog.showModal();
  }

  draw() {
    const { lock, lockSwitch, bansButton, pinButton } = this.#parts;
    const leads = this.#room.isHost || this.#room.isCoHost;
    lock.checked = this.#room.locked;
    lock.disabled = !leads;
    lockSwitch.hidden = !leads && !this.#room.locked;
    bansButton.hidden = !leads;
    pinButton.hidden = !this.#room.isHost;
  }

  async #setPin() {
    const { pinDialog, pinInput } = this.#parts;
    if (pinDialog.returnValue !== 'ok') return;
    const pin = pinInput.value.trim();
    if (await this.#ask({ type: 'SET_PIN', pin: pin || null })) this.#pinSet(pin);
  }

  #list(bans) {
    const { bansList, bansNone } = this.#parts;
    bansNone.hidden = bans.length > 0;
    bansList.replaceChildren(...bans.map((ban) => this.#row(ban)));
  }

  #row({ userId, username, byAddress, at }) {
    const lift = el('button', { className: 'button', type: 'button', text: 'Lift', data: { testid: 'unban' }, attrs: { 'aria-label': `Lift the ban of ${username || userId}` } });
    const since = new Date(at).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
    const row = el(
      'li',
      { className: 'ban', data: { userId, testid: 'ban' } },
      icon('remove'),
      el('span', { className: 'member-text' }, el('bdi', { className: 'member-name', text: username || userId }), el('span', { className: 'member-note', text: `${since}${byAddress ? ' · with the address' : ''}` })),
      lift,
    );
    lift.addEventListener('click', async () => {
      lift.disabled = true;
      if (await this.#ask({ type: 'UNBAN', targetUserId: userId })) this.#ask({ type: 'LIST_BANS' });
      else lift.disabled = false;
    });
    return row;
  }
}
