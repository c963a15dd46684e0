export const inSeconds = (ms) => {
  const seconds = Math.max(1, Math.ceil((ms ?? 0) / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes === 1 ? 'a minute' : `${minutes} minutes`;
};

/** The text for an ERROR of the server. */
export function errorWords({ code, message, retryAfterMs }) {
  switch (code) {
    case 'invalid_pin':
      return 'That PIN is wrong. Ask the person who invited you.';
    case 'invalid_invitation':
      return message?.includes('used')
        ? 'This invitation has been used as often as it may be.'
        : 'This invitation is not valid any more. Ask the person who invited you.';
    case 'pin_locked':
      return `Too many wrong PINs for this room. You can try again in ${inSeconds(retryAfterMs)}.`;
    case 'room_full':
      return 'This room is full.';
    case 'room_locked':
      return 'This room is locked: nobody new may come in right now.';
    case 'banned':
      return 'You are banned from this room.';
    case 'forbidden':
      if (message?.includes('bans')) return 'This room has as many bans as it may have. Lift one first.';
      return 'You are not allowed to do that here.';
    case 'identity_in_use':
      return 'Another person is already here under your identity.';
    case 'rate_limited':
      return 'Too many requests. Please try again in a moment.';
    case 'not_joined':
      return 'That person is no longer in the room.';
    case 'unavailable':
    case 'internal':
      return 'The server has a problem right now. Please try again in a moment.';
    case 'dropped':
      return 'The connection was lost before that arrived.';
    default:
      return message ? `That did not work: ${message}` : 'That did not work.';
  }
}

/** 83.456 -> 00:01:23.456 */
export function clockText(seconds) {
  const ms = Math.max(0, Math.round(seconds * 1000));
  const two = (n) => String(Math.floor(n)).padStart(2, '0');
  return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}.${String(ms % 1000).padStart(3, '0')}`;
}

/** 83 -> 1:23, as on any player. */
export function shortTime(seconds) {
  if (!Number.isFinite(seconds)) return '–:––';
  const s = Math.max(0, Math.floor(seconds));
  const tail = `${s >= 3600 ? String(Math.floor(s / 60) % 60).padStart(2, '0') : Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
  return s >= 3600 ? `${Math.floor(s / 3600)}:${tail}` : tail;
}
