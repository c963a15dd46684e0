import { Emitter } from './emitter.js';
import { Picture } from './picture.js';
import { Video } from './video.js';

/**
 * One interface for all kinds of films. Positions are in seconds; `position`, `duration`, `playing`, `ready`, `seeking`, `ended`,
 * `play`, `pause`, `seek`, `setRate`. Emits ready, blocked, failed, change.
 */
export class Player extends Emitter {
  #picture;
  #video;
  #now = null;

  constructor({ canvas, video }) {
    super();
    this.#picture = new Picture(canvas);
    this.#video = new Video(video);
    for (const face of [this.#picture, this.#video]) {
      for (const type of ['ready', 'blocked', 'failed', 'change']) {
        face.on(type, () => {
          if (face === this.#now) this.emit(type);
        });
      }
    }
    this.clear();
  }

  showPicture() {
    this.#show(this.#picture);
  }

  /** Loads an address or a File. */
  showVideo(source) {
    this.#show(this.#video, source);
  }

  clear() {
    this.#show(null);
  }

  #show(face, source) {
    this.#now?.unload();
    this.#now = face;
    for (const one of [this.#picture, this.#video]) one.element.hidden = one !== face;
    face?.load(source);
    this.emit('change');
  }

  get showing() {
    return this.#now !== null;
  }

  /** Whether the film has a length, so that it can be sought in. */
  get loaded() {
    return this.showing && this.duration > 0;
  }

  get hasSound() {
    return this.#now === this.#video;
  }

  get exact() {
    return this.#now?.exact ?? false;
  }

  get position() {
    return this.#now?.position ?? 0;
  }

  get duration() {
    return this.#now?.duration ?? NaN;
  }

  get playing() {
    return this.#now?.playing ?? false;
  }

  get ready() {
    return this.#now?.ready ?? false;
  }

  get seeking() {
    return this.#now?.seeking ?? false;
  }

  get ended() {
    return this.#now?.ended ?? false;
  }

  get volume() {
    return this.#video.volume;
  }

  set volume(value) {
    this.#video.volume = value;
  }

  play() {
    this.#now?.play();
  }

  pause() {
    this.#now?.pause();
  }

  seek(seconds) {
    this.#now?.seek(seconds);
  }

  setRate(rate) {
    this.#now?.setRate(rate);
  }
}
