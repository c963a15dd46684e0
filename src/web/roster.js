import { el, icon, setIcon, setText } from './dom.js';
import { hue, initials } from './names.js';

const ROLES = { host: 'Host', 'co-host': 'Co-host', member: '' };

/** The list of members. Calls `act(action, userId)` with action rename, make-host, make-co-host, make-member, kick or ban. */
export class Roster {
  #list;
  #room;
  #calls;
  #act;
  #rows = new Map();
  #open = null;

  constructor({ list, room, calls, act }) {
    this.#list = list;
    this.#room = room;
    this.#calls = calls;
    this.#act = act;
    room.on('change', () => this.draw());
    calls.on('media', () => this.draw());
    document.addEventListener('click', (event) => {
      if (this.#open && !event.target.closest('.member-menu, .member-more')) this.#close();
    });
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.#open) this.#close({ focus: true });
    });
  }

  draw() {
    for (const [userId, row] of this.#rows) {
      if (this.#room.users.has(userId)) continue;
      row.item.remove();
      this.#rows.delete(userId);
    }
    let place = this.#list.firstElementChild;
    for (const user of this.#room.users.values()) {
      const row = this.#rows.get(user.userId) ?? this.#build(user);
      this.#fill(row, user);
      // In the order of the members of the room. Only rows whose place changes are moved, which keeps the focus.
      if (row.item === place) place = place.nextElementSibling;
      else this.#list.insertBefore(row.item, place);
    }
  }

  #build({ userId }) {
    const avatar = el('span', { className: 'avatar', attrs: { 'aria-hidden': 'true' } });
    avatar.style.setProperty('--hue', String(hue(userId)));
    const name = el('span', { className: 'member-name', data: { testid: 'member-name' } });
    const note = el('span', { className: 'member-note' });
    const crown = el('span', { className: 'member-crown', attrs: { title: 'Host' } }, icon('crown'));
    const mic = el('span', { className: 'member-media', attrs: { title: 'Microphone is on' } }, icon('mic'));
    const camera = el('span', { className: 'member-media', attrs: { title: 'Camera is on' } }, icon('camera'));
    const more = el('button', { className: 'icon-button member-more', type: 'button', data: { testid: 'member-more' } }, icon('more'));
    more.setAttribute('aria-haspopup', 'menu');
    more.setAttribute('aria-expanded', 'false');
    const menu = el('div', { className: 'member-menu', hidden: true, attrs: { role: 'menu' } });
    const item = el(
      'li',
      { className: 'member', data: { userId, testid: 'member' } },
      avatar,
      el('span', { className: 'member-text' }, el('span', { className: 'member-line' }, name, crown), note),
      mic,
      camera,
      more,
      menu,
    );
    const row = { item, avatar, name, note, crown, mic, camera, more, menu };
    more.addEventListener('click', () => (this.#open === row ? this.#close() : this.#show(row, userId)));
    this.#rows.set(userId, row);
    return row;
  }

  #fill(row, user) {
    const { userId, away } = user;
    const mine = userId === this.#room.me;
    const isHost = userId === this.#room.hostUserId;
    const username = user.username || 'Somebody';
    setText(row.avatar, initials(username));
    setText(row.name, username);
    setText(row.note, [mine ? 'You' : '', isHost ? ROLES.host : ROLES[user.role === 'host' ? 'member' : user.role] ?? '', away ? 'Reconnecting…' : ''].filter(Boolean).join(' · '));
    row.crown.hidden = !isHost;
    row.mic.hidden = !this.#calls.track(userId, 'audio');
    row.camera.hidden = !this.#calls.track(userId, 'video');
    Object.assign(row.item.dataset, { host: String(isHost), role: user.role ?? 'member', state: away ? 'away' : 'present', me: String(mine) });
    row.item.classList.toggle('is-away', Boolean(away));
    const actions = this.#actions(user);
    row.more.hidden = actions.length === 0;
    setIcon(row.more, mine ? 'pencil' : 'more');
    row.more.setAttribute('aria-label', mine ? 'Change your name' : `Actions for ${username}`);
    if (this.#open === row && actions.length === 0) this.#close();
  }

  #actions({ userId, role }) {
    if (userId === this.#room.me) return [['rename', 'Change your name', 'pencil']];
    const { isHost, isCoHost, hostUserId } = this.#room;
    const list = [];
    if (isHost) {
      list.push(['make-host', 'Make host', 'crown']);
      if (role === 'co-host') list.push(['make-member', 'Take co-host away', 'user']);
      else list.push(['make-co-host', 'Make co-host', 'star']);
    }
    if (isHost || (isCoHost && userId !== hostUserId)) {
      list.push(['kick', 'Remove from room', 'leave']);
      list.push(['ban', 'Ban from room', 'remove']);
    }
    return list;
  }

  #show(row, userId) {
    this.#close();
    const user = this.#room.users.get(userId);
    if (!user) return;
    const actions = this.#actions(user);
    if (userId === this.#room.me) {
      this.#act('rename', userId);
      return;
    }
    row.menu.replaceChildren(
      ...actions.map(([action, label, sign]) => {
        const button = el('button', { type: 'button', data: { testid: action }, attrs: { role: 'menuitem' } }, icon(sign), el('span', { text: label }));
        button.addEventListener('click', () => {
          this.#close({ focus: true });
          this.#act(action, userId);
        });
        return button;
      }),
    );
    row.menu.hidden = false;
    row.more.setAttribute('aria-expanded', 'true');
    this.#open = row;
    row.menu.firstElementChild?.focus();
  }

  #close({ focus = false } = {}) {
    const row = this.#open;
    if (!row) return;
    this.#open = null;
    row.menu.hidden = true;
    row.more.setAttribute('aria-expanded', 'false');
    if (focus) row.more.focus();
  }
}
