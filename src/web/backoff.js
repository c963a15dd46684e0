const BASE_MS = 500;
const CAP_MS = 15_000;

/**
 * The wait before the next attempt, with full jitter: a thousand browsers that lost the same server must not reconnect in the same second.
 */
export function nextDelay({ attempt, closeCode, retryAfterMs }) {
  if (retryAfterMs > 0) return retryAfterMs + Math.random() * Math.min(1000, retryAfterMs);
  // The node restarts, and others may be available: reconnect soon, but spread out.
  if (closeCode === 1012 && attempt === 0) return Math.random() * 300;
  // The client, or its address, sent too much: reconnect later.
  const floor = closeCode === 4429 ? 5000 : 0;
  return floor + Math.random() * Math.min(CAP_MS, BASE_MS * 2 ** attempt);
}

/** Close codes after which the client must not reconnect. */
export const isFinal = (closeCode) => closeCode === 1000 || closeCode === 4503;
