// Runs clients of the JavaScript SDK for the Python tests: one JSON object a line, commands on stdin, answers and events on
// stdout. {"$b": "<base64>"} stands for bytes in both directions.
import { createInterface } from 'node:readline';
import { Centrifuge as CentrifugeJson } from 'centrifuge';
import { Centrifuge as CentrifugeProtobuf } from 'centrifuge/build/protobuf';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';

const clients = new Map();

function say(message) {
  process.stdout.write(JSON.stringify(message, outgoing) + '\n');
}

function outgoing(key, value) {
  if (value instanceof Uint8Array) return { $b: Buffer.from(value).toString('base64') };
  if (value && value.type === 'Buffer' && Array.isArray(value.data)) return { $b: Buffer.from(value.data).toString('base64') };
  if (value instanceof Error) return { message: value.message, code: value.code ?? 0 };
  return value;
}

function incoming(key, value) {
  if (value && typeof value === 'object' && typeof value.$b === 'string') return new Uint8Array(Buffer.from(value.$b, 'base64'));
  return value;
}

// Gives the tokens of a list one after the other, the last one again and again; "" and {"fail": true} stand for a refusal.
function tokenSource(client, channel, tokens) {
  if (!tokens) return null;
  let next = 0;
  return async () => {
    const token = tokens[Math.min(next++, tokens.length - 1)];
    say({ client, channel, event: 'get_token', ctx: { count: next } });
    return token;
  };
}

function follow(emitter, names, client, channel) {
  for (const name of names) emitter.on(name, (ctx) => say({ client, channel, event: name, ctx: strip(ctx) }));
}

function strip(ctx) {
  if (!ctx || ctx.type !== 'transport') return ctx;
  return { type: ctx.type, transport: ctx.transport, error: { code: ctx.error?.code, message: String(ctx.error?.message) } };
}

const CLIENT_EVENTS = ['connecting', 'connected', 'disconnected', 'error', 'message', 'subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave'];
const SUB_EVENTS = ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave', 'error'];

const commands = {
  open({ client, endpoint, transport, protobuf, emulation, options, getToken, protocols }) {
    const Centrifuge = protobuf ? CentrifugeProtobuf : CentrifugeJson;
    const address = transport === 'websocket' ? endpoint : [{ transport, endpoint }];
    const made = new Centrifuge(address, {
      websocket: WebSocket,
      eventsource: EventSource,
      fetch,
      readableStream: ReadableStream,
      emulationEndpoint: emulation,
      minReconnectDelay: 20,
      maxReconnectDelay: 300,
      ...options,
      getToken: tokenSource(client, undefined, getToken),
    });
    follow(made, CLIENT_EVENTS, client);
    clients.set(client, made);
  },
  close({ client }) {
    clients.get(client)?.disconnect();
    clients.delete(client);
  },
  subscribe({ client, channel, options, getToken }) {
    const sub = clients.get(client).newSubscription(channel, {
      minResubscribeDelay: 20,
      maxResubscribeDelay: 300,
      ...options,
      getToken: tokenSource(client, channel, getToken),
    });
    follow(sub, SUB_EVENTS, client, channel);
    sub.subscribe();
  },
  // A method of the client or, with a channel, of its subscription.
  call({ client, channel, method, args }) {
    const target = channel === undefined ? clients.get(client) : clients.get(client).getSubscription(channel);
    return target[method](...args);
  },
  removeSubscription({ client, channel }) {
    const made = clients.get(client);
    made.removeSubscription(made.getSubscription(channel));
  },
};

createInterface({ input: process.stdin }).on('line', async (line) => {
  const command = JSON.parse(line, incoming);
  try {
    const result = await commands[command.do](command);
    say({ ref: command.ref, result: result ?? null });
  } catch (error) {
    say({ ref: command.ref, error: { code: error.code ?? 0, message: error.message } });
  }
}).on('close', () => process.exit(0));

say({ ready: true });
