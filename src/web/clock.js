const BURST = 10;
const BURST_GAP_MS = 120;
const STEADY_GAP_MS = 3000;
const KEPT = 16;

/** Milliseconds since 1970 that never jump: `Date.now()` follows every correction of the system clock. */
export const steadyNow = () => performance.timeOrigin + performance.now();

/** An estimate of the server's clock (see "The clock" in docs/protocol.md). */
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
   * Since when a PING waits for its PONG, or null. A long wait means a dead connection. (The time of the last PONG would
   * not do: in a background tab a minute may pass between two PINGs.)
   */
  waitingSince = null;

  get synced() {
    return this.#samples.length >= 4;
  }

  serverNow() {
    return steadyNow() + this.#offset;
  }

  /** Discards the samples: a new socket may be on another node, and the machine may have slept. */
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
    // The monotonic clock stops while the machine sleeps; the difference between the two clocks shows it.
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
