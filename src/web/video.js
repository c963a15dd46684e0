import { Emitter } from './emitter.js';

/** A <video> with the same interface as the test picture. Emits ready, blocked (play() needs a click), failed, change. */
export class Video extends Emitter {
  exact = false;

  #video;
  #blob = null;
  #wanted = false;

  constructor(video) {
    super();
    this.#video = video;
    const change = () => this.emit('change');
    for (const type of ['loadedmetadata', 'durationchange', 'playing', 'pause', 'waiting', 'canplay', 'seeked', 'ended']) {
      video.addEventListener(type, change);
    }
    video.addEventListener('loadedmetadata', () => this.emit('ready'));
    // Headphones were unplugged, a media key was pressed, or another app took over: the browser paused the film, not the room.
    video.addEventListener('pause', () => {
      if (this.#wanted && !video.ended) this.emit('blocked');
    });
    video.addEventListener('error', () => {
      if (video.hasAttribute('src')) this.emit('failed');
    });
  }

  get element() {
    return this.#video;
  }

  get playing() {
    return this.#wanted;
  }

  get ended() {
    return this.#video.ended;
  }

  get duration() {
    return this.#video.duration;
  }

  get position() {
    return this.#video.currentTime;
  }

  get seeking() {
    return this.#video.seeking;
  }

  /** Whether enough is loaded to play from this position. */
  get ready() {
    return this.#video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA || (this.ended && !this.seeking);
  }

  load(source) {
    this.unload();
    if (source instanceof Blob) this.#blob = URL.createObjectURL(source);
    this.#video.src = this.#blob ?? source;
    this.#video.load();
  }

  unload() {
    this.#wanted = false;
    this.#video.pause();
    this.#video.removeAttribute('src');
    this.#video.load();
    if (this.#blob) URL.revokeObjectURL(this.#blob);
    this.#blob = null;
  }

  play() {
    this.#wanted = true;
    this.#video.play().catch((error) => {
      // AbortError only means that a pause or a new source came first.
      if (error.name === 'NotAllowedError') this.emit('blocked');
    });
  }

  pause() {
    this.#wanted = false;
    this.#video.pause();
  }

  seek(seconds) {
    const end = Number.isFinite(this.duration) ? this.duration : seconds;
    this.#video.currentTime = Math.min(Math.max(0, seconds), end);
  }

  setRate(rate) {
    if (Math.abs(this.#video.playbackRate - rate) > 0.001) this.#video.playbackRate = rate;
  }

  get volume() {
    return this.#video.muted ? 0 : this.#video.volume;
  }

  set volume(value) {
    this.#video.muted = value === 0;
    if (value > 0) this.#video.volume = value;
  }
}
