import { setText } from './dom.js';
import { isSameFile, parseSource } from './source.js';

/** Puts on the stage what the room's url stands for, and says what is missing. */
export class Stage {
  /** The file that this person picked; it has no address that others could use. */
  #file = null;
  #source = parseSource('');
  #parts;
  #player;
  #room;
  #sync;
  #toasts;

  /** `parts`: note, title, text, pick (a button), overlay (the click that the browser wants), label. */
  constructor({ parts, player, room, sync, toasts }) {
    this.#parts = parts;
    this.#player = player;
    this.#room = room;
    this.#sync = sync;
    this.#toasts = toasts;
    room.on('url', ({ url }) => this.show(url));
    player.on('failed', () => {
      player.clear();
      this.#say('This cannot be played here', 'The address is no video that this browser can show. It may still play where it comes from.');
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

  /** A file was picked: our answer to what the room watches, or (returned: true) something new for the room. */
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

  /** Again, when roles have changed: whoever may choose is told so. */
  refresh() {
    if (!this.#player.showing && this.#source.kind !== 'video') this.#explain(this.#source);
  }

  #explain(source) {
    if (source.kind === 'file') {
      const who = this.#room.urlFrom && this.#room.users.get(this.#room.urlFrom)?.username;
      this.#say(`${who ?? 'The room'} is watching ${source.name}`, 'The film stays on each device: pick your own copy, and you are in.', { pick: true });
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
