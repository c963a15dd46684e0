import { setText } from './dom.js';

const DRAW_MS = 200;

/** The pill that tells how the wire is, and the two numbers beside it. */
export class StatusLine {
  #parts;
  #connection;
  #sync;
  #player;

  /** `parts`: pill, drift, rtt. */
  constructor({ parts, connection, sync, player }) {
    this.#parts = parts;
    this.#connection = connection;
    this.#sync = sync;
    this.#player = player;
    connection.on('state', () => this.draw());
    setInterval(() => this.draw(), DRAW_MS);
    this.draw();
  }

  draw() {
    const { pill, drift, rtt } = this.#parts;
    const { name } = this.#connection.state;
    if (pill.dataset.state !== name) pill.dataset.state = name;
    setText(pill.querySelector('span'), this.#words());
    setText(drift, this.#drift());
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

  #drift() {
    if (this.#sync.waiting) return 'waiting for the others';
    const { drift } = this.#sync;
    if (drift === null || !this.#player.loaded) return '–';
    const ms = Math.round(drift);
    return `${ms > 0 ? '+' : ms < 0 ? '−' : ''}${Math.abs(ms)} ms`;
  }
}
