import { nextDelay, isFinal } from './backoff.js';
import { Clock, steadyNow } from './clock.js';
import { Emitter } from './emitter.js';

const FEATURES = ['resume', 'ack', 'clock'];
/** Without a PONG for this long the connection is dead, whatever TCP reports. */
const SILENCE_MS = 12_000;
const REQUEST_TIMEOUT_MS = 8000;
const PROBE_REST_MS = 2000;

export class Refusal extends Error {
  constructor({ code, message, retryable = false, retryAfterMs }) {
    super(message ?? code);
    Object.assign(this, { code, retryable, retryAfterMs });
  }
}

/**
 * A seat in a room, kept over as many WebSockets as necessary.
 *
 * Emits `state` {name, retryAt}, `frame` (every frame of the room), `refused` (Refusal), `closed` {code}, `replaced`.
 * States: idle, connecting, live, waiting (for the next attempt), offline (the device has no network).
 */
export class Connection extends Emitter {
  state = { name: 'idle' };
  /** {roomId, userId, username, pin, resumeToken, epoch, version} */
  seat = null;

  #socket = null;
  #phase = 'opening';
  #attempt = 0;
  #wasLive = false;
  #drainRetryMs = 0;
  #retryTimer = 0;
  #watchdog = 0;
  #nextId = 1;
  #requests = new Map();
  #probedAt = 0;
  #probing = false;

  constructor(url) {
    super();
    this.url = url;
    this.clock = new Clock((frame) => this.#write(frame));
    addEventListener('online', () => this.#wake());
    addEventListener('offline', () => {
      if (this.state.name === 'waiting') this.#become('offline');
    });
    // The page is visible again, for example on a phone: do not wait any longer.
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#wake();
    });
  }

  get live() {
    return this.state.name === 'live';
  }

  enter(seat) {
    this.#abandon();
    this.seat = { epoch: null, version: 0, ...seat };
    this.#attempt = 0;
    this.#wasLive = false;
    this.#open();
  }

  /** Sends LEAVE; the server closes with 1000. */
  leave() {
    this.#write({ type: 'LEAVE' });
    this.#abandon({ patient: true });
    this.seat = null;
    this.#become('idle');
  }

  send(frame) {
    return this.live && this.#write(frame);
  }

  /** Sends with an `id`; resolves with the ACK, rejects with a Refusal. */
  request(frame) {
    const id = `q${this.#nextId++}`;
    return new Promise((resolve, reject) => {
      if (!this.send({ ...frame, id })) {
        reject(new Refusal({ code: 'dropped' }));
        return;
      }
      const timer = setTimeout(() => this.#settle(id, new Refusal({ code: 'dropped' })), REQUEST_TIMEOUT_MS);
      this.#requests.set(id, { resolve, reject, timer });
    });
  }

  /** Takes the seat back from another tab. */
  reclaim() {
    if (this.seat) this.enter({ ...this.seat, epoch: null, version: 0 });
  }

  #become(name, retryAt) {
    this.state = { name, retryAt };
    this.emit('state', this.state);
  }

