async function getJson(path) {
  const answer = await fetch(path, { headers: { accept: 'application/json' } });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return answer.json();
}

/** The room behind a short code, or null when there is none. */
export const roomByCode = (code) => getJson(`/api/room/${encodeURIComponent(code)}`);

export const shortId = (roomId) => getJson(`/api/short-id/${encodeURIComponent(roomId)}`);

/** Without a short code the long form of the link still works. `mark` is the query that leads to this page wherever others lead. */
export function inviteLink(roomId, code, pin, mark = '') {
  if (!code) {
    const query = new URLSearchParams({ tandemRoom: roomId, ...(pin ? { pin } : {}) });
    return `${location.origin}/?${query}`;
  }
  return `${location.origin}/room/${encodeURIComponent(code)}${pin ? `/${encodeURIComponent(pin)}` : ''}${mark}`;
}

/** People paste what they were sent: a whole link, or only the code. */
export function parseInvite(text) {
  const trimmed = text.trim();
  try {
    const url = new URL(trimmed);
    const roomId = url.searchParams.get('tandemRoom');
    if (roomId) return { roomId, pin: url.searchParams.get('pin') ?? '' };
    const [, code, pin] = /^\/room\/([^/]+)(?:\/([^/]+))?\/?$/u.exec(url.pathname) ?? [];
    if (code) return { code: decodeURIComponent(code), pin: pin ? decodeURIComponent(pin) : '' };
  } catch {
    // Not a link: a code.
  }
  return { code: trimmed, pin: '' };
}
