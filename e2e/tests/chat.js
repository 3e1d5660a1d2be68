// Clients of the chat on npm's `ws`: `node chat.js PART URL`, started by chat.rs.
// Ends with 0 when all went as it should.

"use strict";

const assert = require("node:assert");
const { on, once } = require("node:events");
const { WebSocket } = require("ws");

const [part, url] = process.argv.slice(2);

const parts = {
  // All that a chat asks of WebSockets.
  async everything() {
    const [one, two] = [await join("one"), await join("two")];
    await talk(one, two);
    await longest(one, two);
    await once_gone(two);
    await nowhere();
  },

  // Talks with whoever is in the room.
  async guest() {
    const guest = await join("guest");
    await guest.hears("is a guest there?");
    guest.socket.send("yes, a guest");
    await guest.hears("yes, a guest");
    assert.deepStrictEqual(await guest.leave(), [1000, "bye"]);
  },
};

async function talk(one, two) {
  // At once, but fewer than the room keeps for one who is slow.
  const words = Array.from({ length: 40 }, (_, number) => `word ${number}`);
  words.push("", "Grüße, 🚢");
  words.forEach((word) => one.socket.send(word));
  one.socket.send("in two ", { fin: false });
  one.socket.send("frames", { fin: true });
  await two.hears(words.shift());
  for (const word of [...words, "in two frames"]) {
    assert.strictEqual(await two.next(), word);
  }
  one.socket.ping("are you there");
  assert.strictEqual(String(...(await once(one.socket, "pong"))), "are you there");
  // Not offered by the server, though asked for.
  assert.strictEqual(one.socket.extensions, "");
}

async function longest(one, two) {
  const text = "x".repeat(4096);
  one.socket.send(text);
  await two.hears(text);
  one.socket.send(text + "x");
  const [code] = await once(one.socket, "close");
  // Axum's WebSocket ends without a word where a message is too long.
  assert.strictEqual(code, 1006);
}

// One leaves without a word, another politely: the room stays open.
async function once_gone(two) {
  const three = await join("three");
  two.socket.terminate();
  three.socket.send("alone");
  await three.hears("alone");
  assert.deepStrictEqual(await three.leave(), [1000, "bye"]);
}

async function nowhere() {
  const lost = new WebSocket(`${url}/nowhere`);
  const [error] = await once(lost, "error");
  assert.match(error.message, /404/);
}

async function join(name) {
  const socket = new WebSocket(`${url}/chat`);
  const messages = on(socket, "message");
  await once(socket, "open");
  const client = {
    socket,
    async next() {
      const [data, isBinary] = (await messages.next()).value;
      assert(!isBinary);
      return data.toString();
    },
    async hears(text) {
      while ((await client.next()) !== text);
    },
    async leave() {
      socket.close(1000, "bye");
      const [code, reason] = await once(socket, "close");
      return [code, reason.toString()];
    },
  };
  // A word to oneself: whoever hears it has joined.
  socket.send(`${name} is here`);
  await client.hears(`${name} is here`);
  return client;
}

parts[part]();
