import { Emitter } from './emitter.js';
import { Peer } from './peer.js';

const WANTED = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  video: { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 24, max: 30 }, facingMode: 'user' },
};
/** Present members send offers to a newcomer. After this time the newcomer asks those that have not. */
const OFFER_MS = 4000;
const SIGNALS_KEPT = 512;
/** Maximum number of members in a call: each sends to all others, and more would overload browsers and uplinks. */
const MOST_PEERS = 15;

/** The calls between the browsers of all members. Emits `media` {userId} when a track starts or ends. */
export class Calls extends Emitter {
  tracks = { audio: null, video: null };

  #connection;
  #room;
  #peers = new Map();
  #seen = new Set();
  /** Signals that were made while the connection was down. */
  #unsent = [];
  #keepsSeat = false;
  #timer = 0;

  constructor({ connection, room }) {
    super();
    this.#connection = connection;
    this.#room = room;
    room.on('gone', (userId) => this.#drop(userId));
  }

  reset() {
    clearTimeout(this.#timer);
    for (const userId of [...this.#peers.keys()]) this.#drop(userId);
    for (const kind of ['audio', 'video']) this.#release(kind);
    this.#seen.clear();
    this.#unsent = [];
  }

  /** The live track of a member's camera or microphone, or null. */
  track(userId, kind) {
    if (userId === this.#room.me) return this.tracks[kind];
    return this.#peers.get(userId)?.remoteTrack(kind) ?? null;
  }

  connectionState(userId) {
    return this.#peers.get(userId)?.connectionState ?? 'none';
  }

  async stats(userId) {
    const peer = this.#peers.get(userId);
    if (!peer) return null;
    const report = await peer.getStats();
    const inbound = [...report.values()].find((one) => one.type === 'inbound-rtp' && one.kind === 'video');
    return { connectionState: peer.connectionState, framesDecoded: inbound?.framesDecoded ?? 0 };
  }

  /** Throws the errors of getUserMedia. */
  async switchOn(kind) {
    if (!navigator.mediaDevices) throw new DOMException('only on https or localhost', 'SecurityError');
    const stream = await navigator.mediaDevices.getUserMedia({ [kind]: WANTED[kind] });
    const [track] = kind === 'audio' ? stream.getAudioTracks() : stream.getVideoTracks();
    // The device was unplugged, or the permission was withdrawn in the browser.
    track.addEventListener('ended', () => {
      if (this.tracks[kind] === track) this.switchOff(kind);
    });
    this.#release(kind);
    this.#give(kind, track);
  }

  switchOff(kind) {
    this.#release(kind);
    this.#give(kind, null);
  }

  #release(kind) {
    this.tracks[kind]?.stop();
    this.tracks[kind] = null;
  }

  #give(kind, track) {
    this.tracks[kind] = track;
    for (const peer of this.#peers.values()) peer.setTrack(kind, track);
    this.emit('media', { userId: this.#room.me });
  }

  apply(frame) {
    switch (frame.type) {
      case 'DISCONTINUITY':
        this.#keepsSeat = true;
        break;
      case 'ROOM_STATE':
        // A member that joined again gets new offers; signals for its old connections would only confuse it.
        if (this.#keepsSeat) this.#catchUp();
        this.#unsent = [];
        this.#keepsSeat = false;
        this.#refresh();
        this.#askLater();
        break;
      case 'RESUMED':
        this.#catchUp();
        this.#refresh();
        break;
      case 'ICE_SERVERS':
        this.#refresh();
        break;
      case 'USER_JOINED':
        // Also for a member that was here before: its connections are gone.
        if (frame.userId !== this.#room.me) this.#make(frame.userId);
        break;
      case 'MEMBER_BACK':
        this.#peers.get(frame.userId)?.restart();
        break;
      case 'RENEGOTIATE':
        if (this.#isNew(frame)) this.#make(frame.from);
        break;
      case 'BYE':
        this.#drop(frame.from);
        break;
      case 'OFFER':
      case 'ANSWER':
      case 'ICE_CANDIDATE':
        if (this.#isNew(frame)) this.#hear(frame);
        break;
      default:
    }
  }

  #catchUp() {
    for (const frame of this.#unsent.splice(0)) this.#connection.send(frame);
    for (const peer of this.#peers.values()) peer.repeat();
  }

  /** Handles a signal. After a RESUME it may arrive twice. */
  #isNew({ signalId }) {
    if (signalId === undefined) return true;
    if (this.#seen.has(signalId)) return false;
    this.#seen.add(signalId);
    if (this.#seen.size > SIGNALS_KEPT) this.#seen.delete(this.#seen.values().next().value);
    return true;
  }

  #refresh() {
    for (const [userId, peer] of this.#peers) {
      peer.setIceServers(this.#room.iceServers);
      if (!this.#room.users.get(userId)?.away && peer.connectionState === 'failed') peer.restart();
    }
  }

  #askLater() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      for (const { userId, away } of this.#room.users.values()) {
        if (userId === this.#room.me || away || this.#peers.has(userId)) continue;
        this.#connection.send({ type: 'RENEGOTIATE', to: userId });
      }
    }, OFFER_MS);
  }

  #make(userId) {
    this.#drop(userId);
    if (this.#peers.size >= MOST_PEERS) return null;
    const peer = new Peer({
      iceServers: this.#room.iceServers,
      isPolite: () => (this.#room.self?.order ?? 0) > (this.#room.users.get(userId)?.order ?? 0),
      tracks: this.tracks,
    });
    this.#peers.set(userId, peer);
    peer.on('signal', (signal) => {
      const frame = { ...signal, to: userId };
      if (!this.#connection.send(frame)) this.#unsent.push(frame);
    });
    peer.on('media', () => this.emit('media', { userId }));
    return peer;
  }

  #drop(userId) {
    const peer = this.#peers.get(userId);
    if (!peer) return;
    this.#peers.delete(userId);
    peer.close();
    this.emit('media', { userId });
  }

  #hear({ type, from, negotiationId, offer, answer, candidate }) {
    if (!this.#room.users.has(from)) return;
    let peer = this.#peers.get(from);
    const stranger = peer?.remoteId && negotiationId && peer.remoteId !== negotiationId;
    if (type === 'OFFER') {
      // The other side has a new connection (after a reload): replace ours.
      if (!peer || stranger) peer = this.#make(from);
      if (!peer) return;
    } else if (type === 'ANSWER' && stranger) {
      // The other side has a new connection, and our offer was for the old one: replace ours, and offer again.
      this.#make(from);
      return;
    } else if (!peer || stranger) {
      return;
    }
    if (negotiationId) peer.remoteId = negotiationId;
    const done = type === 'ICE_CANDIDATE' ? peer.candidate(candidate) : peer.describe(offer ?? answer);
    done.catch((error) => console.warn(`tandem: ${type} of ${from}`, error));
  }
}
