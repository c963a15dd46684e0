const BASE_MS = 500;
const CAP_MS = 15_000;

/**
 * How long to wait before the next attempt. Full jitter: a thousand browsers that lost the same server must not
 * come back in the same second.
 */
export function nextDelay({ attempt, closeCode, retryAfterMs }) {
  if (retryAfterMs > 0) return retryAfterMs + Math.random() * Math.min(1000, retryAfterMs);
  // The node restarts and others may be there: come at once, but not all in one instant.
  if (closeCode === 1012 && attempt === 0) return Math.random() * 300;
  // We were too loud; come later.
  const floor = closeCode === 1008 ? 5000 : 0;
  return floor + Math.random() * Math.min(CAP_MS, BASE_MS * 2 ** attempt);
}

/** Codes after which the server does not want to see us again. */
export const isFinal = (closeCode) => closeCode === 1000 || closeCode === 4503;
