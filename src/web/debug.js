/** `window.tandem`: the state of this page, read-only, for tests and debugging. */
export function publishDebug({ connection, room, player, sync, calls, started }) {
  const tandem = {
    position: () => player.position,
    expected: () => sync.expected(),
    drift: () => sync.drift,
    playing: () => sync.playing,
    state: () => connection.state.name,
    started,
    clockSynced: () => connection.clock.synced,
    serverNow: () => connection.clock.serverNow(),
    userId: () => room.me,
    roomId: () => room.roomId,
    url: () => room.url,
    host: () => room.hostUserId,
    version: () => connection.seat?.version ?? 0,
    roster: () => [...room.users.values()].map((user) => ({ ...user })),
    call: (userId) => calls.stats(userId),
  };
  Object.defineProperty(window, 'tandem', { value: Object.freeze(tandem) });
}
