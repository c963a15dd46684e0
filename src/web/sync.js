import { Emitter } from './emitter.js';

const TICK_MS = 100;
const REPORT_MS = 500;
const HEARTBEAT_MS = 3000;
const JUMP_S = 0.5;
const NUDGE_S = 0.04;
const STEADY_S = 0.01;
const JUMP_REST_MS = 1500;
/** A film that took longer than this to seek is not led any further: the network is the matter then. */
const MAX_LEAD_S = 3;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * Keeps the player where the room is. The server's `timeline` is the only truth; what this person does is shown at
 * once and then confirmed (or taken back) by it.
 *
 * Emits `refused` (a Refusal), `change`.
 */
export class Sync extends Emitter {
  timeline = null;
  /** Milliseconds; positive: this screen is ahead. null: nothing to compare. */
  drift = null;
  blocked = false;

  #connection;
  #room;
  #player;
  #latest = null;
  #pending = 0;
  #hold = null;
  #parkedAt = null;
  #nudging = false;
  #jumpedAt = 0;
  #jumping = false;
  #lead = 0;
  /** The timeline whose end we have told already. */
  #endTold = null;

  constructor({ connection, room, player }) {
    super();
    this.#connection = connection;
    this.#room = room;
    this.#player = player;
    player.on('ready', () => {
      this.#parkedAt = null;
      this.#tick();
    });
    player.on('blocked', () => {
      this.blocked = true;
      this.emit('change');
    });
    setInterval(() => this.#tick(), TICK_MS);
    setInterval(() => this.#report(), REPORT_MS);
    setInterval(() => this.#beat(), HEARTBEAT_MS);
  }

  /** Waiting for the others behind a ready gate. */
  get waiting() {
    return this.#hold !== null;
  }

  get playing() {
    return this.timeline?.playing ?? false;
  }

  get rate() {
    return this.timeline?.rate ?? 1;
  }

  expected() {
    const { timeline } = this;
    if (!timeline) return 0;
    const run = timeline.playing ? ((this.#connection.clock.serverNow() - timeline.at) / 1000) * timeline.rate : 0;
    const end = Number.isFinite(this.#player.duration) ? this.#player.duration : Infinity;
    return clamp(timeline.position + run, 0, end);
  }

  reset() {
    this.timeline = this.#latest = this.#hold = this.drift = null;
    this.#pending = 0;
    this.blocked = false;
  }

  apply(frame) {
    if (!frame.timeline) return;
    const mine = frame.userId === this.#room.me;
    switch (frame.type) {
      case 'ROOM_STATE':
        // A newcomer lands where the film is, gate or not.
        this.#hold = null;
        break;
      case 'SEEK_PAUSE':
        this.#hold =
          !mine && frame.isPlaying && frame.deadline ? { target: frame.currentTime, until: frame.deadline } : null;
        break;
      case 'PLAY_PAUSE':
      case 'URL_CHANGE':
        this.#hold = null;
        break;
      default:
    }
    this.#latest = frame.timeline;
    // Our own echo, or a frame that was decided before what we just did: the ACK says when to believe it.
    if (this.#pending === 0) this.#adopt(frame.timeline);
  }

  play() {
    if (this.#player.ended) this.seek(0, { playing: true });
    else this.#control('play', this.#position());
  }

  pause() {
    this.#control('pause', this.#position());
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  setRate(rate) {
    this.#control(this.playing ? 'play' : 'pause', this.#position(), rate);
  }

  seek(seconds, { playing = this.playing } = {}) {
    const end = Number.isFinite(this.#player.duration) ? this.#player.duration : 10_000_000_000;
    const currentTime = clamp(seconds, 0, end);
    this.#act(
      { type: 'SEEK', currentTime, isPlaying: playing, eventTimestamp: this.#stamp() },
      { position: currentTime, playing },
    );
  }

  seekBy(seconds) {
    this.seek(this.#position() + seconds);
  }

  show(url) {
    this.#act({ type: 'URL_CHANGE', url }, null);
  }

  /** After the click that the browser wanted. */
  unblock() {
    this.blocked = false;
    if (this.playing && !this.#hold) this.#player.play();
    this.emit('change');
    this.#tick();
  }

  #stamp() {
    return Math.round(this.#connection.clock.serverNow());
  }

  /** What the person sees; without a player, where the room is. */
  #position() {
    return this.#player.loaded ? Math.max(0, this.#player.position) : this.expected();
  }

  #control(control, currentTime, rate) {
    this.#act(
      { type: 'PLAY_PAUSE', control, currentTime, eventTimestamp: this.#stamp(), ...(rate ? { rate } : {}) },
      { position: currentTime, playing: control === 'play', ...(rate ? { rate } : {}) },
    );
  }

  async #act(frame, local) {
    this.#pending += 1;
    if (local) {
      this.#hold = null;
      this.#adopt({ rate: this.rate, at: this.#connection.clock.serverNow(), ...local });
    }
    try {
      await this.#connection.request(frame);
    } catch (refusal) {
      this.emit('refused', refusal);
    } finally {
      this.#pending = Math.max(0, this.#pending - 1);
      if (this.#pending === 0 && this.#latest) this.#adopt(this.#latest);
    }
  }

  #adopt(timeline) {
    this.timeline = timeline;
    this.#tick();
    this.emit('change');
  }

  #tick() {
    const player = this.#player;
    if (!this.timeline || !player.loaded) {
      this.drift = null;
      return;
    }
    if (this.#hold) this.#wait();
    else if (this.timeline.playing) this.#follow();
    else this.#park();
  }

  /** Somebody sought: stop at the target, load, say so, and wait for the server's word. */
  #wait() {
    const player = this.#player;
    const hold = this.#hold;
    this.drift = null;
    if (player.playing) player.pause();
    if (!hold.sought) {
      hold.sought = true;
      player.seek(hold.target);
    }
    if (!hold.told && player.ready && !player.seeking) {
      hold.told = true;
      this.#connection.send({ type: 'READY', targetTime: hold.target });
    }
    // The server opens the gate at its deadline; if that word got lost, the timeline is still true.
    if (this.#connection.clock.serverNow() > hold.until + 2000) this.#hold = null;
  }

  #park() {
    const player = this.#player;
    const target = this.expected();
    if (player.playing) player.pause();
    player.setRate(this.rate);
    this.#nudging = false;
    // Once for each target: a film may land a frame beside it and will not do better the second time.
    if (this.#parkedAt !== target && !player.seeking) {
      this.#parkedAt = target;
      if (player.position !== target) player.seek(target);
    }
    this.drift = player.seeking ? null : (player.position - target) * 1000;
  }

  #follow() {
    const player = this.#player;
    const target = this.expected();
    this.#parkedAt = null;
    if (this.blocked) {
      this.drift = (player.position - target) * 1000;
      return;
    }
    if (target >= player.duration) {
      this.#end();
      return;
    }
    if (!player.playing) {
      // Nobody minds a jump in the moment of starting.
      if (Math.abs(player.position - target) > (player.exact ? 0 : 0.2)) this.#jump(target);
      player.play();
    }
    // While it loads, its position says nothing; pushing it about would only make that longer.
    if (player.seeking || !player.ready) return;

    const gap = player.position - this.expected();
    this.drift = gap * 1000;
    if (this.#jumping) {
      // What was missing after the last jump is what a jump costs here: aim so much further ahead next time.
      this.#jumping = false;
      this.#lead = clamp(this.#lead - gap, 0, MAX_LEAD_S);
    }
    if (Math.abs(gap) > JUMP_S) {
      if (player.exact || performance.now() - this.#jumpedAt > JUMP_REST_MS) this.#jump(target);
    } else if (Math.abs(gap) > (this.#nudging ? STEADY_S : NUDGE_S)) {
      this.#nudging = true;
      player.setRate(this.rate * (1 - clamp(gap / 1.2, -0.25, 0.25)));
      return;
    }
    this.#nudging = false;
    player.setRate(this.rate);
  }

  #jump(target) {
    const lead = this.#player.exact ? 0 : this.#lead * this.rate;
    this.#jumpedAt = performance.now();
    this.#jumping = !this.#player.exact;
    this.#player.seek(target + lead);
    if (this.#player.exact) this.drift = 0;
  }

  /** The film is over; one person of the room says so. */
  #end() {
    const player = this.#player;
    if (!player.ended && !player.seeking) player.seek(player.duration);
    this.drift = 0;
    // Once for each word of the server: a refused or undeliverable one must not be said for ever.
    if (this.#room.isHost && this.#connection.live && this.#endTold !== this.#latest) {
      this.#endTold = this.#latest;
      this.#control('pause', player.duration);
    }
  }

  /**
   * The host's word moves the room's timeline: one that is still loading, catching up, or waiting for a click must not
   * drag everybody along.
   */
  get #settled() {
    const player = this.#player;
    return (
      this.#pending === 0 &&
      !this.#hold &&
      player.loaded &&
      player.ready &&
      !player.seeking &&
      this.drift !== null &&
      Math.abs(this.drift) < JUMP_S * 1000
    );
  }

  #report() {
    if (!this.#settled) return;
    this.#connection.send({ type: 'POSITION_UPDATE', currentTime: this.#position(), isPlaying: this.playing });
  }

  #beat() {
    if (!this.#room.isHost || !this.#settled) return;
    this.#connection.send({
      type: 'HOST_HEARTBEAT',
      currentTime: this.#position(),
      isPlaying: this.playing,
      eventTimestamp: this.#stamp(),
    });
  }
}
