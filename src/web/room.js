import { Emitter } from './emitter.js';

/**
 * The state of the room, built from the frames of the server: members, rights, url and timeline.
 *
 * Emits `change` (something to render), `news` {kind, ...} (something to tell the user), `url` {url, userId}, `pin` {pinRequired, userId}.
 */
export class Room extends Emitter {
  users = new Map();
  roomId = '';
  url = '';
  /** The member that chose the url, if known. */
  urlFrom = null;
  hostUserId = null;
  guestControl = false;
  locked = false;
  iceServers = [];
  me = null;

  reset(me) {
    this.users = new Map();
    Object.assign(this, { roomId: '', url: '', urlFrom: null, hostUserId: null, guestControl: false, locked: false, me });
    this.emit('change');
  }

  get self() {
    return this.users.get(this.me);
  }

  get isHost() {
    return this.me !== null && this.hostUserId === this.me;
  }

  get isCoHost() {
    return this.self?.role === 'co-host';
  }

  get mayControl() {
    return this.isHost || this.isCoHost || this.guestControl;
  }

  get host() {
    return this.users.get(this.hostUserId);
  }

  nameOf(userId) {
    return this.users.get(userId)?.username || 'Somebody';
  }

  apply(frame) {
    const handler = this.#handlers[frame.type];
    if (!handler) return;
    if (frame.iceServers) this.iceServers = frame.iceServers;
    handler(frame);
    this.emit('change');
  }

  #handlers = {
    ROOM_STATE: (frame) => this.#whole(frame),
    RESUMED: () => {},
    ICE_SERVERS: () => {},
    USER_JOINED: (frame) => this.#joined(frame),
    USER_LEFT: (frame) => this.#left(frame),
    MEMBER_AWAY: ({ userId }) => this.#presence(userId, true),
    MEMBER_BACK: ({ userId }) => this.#presence(userId, false),
    HOST_CHANGED: ({ hostUserId }) => this.#hostIs(hostUserId),
    ROLE_CHANGED: ({ userId, role }) => this.#roleIs(userId, role),
    GUEST_CONTROL: ({ enabled, userId }) => {
      this.guestControl = enabled;
      this.emit('news', { kind: 'guest-control', enabled, userId });
    },
    ROOM_LOCKED: ({ locked, userId }) => {
      this.locked = locked;
      this.emit('news', { kind: 'locked', locked, userId });
    },
    PIN_CHANGED: ({ pinRequired, userId }) => {
      this.emit('pin', { pinRequired, userId });
      this.emit('news', { kind: 'pin', pinRequired, userId });
    },
    USERNAME_UPDATED: ({ userId, username }) => {
      const user = this.users.get(userId);
      if (!user) return;
      const was = user.username;
      user.username = username;
      if (was !== username) this.emit('news', { kind: 'renamed', userId, was, username });
    },
    URL_CHANGE: ({ url, userId }) => {
      this.url = url;
      this.urlFrom = userId;
      this.emit('url', { url, userId });
    },
  };

  #whole(frame) {
    const known = this.users;
    this.users = new Map(frame.users.map((user) => [user.userId, { ...user, away: user.state === 'away' }]));
    this.roomId = frame.roomId;
    this.hostUserId = frame.hostUserId;
    this.guestControl = frame.guestControlEnabled;
    this.locked = frame.locked;
    for (const user of this.users.values()) if (user.userId === frame.hostUserId) user.role = 'host';
    for (const userId of known.keys()) if (!this.users.has(userId)) this.emit('gone', userId);
    if (this.url !== frame.url) {
      this.url = frame.url;
      this.urlFrom = null;
      this.emit('url', { url: frame.url, userId: null });
    }
  }

  #joined({ userId, username, role, order, peerId }) {
    const again = this.users.has(userId);
    this.users.set(userId, { userId, username, role, order, peerId, away: false });
    if (!again) this.emit('news', { kind: 'joined', userId, username });
  }

  #left({ userId, reason }) {
    const user = this.users.get(userId);
    if (!user) return;
    this.users.delete(userId);
    this.emit('gone', userId);
    this.emit('news', { kind: 'left', userId, username: user.username, reason });
  }

  #presence(userId, away) {
    const user = this.users.get(userId);
    // If this client receives it, the client is back (a RESUME replays the update).
    if (!user || user.away === away || userId === this.me) return;
    user.away = away;
    this.emit('news', { kind: away ? 'away' : 'back', userId, username: user.username });
  }

  #hostIs(hostUserId) {
    const before = this.users.get(this.hostUserId);
    if (before && before.userId !== hostUserId && before.role === 'host') before.role = 'member';
    this.hostUserId = hostUserId;
    const host = this.users.get(hostUserId);
    if (!host) return;
    host.role = 'host';
    this.emit('news', { kind: 'host', userId: hostUserId });
  }

  #roleIs(userId, role) {
    const user = this.users.get(userId);
    if (!user) return;
    user.role = role;
    this.emit('news', { kind: 'role', userId, role });
  }
}
