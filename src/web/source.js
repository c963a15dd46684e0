/**
 * The kinds of urls of a room:
 * - `<any origin>/test-picture`: the generated test picture;
 * - `<any origin>/local-file#name=..&size=..`: a file that everybody has to pick on their own device;
 * - any other http(s) address: a video.
 */
export function parseSource(url) {
  if (!url) return { kind: 'none', label: 'Nothing yet' };
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    return { kind: 'none', label: 'Nothing yet' };
  }
  if (parsed.pathname === '/test-picture') return { kind: 'picture', label: 'Test picture' };
  if (parsed.pathname === '/local-file') {
    const facts = new URLSearchParams(parsed.hash.slice(1));
    const name = facts.get('name') || 'a file';
    return { kind: 'file', label: name, name, size: Number(facts.get('size')) || 0 };
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') return { kind: 'none', label: 'Nothing yet' };
  const last = parsed.pathname.split('/').filter(Boolean).at(-1);
  return { kind: 'video', label: last ? safeDecode(last) : parsed.host, url: parsed.href };
}

function safeDecode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The host in urls of the page's own media. No real name ends in `.invalid`, so a server with a list of allowed hosts can always accept
 * these.
 */
const NOWHERE = 'https://tandem.invalid';

export const pictureUrl = () => `${NOWHERE}/test-picture`;

export const fileUrl = ({ name, size }) => `${NOWHERE}/local-file#${new URLSearchParams({ name, size })}`;

export const isSameFile = (source, file) => source.name === file.name && source.size === file.size;
