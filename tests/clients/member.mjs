// A member of a room, by a library that knows nothing of tandem. Prints each frame that it gets, and `(open)` and `(close)`, a line each.
//
//   node member.mjs LIBRARY FILE ADDRESS     FILE: code that makes `socket` from `ReconnectingWebSocket` and `address`; its imports are left out
import { readFileSync } from "node:fs";
import WS from "ws";

// Node.js has a WebSocket of its own from version 22 on, and before that with --experimental-websocket.
if (process.env.WEBSOCKET === "ws") globalThis.WebSocket = WS;
globalThis.WebSocket ??= WS;

const [library, file, address] = process.argv.slice(2);
const { default: ReconnectingWebSocket } = await import(library);
const code = readFileSync(file, "utf8").replace(/^import .*\n/gm, "");
const socket = new Function("ReconnectingWebSocket", "address", `${code}\nreturn socket;`)(ReconnectingWebSocket, address);
const say = (type, more) => console.log(JSON.stringify({ type, ...more }));
socket.addEventListener("open", () => say("(open)"));
socket.addEventListener("message", ({ data }) => console.log(data));
socket.addEventListener("close", ({ code }) => say("(close)", { code }));
