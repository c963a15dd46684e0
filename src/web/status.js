import { setText } from './dom.js';

const DRAW_MS = 200;
const SPOKEN = {
  live: 'Connected.',
  connecting: 'Connecting.',
  waiting: 'The connection was lost.',
  offline: 'You are offline.',
  idle: '',
};

/** The status of the connection, and the two numbers beside it. */
export class StatusLine {
  #parts;
  #connection;
  #sync;
  #player;

  /** `parts`: pill, spoken (for screen readers: no countdown), badge, drift, rtt. */
  constructor({ parts, connection, sync, player }) {
    this.#parts = parts;
    this.#connection = connection;
    this.#sync = sync;
    this.#player = player;
    connection.on('state', ({ name }) => {
      setText(parts.spoken, SPOKEN[name]);
      this.draw();
    });
    setInterval(() => this.draw(), DRAW_MS);
    this.draw();
  }

  draw() {
    const { pill, badge, drift, rtt } = this.#parts;
    const { name } = this.#connection.state;
    if (pill.dataset.state !== name) pill.dataset.state = name;
    setText(pill.querySelector('span'), this.#words());
    setText(drift, this.#drift());
    setText(badge, this.#badge());
    badge.hidden = badge.textContent === '';
    const trip = this.#connection.clock.rtt;
    setText(rtt, this.#connection.live && trip !== null ? `${Math.round(trip)} ms` : '–');
  }

  #words() {
    const { name, retryAt } = this.#connection.state;
    switch (name) {
      case 'live':
        return 'Live';
      case 'connecting':
        return 'Connecting…';
      case 'waiting':
        return `Reconnecting in ${Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))} s`;
      default:
        return 'Offline';
    }
  }

  #badge() {
    if (!this.#player.showing) return '';
    if (this.#sync.waiting) return 'Waiting for everybody…';
    return this.#player.ready || this.#sync.blocked ? '' : 'Loading…';
  }

  #drift() {
    const { drift } = this.#sync;
    if (drift === null || !this.#player.loaded) return '–';
    const ms = Math.round(drift);
    return `${ms > 0 ? '+' : ms < 0 ? '−' : ''}${Math.abs(ms)} ms`;
  }
}
