import { Emitter } from './emitter.js';
import { randomId } from './names.js';

const DISCONNECTED_MS = 4000;
const KINDS = ['audio', 'video'];

/**
 * The RTCPeerConnection to one member, with the "perfect negotiation" pattern of the WebRTC specification.
 * Emits `signal` {type, ...payload}, and `media` when a track starts or ends.
 */
export class Peer extends Emitter {
  /** An id of this RTCPeerConnection, so that the other side notices when it was replaced (after a reload). */
  id = randomId();
  remoteId = null;

  #pc;
  #lines = { audio: null, video: null };
  #isPolite;
  #making = false;
  #answering = false;
  #ignored = false;
  #timer = 0;
  #stream = new MediaStream();

  constructor({ iceServers, isPolite, tracks }) {
    super();
    this.#isPolite = isPolite;
    this.#pc = new RTCPeerConnection({ iceServers });
    this.#pc.onnegotiationneeded = () => this.#offer();
    this.#pc.onicecandidate = ({ candidate }) => {
      if (candidate) this.#signal({ type: 'ICE_CANDIDATE', candidate });
    };
    this.#pc.ontrack = (event) => this.#received(event);
    this.#pc.onconnectionstatechange = () => this.#watch();
    this.#pc.onsignalingstatechange = () => {
      if (this.#pc.signalingState === 'stable') this.emit('media');
    };
    // Without media on either side nothing would be negotiated. The data channel keeps the path open, so that a picture appears as soon as
    // a camera is switched on.
    this.#pc.createDataChannel('tandem', { negotiated: true, id: 0 });
    for (const kind of KINDS) if (tracks[kind]) this.setTrack(kind, tracks[kind]);
  }

  get connectionState() {
    return this.#pc.connectionState;
  }

  /**
   * The track that the other side sends, or null. Decided by the negotiated direction and not by `track.muted`, which stays
   * true in Chromium after a rollback although frames arrive.
   */
  remoteTrack(kind) {
    const line = this.#lines[kind];
    const sends = line?.currentDirection === 'sendrecv' || line?.currentDirection === 'recvonly';
    return sends && line.receiver.track.readyState === 'live' ? line.receiver.track : null;
  }

  getStats() {
    return this.#pc.getStats();
  }

  close() {
    clearTimeout(this.#timer);
    this.#pc.onnegotiationneeded = this.#pc.onicecandidate = this.#pc.ontrack = null;
    this.#pc.onconnectionstatechange = this.#pc.onsignalingstatechange = null;
    this.#pc.close();
    this.#lines = { audio: null, video: null };
  }

  setIceServers(iceServers) {
    this.#pc.setConfiguration({ ...this.#pc.getConfiguration(), iceServers });
  }

  restart() {
    if (this.#pc.connectionState !== 'connected') this.#pc.restartIce();
  }

  /** Repeats an offer that may have been lost with the old connection. An offer that arrives twice does no harm. */
  repeat() {
    if (this.#pc.signalingState === 'have-local-offer') this.#signal({ type: 'OFFER', offer: this.#pc.localDescription });
  }

  /** Sets the track of a kind; null switches it off. The transceiver is kept, so that switching does not add new ones. */
  setTrack(kind, track) {
    const line = this.#pc.getTransceivers().find((one) => one.receiver.track.kind === kind && one.direction !== 'stopped');
    if (!line) {
      if (track) this.#pc.addTrack(track, this.#stream);
      return;
    }
    line.sender.replaceTrack(track).catch(() => {});
    line.direction = track ? 'sendrecv' : 'recvonly';
  }

  async describe(description) {
    const pc = this.#pc;
    const busy = this.#making || (pc.signalingState !== 'stable' && !this.#answering);
    this.#ignored = description.type === 'offer' && busy && !this.#isPolite();
    if (this.#ignored) return;
    // The answer to a repeated offer.
    if (description.type === 'answer' && pc.signalingState === 'stable') return;
    this.#answering = description.type === 'answer';
    try {
      await pc.setRemoteDescription(description);
    } finally {
      this.#answering = false;
    }
    if (description.type !== 'offer') return;
    await pc.setLocalDescription();
    this.#signal({ type: 'ANSWER', answer: pc.localDescription });
  }

  async candidate(candidate) {
    try {
      await this.#pc.addIceCandidate(candidate);
    } catch (error) {
      if (!this.#ignored) throw error;
    }
  }

  #signal(frame) {
    this.emit('signal', { ...frame, negotiationId: this.id });
  }

  async #offer() {
    try {
      this.#making = true;
      await this.#pc.setLocalDescription();
      this.#signal({ type: 'OFFER', offer: this.#pc.localDescription });
    } catch (error) {
      console.warn('tandem: no offer', error);
    } finally {
      this.#making = false;
    }
  }

  #received({ track, transceiver }) {
    this.#lines[track.kind] = transceiver;
    track.addEventListener('ended', () => this.emit('media'));
    this.emit('media');
  }

  #watch() {
    clearTimeout(this.#timer);
    const state = this.#pc.connectionState;
    if (state === 'failed') {
      // The polite side lets the other one begin; if that one is gone, it begins itself.
      this.#timer = setTimeout(() => this.restart(), this.#isPolite() ? 2000 : 0);
    } else if (state === 'disconnected') {
      this.#timer = setTimeout(() => this.restart(), DISCONNECTED_MS);
    }
    this.emit('media');
  }
}
