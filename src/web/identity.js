import { randomId } from './names.js';

// Every access is guarded: storage may be forbidden or full, and the page must work all the same.
function read(storage, key) {
  try {
    return window[storage].getItem(`tandem.${key}`);
  } catch {
    return null;
  }
}

function write(storage, key, value) {
  try {
    if (value === null) window[storage].removeItem(`tandem.${key}`);
    else window[storage].setItem(`tandem.${key}`, value);
  } catch {
    // Forgotten at the reload, then.
  }
}

export const rememberedName = () => read('localStorage', 'name') ?? '';
export const rememberName = (name) => write('localStorage', 'name', name);

/** The seat that a reload takes again: room, PIN, and the token that proves that it is ours. */
export function rememberedSeat() {
  try {
    const seat = JSON.parse(read('sessionStorage', 'seat'));
    return typeof seat?.roomId === 'string' ? seat : null;
  } catch {
    return null;
  }
}

export const rememberSeat = (seat) => write('sessionStorage', 'seat', seat && JSON.stringify(seat));

export function newUserId() {
  const id = randomId();
  write('sessionStorage', 'user', id);
  return id;
}

/**
 * The userId of this tab. A duplicated tab inherits a copy of sessionStorage, and two tabs under one id would push each
 * other out of the room for ever: the lock tells whether another one is alive. (A reload waits for the old page to let go.)
 */
export async function claimUserId() {
  const id = read('sessionStorage', 'user') ?? newUserId();
  if (!navigator.locks) return id;
  const held = (name, wait) =>
    new Promise((resolve) => {
      navigator.locks
        .request(`tandem.user.${name}`, { signal: AbortSignal.timeout(wait) }, () => {
          resolve(true);
          return new Promise(() => {});
        })
        .catch(() => resolve(false));
    });
  if (await held(id, 1500)) return id;
  rememberSeat(null);
  const fresh = newUserId();
  await held(fresh, 1500);
  return fresh;
}
