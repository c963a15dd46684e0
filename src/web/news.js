/** A sentence about something that happened in the room, or null if it needs none. */
export function newsWords(news, room) {
  const mine = news.userId === room.me;
  const name = mine ? 'You' : news.username || room.nameOf(news.userId);
  switch (news.kind) {
    case 'joined':
      return `${name} is here.`;
    case 'left':
      if (mine) return null;
      if (news.reason === 'kicked') return `${name} was removed.`;
      return news.reason === 'left' ? `${name} left.` : `${name} is gone.`;
    case 'away':
      return `${name} lost the connection…`;
    case 'back':
      return mine ? null : `${name} is back.`;
    case 'host':
      return mine ? 'You are the host now.' : `${name} is the host now.`;
    case 'role':
      if (news.role === 'host') return null;
      if (news.role === 'co-host') return mine ? 'You are a co-host now.' : `${name} is a co-host now.`;
      return mine ? 'You are no longer a co-host.' : `${name} is no longer a co-host.`;
    case 'renamed':
      return mine ? `You are ${news.username} now.` : `${news.was} is ${news.username} now.`;
    case 'guest-control':
      return news.enabled ? 'Everybody may use the remote control.' : 'The remote control is with the host.';
    case 'locked':
      return news.locked ? 'The room is locked: nobody new may come in.' : 'The room is open again.';
    case 'pin':
      return news.pinRequired ? 'The room has a new PIN.' : 'The room needs no PIN any more.';
    default:
      return null;
  }
}
