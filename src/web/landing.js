import { parseInvite, roomByCode } from './api.js';
import { setText } from './dom.js';
import { rememberedName, rememberName } from './identity.js';
import { randomPin, randomRoomId } from './names.js';
import { errorWords } from './words.js';

/** The landing page: create a room, join one by code, or follow an invitation. `enter({roomId, username, pin})`. */
export class Landing {
  #parts;
  #enter;
  #invited = null;
  #tried = null;
  #lockTimer = 0;

  constructor({ parts, enter }) {
    this.#parts = parts;
    this.#enter = enter;
    parts.name.value = rememberedName();
    parts.createForm.addEventListener('submit', (event) => this.#create(event));
    parts.joinForm.addEventListener('submit', (event) => this.#join(event));
    parts.dice.addEventListener('click', () => this.#suggest());
    parts.other.addEventListener('click', () => this.open());
    for (const field of [parts.name, parts.code, parts.pin, parts.createRoom, parts.createPin]) {
      field.addEventListener('input', () => this.#complain(field, ''));
    }
    this.#suggest();
  }

  /** Shows the page; for an invitation only the name and the PIN are asked for. */
  open(invited = null, { message = '' } = {}) {
    const { root, joinTitle, joinText, codeField, pinField, startCard, other, pin, name, notice } = this.#parts;
    this.#invited = invited;
    root.classList.toggle('is-invited', Boolean(invited));
    setText(joinTitle, invited ? 'You are invited' : 'Join a room');
    setText(joinText, invited ? `Room ${invited.roomId}` : 'You got a link, or a code and a PIN.');
    codeField.hidden = Boolean(invited);
    // Such an invitation takes the place of the PIN.
    pinField.hidden = Boolean(invited?.invite);
    startCard.hidden = Boolean(invited);
    other.hidden = !invited;
    if (invited) pin.value = invited.pin ?? '';
    setText(notice, message);
    notice.hidden = !message;
    this.#busy(false);
    if (!name.value) name.focus({ preventScroll: true });
  }

  /** Shows why the server refused the last attempt. */
  refused(error) {
    this.#busy(false);
    const creating = this.#tried?.creating;
    const field = creating ? this.#parts.createPin : this.#parts.pin;
    if (error.code === 'invalid_pin') {
      this.#complain(field, creating ? 'This room exists already, with another PIN. Choose another name for yours.' : errorWords(error));
      field.select();
      field.focus();
    } else if (error.code === 'pin_locked') {
      this.#locked(field, error.retryAfterMs);
    } else if (error.code === 'invalid_invitation') {
      // Without it the room may still be entered with its PIN.
      this.open({ roomId: this.#tried.roomId, pin: '' });
      this.#notice(errorWords(error));
    } else if (error.code === 'forbidden') {
      this.#notice('You were removed from this room and cannot come back.');
    } else {
      this.#notice(errorWords(error));
    }
  }

  #locked(field, retryAfterMs) {
    clearInterval(this.#lockTimer);
    const until = Date.now() + (retryAfterMs ?? 1000);
    const buttons = [this.#parts.join, this.#parts.create];
    const tick = () => {
      const left = until - Date.now();
      for (const button of buttons) button.disabled = left > 0;
      this.#complain(field, left > 0 ? errorWords({ code: 'pin_locked', retryAfterMs: left }) : '');
      if (left <= 0) clearInterval(this.#lockTimer);
    };
    this.#lockTimer = setInterval(tick, 1000);
    tick();
  }

  #suggest() {
    this.#parts.createRoom.value = randomRoomId();
    this.#parts.createPin.value = randomPin();
    this.#complain(this.#parts.createRoom, '');
    this.#complain(this.#parts.createPin, '');
  }

  #create(event) {
    event.preventDefault();
    const { createRoom, createPin } = this.#parts;
    const username = this.#name();
    const roomId = createRoom.value.trim();
    const pin = createPin.value.trim();
    if (!username) return;
    if (!roomId) {
      this.#complain(createRoom, 'The room needs a name.');
      createRoom.focus();
      return;
    }
    this.#try({ roomId, username, pin, creating: true });
  }

  async #join(event) {
    event.preventDefault();
    const { code, pin } = this.#parts;
    const username = this.#name();
    if (!username) return;
    if (this.#invited) {
      const { roomId, invite } = this.#invited;
      this.#try({ roomId, username, pin: pin.value.trim(), invite });
      return;
    }
    const invite = parseInvite(code.value);
    if (invite.pin && !pin.value) pin.value = invite.pin;
    if (!invite.roomId && !invite.code) {
      this.#complain(code, 'Please enter the code, or paste the link.');
      code.focus();
      return;
    }
    this.#busy(true);
    try {
      const found = invite.roomId ? invite : await roomByCode(invite.code);
      if (found) {
        this.#try({ roomId: found.roomId, username, pin: pin.value.trim(), invite: found.invite });
        return;
      }
      this.#busy(false);
      this.#complain(code, 'There is no room with this code. Rooms vanish some minutes after the last one left.');
      code.focus();
    } catch {
      this.#busy(false);
      this.#notice('The server cannot be reached. Please try again in a moment.');
    }
  }

  #name() {
    const { name } = this.#parts;
    const username = name.value.trim();
    if (username) {
      rememberName(username);
      return username;
    }
    this.#complain(name, 'What shall the others call you?');
    name.focus();
    return null;
  }

  #try(seat) {
    this.#tried = seat;
    this.#notice('');
    this.#busy(true);
    this.#enter(seat);
  }

  #busy(busy) {
    for (const button of [this.#parts.join, this.#parts.create]) {
      button.disabled = busy;
      button.setAttribute('aria-busy', String(busy));
    }
  }

  #notice(text) {
    setText(this.#parts.notice, text);
    this.#parts.notice.hidden = !text;
  }

  #complain(field, text) {
    const error = document.getElementById(`${field.id}-error`);
    if (error) {
      setText(error, text);
      error.hidden = !text;
    }
    if (text) field.setAttribute('aria-invalid', 'true');
    else field.removeAttribute('aria-invalid');
  }
}
