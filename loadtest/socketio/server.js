// What people build who need rooms over several nodes: Socket.IO 4 with its sharded Redis adapter (SSUBSCRIBE, as tandem). It keeps no
// state and checks nothing: each message goes to everybody in the room, the sender too; a signal goes to one socket, wherever that is.
import { createServer } from 'node:http'
import { createShardedAdapter } from '@socket.io/redis-adapter'
import { createClient } from 'redis'
import { Server } from 'socket.io'

const publisher = createClient({ url: process.env.REDIS_URL })
const subscriber = publisher.duplicate()
await Promise.all([publisher.connect(), subscriber.connect()])

const server = createServer()
const io = new Server(server, {
  transports: ['websocket'],
  serveClient: false,
  adapter: createShardedAdapter(publisher, subscriber),
})
io.on('connection', (socket) => {
  let room
  socket.on('join', async (name, answer) => {
    room = name
    await socket.join(room)
    socket.to(room).emit('user joined', { id: socket.id })
    answer(room)
  })
  socket.on('signal', (signal) => {
    io.to(signal.to).emit('signal', { ...signal, from: socket.id })
  })
  socket.on('m', (message) => {
    if (room) io.to(room).emit('m', message)
  })
})
process.on('SIGTERM', () => process.exit(0))
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const { address, port } = server.address()
  console.log(JSON.stringify({ level: 30, msg: 'listening', addr: `${address}:${port}` }))
})
