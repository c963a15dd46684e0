import { setText } from './dom.js';
import { isSameFile, parseSource } from './source.js';

/** Shows the film of the room's url, or what is missing for it. */
export class Stage {
  /** The file that the user picked; it has no address for others. */
  #file = null;
  #source = parseSource('');
  #parts;
  #player;
  #room;
  #sync;
  #toasts;

  /** `parts`: note, title, text, pick (a button), overlay (for the click that the browser requires), label. */
  constructor({ parts, player, room, sync, toasts }) {
    this.#parts = parts;
    this.#player = player;
    this.#room = room;
    this.#sync = sync;
    this.#toasts = toasts;
    room.on('url', ({ url }) => this.show(url));
    player.on('failed', () => {
      player.clear();
      this.#say('This cannot be played here', 'The address is not a video that this browser can show. It may still play on its own site.');
    });
    sync.on('change', () => {
      parts.overlay.hidden = !(sync.blocked && sync.playing && player.showing);
    });
    parts.overlay.addEventListener('click', () => sync.unblock());
  }

  show(url) {
    const source = parseSource(url);
    this.#source = source;
    this.#sync.blocked = false;
    setText(this.#parts.label, source.label);
    this.#parts.note.hidden = true;
    if (source.kind === 'picture') this.#player.showPicture();
    else if (source.kind === 'video') this.#player.showVideo(source.url);
    else if (source.kind === 'file' && this.#file && isSameFile(source, this.#file)) this.#player.showVideo(this.#file);
    else {
      this.#player.clear();
      this.#explain(source);
    }
  }

  /** Handles a picked file: the copy of what the room watches, or (returns true) something new for the room. */
  take(file) {
    const asked = this.#source.kind === 'file' && !this.#player.showing;
    this.#file = file;
    if (!asked) return true;
    if (!isSameFile(this.#source, file)) {
      this.#toasts.say(`${file.name} is not quite the file of the others. If pictures differ, look for the same copy.`);
    }
    this.#parts.note.hidden = true;
    this.#player.showVideo(file);
    return false;
  }

  reset() {
    this.#file = null;
    this.show('');
  }

  /** Renders again when roles have changed, because the hint depends on them. */
  refresh() {
    if (!this.#player.showing && this.#source.kind !== 'video') this.#explain(this.#source);
  }

  #explain(source) {
    if (source.kind === 'file') {
      const who = this.#room.urlFrom && this.#room.users.get(this.#room.urlFrom)?.username;
      this.#say(`${who ?? 'The room'} is watching ${source.name}`, 'The film stays on each device: pick your own copy to join in.', { pick: true });
    } else if (this.#room.mayControl) {
      this.#say('Nothing on yet', 'Choose below what to watch together.');
    } else {
      this.#say('Nothing on yet', `${this.#room.host?.username ?? 'The host'} chooses what to watch.`);
    }
  }

  #say(title, text, { pick = false } = {}) {
    setText(this.#parts.title, title);
    setText(this.#parts.text, text);
    this.#parts.pick.hidden = !pick;
    this.#parts.note.hidden = false;
  }
}