  #write(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  #settle(id, outcome) {
    const request = this.#requests.get(id);
    if (!request) return false;
    this.#requests.delete(id);
    clearTimeout(request.timer);
    if (outcome instanceof Refusal) request.reject(outcome);
    else request.resolve(outcome);
    return true;
  }

  #abandon({ patient = false } = {}) {
    clearTimeout(this.#retryTimer);
    clearInterval(this.#watchdog);
    this.clock.stop();
    for (const id of [...this.#requests.keys()]) this.#settle(id, new Refusal({ code: 'dropped' }));
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // The server closes after LEAVE. If the client closed first, the close could overtake the LEAVE in a proxy.
    if (patient) setTimeout(() => socket.close(), 1000);
    else socket.close();
  }

  #open() {
    this.#abandon();
    this.#phase = 'opening';
    this.#drainRetryMs = 0;
    this.#become('connecting');
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code }) => this.#dropped(code);
    this.clock.waitingSince = steadyNow();
    this.#watchdog = setInterval(() => {
      const since = this.clock.waitingSince;
      if (since !== null && steadyNow() - since > SILENCE_MS) this.#dropped(4009);
    }, 2000);
  }

  #opened() {
    this.clock.start();
    const { roomId, userId, username, pin, invite, resumeToken, epoch, version } = this.seat;
    if (resumeToken && epoch !== null) {
      this.#phase = 'resuming';
      this.#write({ type: 'RESUME', roomId, userId, resumeToken, epoch, version, features: FEATURES });
      return;
    }
    this.#phase = 'joining';
    this.#write({
      type: 'JOIN',
      roomId,
      userId,
      username,
      features: FEATURES,
      ...(pin ? { pin } : {}),
      ...(invite ? { invite } : {}),
      ...(resumeToken ? { resumeToken } : {}),
    });
  }

  #received(data) {
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (frame.type === 'PONG') {
      this.clock.pong(frame);
      return;
    }
    if (frame.type === 'SERVER_DRAINING') this.#drainRetryMs = Math.max(1, frame.retryAfterMs ?? 0);
    if (this.#phase !== 'live') this.#answered(frame);
    else if (frame.type === 'ACK') this.#settle(frame.id, frame);
    else if (frame.type === 'ERROR') this.#erred(frame);
    this.#note(frame);
    if (frame.type !== 'ACK') this.emit('frame', frame);
  }

  /** Records what RESUME needs. An ACK and RESUMED may name a version whose frames have not arrived yet. */
  #note({ type, epoch, version, resumeToken }) {
    if (resumeToken) this.seat.resumeToken = resumeToken;
    if (epoch !== undefined) this.seat.epoch = epoch;
    if (Number.isFinite(version) && type !== 'ACK' && type !== 'RESUMED') this.seat.version = version;
  }

  #answered(frame) {
    if (frame.type === 'ROOM_STATE' || frame.type === 'RESUMED') {
      this.#phase = 'live';
      this.#attempt = 0;
      this.#wasLive = true;
      this.#become('live');
    } else if (frame.type === 'ERROR') {
      const error = new Refusal(frame);
      const seatGone = this.#phase === 'resuming' && !error.retryable;
      if (seatGone) {
        // The seat is lost: join again, with name and PIN.
        Object.assign(this.seat, { resumeToken: undefined, epoch: null, version: 0 });
        this.#opened();
      } else if (this.#wasLive && error.retryable) {
        this.#abandon();
        this.#retry({ retryAfterMs: error.retryAfterMs });
      } else {
        this.#abandon();
        this.#become('idle');
        this.emit('refused', error);
      }
    }
  }

  #erred(frame) {
    const error = new Refusal(frame);
    if (frame.id !== undefined) this.#settle(frame.id, error);
    // The error may be about a member that has just left, or about this socket. A REQUEST_SYNC tells.
    if (error.code === 'not_joined') this.#probe();
  }

  async #probe() {
    if (this.#probing || steadyNow() - this.#probedAt < PROBE_REST_MS) return;
    this.#probedAt = steadyNow();
    this.#probing = true;
    try {
      await this.request({ type: 'REQUEST_SYNC' });
    } catch (answer) {
      if (answer.code === 'not_joined') {
        this.#abandon();
        this.#become('idle');
        this.emit('replaced');
      }
    } finally {
      this.#probing = false;
    }
  }

  #dropped(code) {
    const drainRetryMs = this.#drainRetryMs;
    this.#abandon();
    if (isFinal(code)) {
      this.#become('idle');
      this.emit('closed', { code });
      return;
    }
    this.#retry({ closeCode: code, retryAfterMs: drainRetryMs });
  }

  #retry(reason) {
    const delay = nextDelay({ attempt: this.#attempt, ...reason });
    this.#attempt += 1;
    this.#become(navigator.onLine ? 'waiting' : 'offline', Date.now() + delay);
    this.#retryTimer = setTimeout(() => this.#open(), delay);
  }

  #wake() {
    if (this.state.name !== 'offline' && this.state.name !== 'waiting') return;
    clearTimeout(this.#retryTimer);
    this.#open();
  }
}
