const ADJECTIVES =
  'amber brave bright calm clever cosy gentle golden happy hidden jolly kind lively lucky mellow misty noble quiet rapid silver sunny velvet warm wild'.split(' ');
const NOUNS =
  'badger bridge canyon cinema comet falcon forest garden harbor heron island lantern maple meadow otter panda piano planet river robin sparrow tiger tulip window'.split(' ');

function below(limit) {
  // Rejection sampling keeps all values equally likely, which matters for a PIN.
  const ceiling = Math.floor(0x1_0000_0000 / limit) * limit;
  const word = new Uint32Array(1);
  do crypto.getRandomValues(word);
  while (word[0] >= ceiling);
  return word[0] % limit;
}

const oneOf = (list) => list[below(list.length)];

export const randomRoomId = () => `${oneOf(ADJECTIVES)}-${oneOf(NOUNS)}-${100 + below(900)}`;

export const randomPin = () => String(below(1_000_000)).padStart(6, '0');

/** Not `crypto.randomUUID`, which is missing on plain HTTP. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The initials for an avatar: "Ana Lima" -> "AL". */
export function initials(name) {
  const words = String(name).match(/[\p{L}\p{N}]+/gu) ?? [];
  const ends = words.length > 1 ? [words[0], words.at(-1)] : words;
  return ends.map((word) => [...word][0]).join('').toUpperCase() || '?';
}

/** The colour of a user, the same on every screen. */
export function hue(userId) {
  let hash = 2166136261;
  for (const char of String(userId)) hash = Math.imul(hash ^ char.codePointAt(0), 16777619);
  return (hash >>> 0) % 360;
}
