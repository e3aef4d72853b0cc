// What rt.js does while the server says nothing: a socket that the script holds, and a clock that only the script moves.
// Prints what became of each connection as one JSON object. Argument: the path of rt.js.
import { readFileSync } from 'node:fs';
import { mock } from 'node:test';

mock.timers.enable({ apis: ['setTimeout'] });

const sockets = [];
globalThis.WebSocket = class {
  constructor() {
    this.sent = [];
    sockets.push(this);
  }
  send(frame) {
    this.sent.push(frame);
  }
  close() {}
};

const { Client } = await import(`data:text/javascript,${encodeURIComponent(readFileSync(process.argv[2], 'utf8'))}`);

/** A client that has opened its socket; the server has answered when `answer` is given. */
function connected(answer) {
  const states = [];
  new Client('ws://localhost/', { state: (state, { why }) => states.push(why ?? state) }).connect();
  const socket = sockets.at(-1);
  socket.onopen();
  if (answer) socket.onmessage({ data: JSON.stringify({ id: JSON.parse(socket.sent[0]).id, connect: answer }) });
  return { socket, states };
}

function after(seconds, { states }) {
  mock.timers.tick(seconds * 1000);
  return states.at(-1);
}

const seen = {};

seen.noAnswer = after(5, connected());

const quiet = connected({ client: 'c', ping: 25, pong: true });
seen.quiet = after(34, quiet);
quiet.socket.onmessage({ data: '{}' });
seen.pong = quiet.socket.sent.at(-1);
seen.pinged = after(34, quiet);
seen.silent = after(1, quiet);

seen.noPings = after(3600, connected({ client: 'c' }));

console.log(JSON.stringify(seen));
