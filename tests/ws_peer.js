// node's ws as a process: what tests/websocket_peer.py is for others.  node ws_peer.js SECONDS, with NODE_PATH where `ws` is.
"use strict";

const fs = require("fs");
const http = require("http");
const readline = require("readline");
const { WebSocket, WebSocketServer } = require("ws");

const MAX_SIZE = 32 * 2 ** 20;
const PROTOCOLS = ["chat.v2", "chat.v1"];

setTimeout(() => process.exit(3), Number(process.argv[2]) * 1000);

function say(record) {
  fs.writeSync(1, JSON.stringify(record) + "\n");
}

function tagOf(target) {
  return new URL(target, "ws://here").pathname;
}

function obey(ws, order, rest) {
  if (order === "facts") {
    ws.send(JSON.stringify({ subprotocol: ws.protocol || null, deflate: ws.extensions.includes("permessage-deflate") }));
  } else if (order === "ping") {
    ws.once("pong", (data) => ws.send("pong " + data));
    ws.ping(rest);
  } else if (order === "flood") {
    const [count, size] = rest.split(" ").map(Number);
    for (let number = 0; number < count; number++) {
      ws.send(Buffer.alloc(size, number % 256));
    }
  } else if (order === "close") {
    const [, code, reason] = /^(\d*) ?(.*)$/.exec(rest);
    ws.close(...(code ? [Number(code), reason] : [])); // without a code the frame is empty
  } else {
    throw new Error("no such order: " + order);
  }
}

function converse(ws, target) {
  const tag = tagOf(target);
  let received = 0;
  let split = 0;
  let error = null;
  ws.on("message", (data, isBinary) => {
    received++;
    if (split) {
      for (let at = 0; at < data.length; at += split) {
        ws.send(data.subarray(at, at + split), { binary: isBinary, fin: at + split >= data.length });
      }
      split = 0;
    } else if (!isBinary && data[0] === 0x21) {
      const [, order, rest] = /^!(\w+) ?(.*)$/.exec(data.toString());
      if (order === "split") {
        split = Number(rest);
      } else {
        obey(ws, order, rest);
      }
    } else {
      ws.send(data, { binary: isBinary });
    }
  });
  ws.on("error", (reason) => {
    error = String(reason);
  });
  ws.on("close", (code, reason) => {
    say(error ? { tag, error, received } : { tag, code: code === 1006 ? null : code, reason: reason.toString(), received });
  });
  const greet = () => {
    const count = Number(new URL(target, "ws://here").searchParams.get("greet"));
    for (let number = 0; number < count; number++) {
      ws.send("hello " + number);
    }
  };
  if (ws.readyState === WebSocket.OPEN) {
    greet();
  } else {
    ws.on("open", greet);
  }
}

async function serve(perMessageDeflate) {
  const server = http.createServer();
  const sockets = new WebSocketServer({
    server,
    perMessageDeflate,
    maxPayload: MAX_SIZE,
    handleProtocols: (offered) => PROTOCOLS.find((name) => offered.has(name)) || false,
  });
  sockets.on("connection", (ws, request) => converse(ws, request.url));
  await new Promise((resolve) => server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, resolve));
  return server.address().port;
}

async function main() {
  say({ plain: await serve(false), deflate: await serve(true) });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const order = JSON.parse(line);
    for (let number = 0; number < order.count; number++) {
      const options = { perMessageDeflate: order.deflate, maxPayload: MAX_SIZE };
      converse(new WebSocket(order.connect, order.protocols, options), order.connect);
    }
  });
  lines.on("close", () => process.exit(0));
}

main();
