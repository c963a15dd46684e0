async function getJson(path) {
  const answer = await fetch(path, { headers: { accept: 'application/json' } });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return answer.json();
}

/** The room of a short code, or null if there is none. */
export const roomByCode = (code) => getJson(`/api/room/${encodeURIComponent(code)}`);

export const shortId = (roomId) => getJson(`/api/short-id/${encodeURIComponent(roomId)}`);

/** The invitation of a room. Without a short code the long link still works. `mark` is the query that leads to this page even if INVITE_URL leads elsewhere. */
export function inviteLink(roomId, code, pin, mark = '') {
  if (!code) {
    const query = new URLSearchParams({ tandemRoom: roomId, ...(pin ? { pin } : {}) });
    return `${location.origin}/?${query}`;
  }
  return `${location.origin}/room/${encodeURIComponent(code)}${pin ? `/${encodeURIComponent(pin)}` : ''}${mark}`;
}

/** A signed invitation, as `tandem token invite --link` makes it: in the fragment of the address, which no server gets. */
export function invitationOf(hash) {
  const invite = new URLSearchParams(hash.replace(/^#/u, '')).get('invite');
  if (!invite) return null;
  try {
    const [, claims] = invite.split('.');
    const bytes = Uint8Array.from(atob(claims.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.codePointAt(0));
    const { room } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof room === 'string' ? { roomId: room, pin: '', invite } : null;
  } catch {
    return null;
  }
}

/** Accepts a whole link or only a code, because people paste either. */
export function parseInvite(text) {
  const trimmed = text.trim();
  try {
    const url = new URL(trimmed);
    const invitation = invitationOf(url.hash);
    if (invitation) return invitation;
    const roomId = url.searchParams.get('tandemRoom');
    if (roomId) return { roomId, pin: url.searchParams.get('pin') ?? '' };
    const [, code, pin] = /^\/room\/([^/]+)(?:\/([^/]+))?\/?$/u.exec(url.pathname) ?? [];
    if (code) return { code: decodeURIComponent(code), pin: pin ? decodeURIComponent(pin) : '' };
  } catch {
    // It is not a link, so it is a code.
  }
  return { code: trimmed, pin: '' };
}
