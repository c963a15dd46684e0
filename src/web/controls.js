import { setIcon, setText } from './dom.js';
import { clockText, shortTime } from './words.js';

const STEP_S = 5;

/** The control bar below the picture, and its keyboard shortcuts. */
export class Controls {
  #parts;
  #player;
  #sync;
  #room;
  #connection;
  #dragging = false;
  #loudBefore = 1;

  /** `parts`: play, bar, clock, length, rate, sound, volume, full, hint, stage. */
  constructor({ parts, player, sync, room, connection }) {
    this.#parts = parts;
    this.#player = player;
    this.#sync = sync;
    this.#room = room;
    this.#connection = connection;
    parts.play.addEventListener('click', () => this.#toggle());
    parts.bar.addEventListener('input', () => {
      this.#dragging = true;
      this.#show(Number(parts.bar.value));
    });
    parts.bar.addEventListener('change', () => {
      this.#dragging = false;
      sync.seek(Number(parts.bar.value));
    });
    parts.rate.addEventListener('change', () => sync.setRate(Number(parts.rate.value)));
    parts.volume.addEventListener('input', () => {
      player.volume = Number(parts.volume.value);
    });
    parts.sound.addEventListener('click', () => this.#mute());
    parts.full.addEventListener('click', () => this.#fullscreen());
    document.addEventListener('keydown', (event) => this.#key(event));
    for (const source of [room, sync, connection, player]) {
      source.on(source === connection ? 'state' : 'change', () => this.draw());
    }
    const frame = () => {
      this.#run();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    this.draw();
  }

  get #usable() {
    return this.#connection.live && this.#room.mayControl && this.#room.url !== '';
  }

  draw() {
    const { play, bar, rate, sound, volume, hint } = this.#parts;
    const usable = this.#usable;
    play.disabled = !usable;
    bar.disabled = !usable || !this.#player.loaded;
    rate.disabled = !usable;
    volume.hidden = sound.hidden = !this.#player.hasSound;
    const playing = this.#sync.playing;
    setIcon(play, playing ? 'pause' : 'play');
    play.setAttribute('aria-label', playing ? 'Pause' : 'Play');
    play.dataset.state = playing ? 'playing' : 'paused';
    setIcon(sound, this.#player.volume === 0 ? 'sound-off' : 'sound');
    sound.setAttribute('aria-label', this.#player.volume === 0 ? 'Sound on' : 'Sound off');
    if (document.activeElement !== rate) rate.value = this.#nearest(this.#sync.rate);
    setText(hint, this.#hint());
    // An enabled bar needs its length at once: a click may come before the next frame.
    this.#run();
  }

  #nearest(rate) {
    const offered = [...this.#parts.rate.options].map((option) => option.value);
    return offered.find((value) => Number(value) === rate) ?? '1';
  }

  #hint() {
    if (!this.#connection.live) return 'Controls come back with the connection.';
    if (this.#room.mayControl) return '';
    return `${this.#room.host?.username ?? 'The host'} has the remote control.`;
  }

  /** Updates what changes during playback, sixty times a second. */
  #run() {
    if (!this.#dragging) this.#show(this.#player.loaded ? this.#player.position : this.#sync.expected());
  }

  #show(seconds) {
    const { bar, clock, length } = this.#parts;
    setText(clock, clockText(seconds));
    const duration = this.#player.loaded && Number.isFinite(this.#player.duration) ? this.#player.duration : 0;
    setText(length, duration ? shortTime(duration) : '');
    if (bar.max !== String(duration || 1)) bar.max = String(duration || 1);
    if (!this.#dragging) bar.value = String(duration ? seconds : 0);
    bar.style.setProperty('--done', `${duration ? (100 * seconds) / duration : 0}%`);
    const spoken = `${shortTime(seconds)} of ${shortTime(duration)}`;
    if (bar.getAttribute('aria-valuetext') !== spoken) bar.setAttribute('aria-valuetext', spoken);
  }

  #toggle() {
    // The click is also the user gesture that the browser may require before it plays.
    if (this.#sync.blocked) this.#sync.unblock();
    else if (this.#usable) this.#sync.toggle();
  }

  #mute() {
    const before = this.#player.volume;
    if (before > 0) this.#loudBefore = before;
    this.#player.volume = before > 0 ? 0 : this.#loudBefore;
    this.#parts.volume.value = String(this.#player.volume);
    this.draw();
  }

  #fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.#parts.stage.requestFullscreen?.().catch(() => {});
  }

  #key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.#parts.stage.offsetParent === null && !document.fullscreenElement) return;
    const on = event.target;
    const typing = on.closest('input:not([type="range"]), select, textarea, dialog, [role="menu"]');
    if (typing) return;
    const pressing = on.closest('button, a, summary');
    if (event.key === ' ' && !pressing) this.#toggle();
    else if (event.key === 'ArrowLeft' && on !== this.#parts.volume) this.#step(-STEP_S);
    else if (event.key === 'ArrowRight' && on !== this.#parts.volume) this.#step(STEP_S);
    else if (event.key === 'f') this.#fullscreen();
    else if (event.key === 'm' && this.#player.hasSound) this.#mute();
    else return;
    event.preventDefault();
  }

  #step(seconds) {
    if (this.#usable && this.#player.loaded) this.#sync.seekBy(seconds);
  }
}
