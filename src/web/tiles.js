import { el } from './dom.js';

/** The tiles with cameras, and the sound of microphones. */
export class Tiles {
  #box;
  #calls;
  #room;
  #tiles = new Map();
  #voices = new Map();
  #blocked = new Set();

  constructor({ box, calls, room }) {
    this.#box = box;
    this.#calls = calls;
    this.#room = room;
    calls.on('media', () => this.draw());
    room.on('change', () => this.draw());
    // After a reload the browser requires a user gesture before it plays sound.
    for (const type of ['pointerdown', 'keydown']) document.addEventListener(type, () => this.#retry(), { capture: true });
  }

  draw() {
    const wanted = new Set();
    for (const user of this.#room.users.values()) {
      const { userId } = user;
      const picture = this.#calls.track(userId, 'video');
      if (picture) {
        wanted.add(userId);
        this.#tile(user, picture);
      }
      this.#voice(userId, userId === this.#room.me ? null : this.#calls.track(userId, 'audio'));
    }
    for (const userId of [...this.#tiles.keys()]) if (!wanted.has(userId)) this.#remove(userId);
    for (const userId of [...this.#voices.keys()]) if (!this.#room.users.has(userId)) this.#voice(userId, null);
    this.#box.hidden = this.#tiles.size === 0;
  }

  #tile({ userId, username, away }, track) {
    const mine = userId === this.#room.me;
    let tile = this.#tiles.get(userId);
    if (!tile) {
      const video = el('video', {
        autoplay: true,
        muted: true,
        playsInline: true,
        data: { userId, testid: 'tile-video' },
      });
      const name = el('figcaption', { className: 'tile-name' });
      const figure = el('figure', { className: 'tile', data: { userId, testid: 'tile' } }, video, name);
      figure.classList.toggle('is-mine', mine);
      this.#box.append(figure);
      tile = { figure, video, name, track: null };
      this.#tiles.set(userId, tile);
    }
    tile.name.textContent = mine ? `${username ?? 'You'} (you)` : (username ?? 'Somebody');
    tile.figure.classList.toggle('is-away', Boolean(away));
    tile.video.setAttribute('aria-label', `Camera of ${username ?? 'somebody'}`);
    if (tile.track === track) return;
    tile.track = track;
    tile.video.srcObject = new MediaStream([track]);
    this.#start(tile.video);
  }

  #remove(userId) {
    const { figure, video } = this.#tiles.get(userId);
    this.#tiles.delete(userId);
    this.#blocked.delete(video);
    video.srcObject = null;
    figure.remove();
  }

  #voice(userId, track) {
    const known = this.#voices.get(userId);
    if (known?.track === track || (!known && !track)) return;
    if (known) {
      this.#blocked.delete(known.audio);
      known.audio.srcObject = null;
      this.#voices.delete(userId);
    }
    if (!track) return;
    const audio = new Audio();
    audio.srcObject = new MediaStream([track]);
    this.#voices.set(userId, { audio, track });
    this.#start(audio);
  }

  #start(element) {
    element.play().catch((error) => {
      if (error.name === 'NotAllowedError') this.#blocked.add(element);
    });
  }

  #retry() {
    for (const element of this.#blocked) {
      this.#blocked.delete(element);
      this.#start(element);
    }
  }
}
