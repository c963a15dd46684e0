import { randomId } from './names.js';

// Every access is guarded: storage may be forbidden or full, and the page must work without it.
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
    // Without storage it is lost on reload.
  }
}

export const rememberedName = () => read('localStorage', 'name') ?? '';
export const rememberName = (name) => write('localStorage', 'name', name);

/** The seat that is resumed after a reload: room, PIN and resume token. */
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
 * The userId of this tab. A duplicated tab has a copy of sessionStorage, and two tabs with one id would replace each other
 * in the room for ever. The lock shows whether another tab is alive. (After a reload it waits for the old page to release it.)
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
