const BURST = 10;
const BURST_GAP_MS = 120;
const STEADY_GAP_MS = 3000;
const KEPT = 16;

/** Milliseconds since 1970 that never jump: `Date.now()` follows every correction of the system clock. */
export const steadyNow = () => performance.timeOrigin + performance.now();

/** The server's clock, seen from here (see "The clock" in docs/protocol.md). */
export class Clock {
  #send;
  #samples = [];
  #offset = 0;
  #timer = 0;
  #sent = 0;
  #skew = 0;

  constructor(send) {
    this.#send = send;
  }

  /** Round trip of the best recent sample, or null before the first. */
  rtt = null;

  /**
   * Since when a PING waits for its PONG, or null: silence means a dead wire. (Not "when the last PONG came": in a
   * background tab a minute may pass between two PINGs, and nothing is wrong then.)
   */
  waitingSince = null;

  get synced() {
    return this.#samples.length >= 4;
  }

  serverNow() {
    return steadyNow() + this.#offset;
  }

  /** A new socket may lead to another node, and the machine may have slept: old samples say nothing then. */
  start() {
    this.stop();
    this.#samples = [];
    this.#sent = 0;
    this.waitingSince = null;
    this.#skew = Date.now() - steadyNow();
    this.#tick();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  #tick() {
    // The monotonic clock stands still in a sleeping machine; the difference shows it.
    const skew = Date.now() - steadyNow();
    if (Math.abs(skew - this.#skew) > 1000) {
      this.#skew = skew;
      this.#samples = [];
      this.#sent = 0;
    }
    const t0 = Math.round(steadyNow());
    this.waitingSince ??= t0;
    this.#send({ type: 'PING', t0 });
    this.#sent += 1;
    this.#timer = setTimeout(() => this.#tick(), this.#sent < BURST ? BURST_GAP_MS : STEADY_GAP_MS);
  }

  pong({ t0, t1, t2 }) {
    const t3 = steadyNow();
    this.waitingSince = null;
    if (![t0, t1, t2].every(Number.isFinite)) return;
    this.#samples.push({ delay: Math.max(0, t3 - t0 - (t2 - t1)), offset: (t1 - t0 + (t2 - t3)) / 2 });
    if (this.#samples.length > KEPT) this.#samples.shift();
    const best = this.#samples.reduce((a, b) => (b.delay < a.delay ? b : a));
    this.#offset = best.offset;
    this.rtt = best.delay;
  }
}
