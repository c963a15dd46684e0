import { Emitter } from './emitter.js';

const TICK_MS = 100;
const REPORT_MS = 500;
const HEARTBEAT_MS = 3000;
const JUMP_S = 0.5;
const NUDGE_S = 0.04;
const STEADY_S = 0.01;
const JUMP_REST_MS = 1500;
/** The maximum lead of a jump, in seconds. If a film took longer to seek, the network is the reason. */
const MAX_LEAD_S = 3;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * Keeps the player at the position of the room. The `timeline` of the server is authoritative; an action of the user is shown
 * at once, and then confirmed or reverted by it.
 *
 * Emits `refused` (a Refusal), `change`.
 */
export class Sync extends Emitter {
  timeline = null;
  /** The drift in milliseconds, positive if this screen is ahead; null if there is nothing to compare. */
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
  /** The timeline whose end was reported. */
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

  /** Whether the player waits for others at a ready gate. */
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
        // A newcomer starts at the position of the film, whether a gate is closed or not.
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
    // The frame announces this client's own change, or was decided before it; the ACK says from which version on to follow.
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

  /** Starts after the click that the browser required. */
  unblock() {
    this.blocked = false;
    if (this.playing && !this.#hold) this.#player.play();
    this.emit('change');
    this.#tick();
  }

  #stamp() {
    return Math.round(this.#connection.clock.serverNow());
  }

  /** The displayed position; without a player, that of the room. */
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

  /** After a seek: stop at the target, load, send READY, and wait for the gate to open. */
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
    // The server opens the gate at its deadline. If that frame was lost, the timeline is still right.
    if (this.#connection.clock.serverNow() > hold.until + 2000) this.#hold = null;
  }

  #park() {
    const player = this.#player;
    const target = this.expected();
    if (player.playing) player.pause();
    player.setRate(this.rate);
    this.#nudging = false;
    // Only once for each target: a film may land a frame beside it, and a second seek would not do better.
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
      // A jump at the start of playback is not noticed.
      if (Math.abs(player.position - target) > (player.exact ? 0 : 0.2)) this.#jump(target);
      player.play();
    }
    // While the film loads, its position means nothing, and corrections would only prolong loading.
    if (player.seeking || !player.ready) return;

    const gap = player.position - this.expected();
    this.drift = gap * 1000;
    if (this.#jumping) {
      // The delay after the last jump is the cost of a jump here: the next one aims that much further ahead.
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

  /** The film has ended; one member reports it. */
  #end() {
    const player = this.#player;
    if (!player.ended && !player.seeking) player.seek(player.duration);
    this.drift = 0;
    // Only once for each timeline: a command that was refused or lost must not be repeated for ever.
    if (this.#room.isHost && this.#connection.live && this.#endTold !== this.#latest) {
      this.#endTold = this.#latest;
      this.#control('pause', player.duration);
    }
  }

  /**
   * Positions of the host move the timeline of the room, so a host that loads, catches up or waits for a click must not send
   * any.
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
