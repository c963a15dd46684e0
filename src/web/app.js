import { invitationOf } from './api.js';
import { Calls } from './calls.js';
import { Connection } from './connection.js';
import { Controls } from './controls.js';
import { publishDebug } from './debug.js';
import { byId, setIcon, setText } from './dom.js';
import { claimUserId, newUserId, rememberName, rememberSeat, rememberedName, rememberedSeat } from './identity.js';
import { Invite } from './invite.js';
import { Landing } from './landing.js';
import { Moderation } from './moderation.js';
import { newsWords } from './news.js';
import { Player } from './player.js';
import { Room } from './room.js';
import { Roster } from './roster.js';
import { fileUrl, pictureUrl } from './source.js';
import { Stage } from './stage.js';
import { StatusLine } from './status.js';
import { Sync } from './sync.js';
import { Tiles } from './tiles.js';
import { Toasts } from './toast.js';
import { errorWords } from './words.js';

const connection = new Connection(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`);
const room = new Room();
const player = new Player({ canvas: byId('test-picture'), video: byId('video') });
const sync = new Sync({ connection, room, player });
const calls = new Calls({ connection, room });
const toasts = new Toasts(byId('toasts'));
const invite = new Invite({
  link: byId('invite-link'),
  copy: byId('copy-button'),
  code: byId('invite-code'),
  pinText: byId('invite-pin'),
});
const stage = new Stage({
  parts: {
    note: byId('stage-note'),
    title: byId('stage-title'),
    text: byId('stage-text'),
    pick: byId('stage-pick'),
    overlay: byId('start-overlay'),
    label: byId('source-label'),
  },
  player,
  room,
  sync,
  toasts,
});
const landing = new Landing({
  parts: {
    root: byId('landing'),
    notice: byId('landing-notice'),
    name: byId('name-input'),
    startCard: byId('start-card'),
    createForm: byId('create-form'),
    createRoom: byId('create-room-input'),
    createPin: byId('create-pin-input'),
    create: byId('create-button'),
    dice: byId('dice-button'),
    joinForm: byId('join-form'),
    joinTitle: byId('join-title'),
    joinText: byId('join-text'),
    codeField: byId('code-field'),
    pinField: byId('pin-field'),
    code: byId('code-input'),
    pin: byId('pin-input'),
    join: byId('join-button'),
    other: byId('other-room-button'),
  },
  enter: (seat) => enter(seat),
});
let userId = null;

new Roster({ list: byId('roster'), room, calls, act: (action, target) => act(action, target) });
new Tiles({ box: byId('tiles'), room, calls });
new Controls({
  parts: {
    play: byId('play-button'),
    bar: byId('seek-bar'),
    clock: byId('clock-text'),
    length: byId('length-text'),
    rate: byId('rate-select'),
    sound: byId('sound-button'),
    volume: byId('volume-bar'),
    full: byId('fullscreen-button'),
    hint: byId('control-hint'),
    stage: byId('stage'),
  },
  player,
  sync,
  room,
  connection,
});
new StatusLine({
  parts: {
    pill: byId('connection-state'),
    spoken: byId('connection-spoken'),
    badge: byId('stage-badge'),
    drift: byId('drift'),
    rtt: byId('rtt'),
  },
  connection,
  sync,
  player,
});

// ---- joining and leaving ----

function enter({ roomId, username, pin, invite, resumeToken }) {
  room.reset(userId);
  sync.reset();
  connection.enter({ roomId, userId, username, pin, invite, resumeToken });
}

function showRoom(visible) {
  byId('landing').hidden = visible;
  byId('room').hidden = !visible;
  document.body.classList.toggle('in-room', visible);
  document.title = visible ? `${connection.seat.roomId} · tandem` : 'tandem · watch together';
}

/** Returns to the landing page, and resets the state of the room. */
function leaveRoom({ invited = null, message = '' } = {}) {
  rememberSeat(null);
  calls.reset();
  stage.reset();
  sync.reset();
  room.reset(userId);
  showRoom(false);
  landing.open(invited, { message });
}

connection.on('frame', (frame) => {
  room.apply(frame);
  sync.apply(frame);
  calls.apply(frame);
  if (frame.type === 'ROOM_STATE') {
    showRoom(true);
    invite.show(room.roomId, connection.seat.pin, { isSecret: frame.pinRequired });
    setText(byId('room-code'), room.roomId);
    stage.refresh();
  }
  if (frame.type === 'SERVER_DRAINING') toasts.say('The server is being restarted. You will be back in a moment.');
  if (frame.resumeToken) {
    const { roomId, username, pin, invite: invitation, resumeToken } = connection.seat;
    rememberSeat({ roomId, username, pin, invite: invitation, resumeToken });
  }
});

connection.on('refused', (error) => {
  const { seat } = connection;
  if (error.code === 'identity_in_use') {
    // The userId is in use and there is no token for it, because the server has lost the seat: join with a new userId.
    userId = newUserId();
    enter({ ...seat, resumeToken: undefined });
    return;
  }
  if (byId('landing').hidden) leaveRoom({ invited: { roomId: seat.roomId, pin: seat.pin, invite: seat.invite } });
  landing.refused(error);
});

connection.on('closed', ({ code }) => {
  leaveRoom({ message: code === 4503 ? 'You were removed from the room.' : 'The server closed the room for you.' });
});

connection.on('replaced', () => {
  byId('replaced').hidden = false;
});

byId('reclaim-button').addEventListener('click', () => {
  byId('replaced').hidden = true;
  connection.reclaim();
});

byId('leave-button').addEventListener('click', () => {
  connection.leave();
  leaveRoom();
});

// ---- input ----

const moderation = new Moderation({
  parts: {
    lock: byId('lock-room'),
    lockSwitch: byId('lock-switch'),
    bansButton: byId('bans-button'),
    bansDialog: byId('bans-dialog'),
    bansList: byId('bans-list'),
    bansNone: byId('bans-none'),
    pinButton: byId('pin-button'),
    pinDialog: byId('pin-dialog'),
    pinInput: byId('new-pin-input'),
    banDialog: byId('ban-dialog'),
    banText: byId('ban-text'),
  },
  room,
  connection,
  ask: (frame) => ask(frame),
  pinSet: (pin) => knowPin(pin),
});

/** The PIN of the room from now on, as far as this page knows it. */
function knowPin(pin, { isSecret = false } = {}) {
  const { seat } = connection;
  seat.pin = pin;
  const { roomId, username, resumeToken } = seat;
  rememberSeat({ roomId, username, pin, resumeToken });
  invite.show(room.roomId, pin, { isSecret });
}

room.on('pin', ({ pinRequired, userId: by }) => {
  if (by !== userId) knowPin('', { isSecret: pinRequired });
});

const ask = (frame) => connection.request(frame).catch((refusal) => toasts.say(errorWords(refusal), { kind: 'error' }));

sync.on('refused', (refusal) => {
  if (refusal.code !== 'dropped') toasts.say(errorWords(refusal), { kind: 'error' });
});

function act(action, targetUserId) {
  const name = room.nameOf(targetUserId);
  switch (action) {
    case 'rename':
      byId('rename-input').value = rememberedName();
      // After Escape the dialog keeps its previous return value.
      byId('rename-dialog').returnValue = '';
      byId('rename-dialog').showModal();
      break;
    case 'make-host':
      ask({ type: 'TRANSFER_HOST', targetUserId });
      break;
    case 'make-co-host':
    case 'make-member':
      ask({ type: 'SET_ROLE', targetUserId, role: action === 'make-co-host' ? 'co-host' : 'member' });
      break;
    case 'ban':
      moderation.confirmBan(targetUserId);
      break;
    case 'kick':
      setText(byId('kick-text'), `${name} will leave at once. To keep somebody out for good, ban them instead.`);
      byId('kick-dialog').returnValue = '';
      byId('kick-dialog').dataset.target = targetUserId;
      byId('kick-dialog').showModal();
      break;
    default:
  }
}

byId('rename-dialog').addEventListener('close', () => {
  const username = byId('rename-input').value.trim();
  if (byId('rename-dialog').returnValue !== 'ok' || !username) return;
  rememberName(username);
  byId('name-input').value = username;
  connection.seat.username = username;
  ask({ type: 'UPDATE_USERNAME', username });
});

byId('kick-dialog').addEventListener('close', () => {
  const { returnValue, dataset } = byId('kick-dialog');
  if (returnValue === 'ok') ask({ type: 'KICK', targetUserId: dataset.target });
});

byId('guest-control').addEventListener('change', ({ target }) => {
  ask({ type: 'TOGGLE_GUEST_CONTROL', enabled: target.checked });
});

// ---- rendering ----

byId('picture-button').addEventListener('click', () => sync.show(pictureUrl()));
for (const id of ['file-button', 'stage-pick']) byId(id).addEventListener('click', () => byId('file-input').click());
byId('file-input').addEventListener('change', ({ target }) => {
  const [file] = target.files;
  target.value = '';
  if (file && stage.take(file)) sync.show(fileUrl(file));
});
byId('link-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const input = byId('link-input');
  let url = null;
  try {
    url = new URL(input.value.trim());
  } catch {
    // The text follows below.
  }
  const fine = url && (url.protocol === 'http:' || url.protocol === 'https:');
  byId('link-error').hidden = Boolean(fine);
  if (!fine) return;
  input.value = '';
  sync.show(url.href);
});

// ---- camera and microphone ----

const MEDIA = {
  video: { button: byId('camera-button'), on: 'camera', off: 'camera-off', name: 'camera' },
  audio: { button: byId('mic-button'), on: 'mic', off: 'mic-off', name: 'microphone' },
};

function mediaTrouble(error, name) {
  if (error.name === 'NotAllowedError') return `Your browser keeps the ${name} from this page. Allow it beside the address, then try again.`;
  if (error.name === 'NotFoundError' || error.name === 'OverconstrainedError') return `No ${name} was found on this device.`;
  if (error.name === 'NotReadableError') return `The ${name} is in use by another program.`;
  if (error.name === 'SecurityError') return `Browsers give the ${name} only to pages on https (or on localhost).`;
  return `The ${name} could not be started.`;
}

function drawMedia() {
  for (const [kind, { button, on, off, name }] of Object.entries(MEDIA)) {
    const live = calls.tracks[kind] !== null;
    button.setAttribute('aria-pressed', String(live));
    button.setAttribute('aria-label', `${live ? 'Switch off' : 'Switch on'} your ${name}`);
    setIcon(button, live ? on : off);
  }
}

for (const [kind, { button, name }] of Object.entries(MEDIA)) {
  button.addEventListener('click', async () => {
    if (calls.tracks[kind]) {
      calls.switchOff(kind);
      return;
    }
    button.disabled = true;
    try {
      await calls.switchOn(kind);
    } catch (error) {
      toasts.say(mediaTrouble(error, name), { kind: 'error' });
    } finally {
      button.disabled = false;
    }
  });
}
calls.on('media', drawMedia);

// ---- news ----

room.on('news', (news) => {
  const text = newsWords(news, room);
  if (text) toasts.say(text);
});

room.on('change', () => {
  const toggle = byId('guest-control');
  toggle.checked = room.guestControl;
  toggle.disabled = !(room.isHost || room.isCoHost);
  setText(byId('people-count'), String(room.users.size));
  byId('side').classList.toggle('is-alone', room.users.size === 1);
  byId('source-picker').hidden = !room.mayControl;
  stage.refresh();
});

// ---- start ----

async function start() {
  let started = false;
  publishDebug({ connection, room, player, sync, calls, started: () => started });
  const query = new URLSearchParams(location.search);
  const linked = query.get('tandemRoom') ? { roomId: query.get('tandemRoom'), pin: query.get('pin') ?? '' } : null;
  const invited = invitationOf(location.hash) ?? linked;
  // The PIN is removed from the address bar, where it would be seen, bookmarked and shared. So is an invitation.
  if (location.search || location.hash) history.replaceState(null, '', location.pathname);
  userId = await claimUserId();
  started = true;
  const seat = rememberedSeat();
  if (seat && (!invited || invited.roomId === seat.roomId)) {
    enter({ ...seat, invite: invited?.invite ?? seat.invite, username: seat.username ?? rememberedName() });
    setText(byId('room-code'), seat.roomId);
    showRoom(true);
    return;
  }
  byId('landing').hidden = false;
  landing.open(invited);
}

start();
