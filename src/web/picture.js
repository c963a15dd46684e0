import { steadyNow } from './clock.js';
import { Emitter } from './emitter.js';
import { clockText } from './words.js';

const DURATION = 3600;
const BARS = ['#d9d9d9', '#c9c63f', '#43b7b9', '#48b04f', '#b457b0', '#c04747', '#4757c0'];
const FEET = ['#4757c0', '#17191c', '#b457b0', '#17191c', '#43b7b9', '#17191c', '#d9d9d9'];
const FONT = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

/**
 * A film without a file: colour bars, a rolling ball and a large clock, drawn from the position alone, so that two screens
 * at the same position show the same picture.
 */
export class Picture extends Emitter {
  /** The picture is drawn, not loaded: a seek costs nothing and is exact. */
  exact = true;
  duration = DURATION;
  ready = true;
  seeking = false;

  #canvas;
  #context;
  #back;
  #from = 0;
  #since = 0;
  #rate = 1;
  #playing = false;
  #frame = 0;
  #calm = matchMedia('(prefers-reduced-motion: reduce)');

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { alpha: false });
  }

  get element() {
    return this.#canvas;
  }

  get playing() {
    return this.#playing;
  }

  get ended() {
    return this.position >= DURATION;
  }

  get position() {
    if (!this.#playing) return this.#from;
    return Math.min(DURATION, this.#from + ((steadyNow() - this.#since) / 1000) * this.#rate);
  }

  load() {
    this.#set(0, false);
    const draw = () => {
      this.#draw();
      this.#frame = requestAnimationFrame(draw);
    };
    cancelAnimationFrame(this.#frame);
    draw();
    this.emit('ready');
  }

  unload() {
    cancelAnimationFrame(this.#frame);
    this.#set(0, false);
  }

  play() {
    this.#set(this.position, true);
  }

  pause() {
    this.#set(this.position, false);
  }

  seek(seconds) {
    this.#set(Math.min(DURATION, Math.max(0, seconds)), this.#playing);
  }

  setRate(rate) {
    if (rate === this.#rate) return;
    this.#set(this.position, this.#playing);
    this.#rate = rate;
  }

  #set(position, playing) {
    this.#from = position;
    this.#since = steadyNow();
    this.#playing = playing;
  }

  /** The static part, drawn once. */
  #background(width, height) {
    const back = document.createElement('canvas');
    Object.assign(back, { width, height });
    const paint = back.getContext('2d', { alpha: false });
    const bar = width / BARS.length;
    const stripe = (color, x, y, w, h) => {
      paint.fillStyle = color;
      paint.fillRect(Math.floor(x), Math.floor(y), Math.ceil(w), Math.ceil(h));
    };
    BARS.forEach((color, i) => stripe(color, i * bar, 0, bar, height * 0.68));
    FEET.forEach((color, i) => stripe(color, i * bar, height * 0.68, bar, height * 0.07));
    stripe('#17191c', 0, height * 0.75, width, height * 0.25);
    for (let i = 0; i < 24; i++) {
      const grey = Math.round((i / 23) * 255);
      stripe(`rgb(${grey} ${grey} ${grey})`, width * 0.06 + (i * width * 0.88) / 24, height * 0.91, (width * 0.88) / 24, height * 0.035);
    }
    return back;
  }

  #draw() {
    const { width, height } = this.#canvas;
    const paint = this.#context;
    const position = this.position;
    this.#back ??= this.#background(width, height);
    paint.drawImage(this.#back, 0, 0);

    // A ball that crosses the picture in four seconds; in steps of a second if reduced motion is preferred.
    const beat = this.#calm.matches ? Math.floor(position) : position;
    const way = (beat % 8) / 4;
    const x = width * (0.06 + 0.88 * (way <= 1 ? way : 2 - way));
    paint.fillStyle = '#3a3f45';
    paint.fillRect(width * 0.06, height * 0.832, width * 0.88, 4);
    paint.fillStyle = '#f4b740';
    paint.beginPath();
    paint.arc(x, height * 0.832 + 2, height * 0.035, 0, Math.PI * 2);
    paint.fill();

    const [boxWidth, boxHeight] = [width * 0.8, height * 0.32];
    const [left, top] = [(width - boxWidth) / 2, height * 0.18];
    paint.fillStyle = 'rgb(16 18 20 / 0.86)';
    paint.beginPath();
    paint.roundRect(left, top, boxWidth, boxHeight, height * 0.035);
    paint.fill();
    paint.textAlign = 'center';
    paint.textBaseline = 'middle';
    paint.fillStyle = '#ffffff';
    paint.font = `600 ${Math.round(width * 0.098)}px ${FONT}`;
    paint.fillText(clockText(position), width / 2, top + boxHeight * 0.45);
    paint.fillStyle = '#aeb6bf';
    paint.font = `500 ${Math.round(width * 0.021)}px ${FONT}`;
    paint.fillText(this.#playing ? 'TANDEM TEST PICTURE' : 'TANDEM TEST PICTURE · PAUSED', width / 2, top + boxHeight * 0.84);

    // A lamp lights for the first tenth of each second: easy to compare over the phone.
    if (position % 1 < 0.1) {
      paint.fillStyle = '#f4b740';
      paint.beginPath();
      paint.arc(left + boxWidth - height * 0.055, top + height * 0.055, height * 0.017, 0, Math.PI * 2);
      paint.fill();
    }
  }
}
