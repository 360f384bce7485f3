// Node's emitters, measured as the rest: calibrated batches that take turns, medians of rounds. Prints the same lines.

import { EventEmitter } from "node:events";
import Emittery from "emittery";
import eventemitter2 from "eventemitter2";
import EventEmitter3 from "eventemitter3";
import mitt from "mitt";
import { createNanoEvents } from "nanoevents";

const ROUNDS = 9;
const TURNS = 15;
const BATCH = 0.25; // milliseconds

const NAME = "placed";
const PLACED = { order: 7 };
let sink = 0;
const listener = (number) => (placed) => {
  sink ^= placed.order ^ number;
};

const onAndOff = (emitter) => ({
  on: (listener) => (emitter.on(NAME, listener), listener),
  off: (listener) => emitter.off(NAME, listener),
  emit: () => emitter.emit(NAME, PLACED),
});

const unsubscribing = (emitter) => ({
  on: (listener) => emitter.on(NAME, listener),
  off: (unsubscribe) => unsubscribe(),
  emit: () => emitter.emit(NAME, PLACED),
});

const ALONE = "one thread; names, not types; a listener that throws stops the others";

const PEERS = [
  ["node:events", () => onAndOff(new EventEmitter().setMaxListeners(0)), ALONE],
  ["eventemitter3", () => onAndOff(new EventEmitter3()), ALONE],
  ["mitt", () => onAndOff(mitt()), ALONE],
  ["nanoevents", () => unsubscribing(createNanoEvents()), ALONE],
  ["eventemitter2", () => onAndOff(new eventemitter2.EventEmitter2({ maxListeners: 0 })), ALONE],
  ["emittery", () => ({ ...unsubscribing(new Emittery()), isAsync: true }), "one thread; names, not types; listeners are called later: here awaited"],
];

const median = (figures) => figures.toSorted((one, other) => one - other)[figures.length >> 1];

async function time(act, calls) {
  const start = performance.now();
  await act(calls);
  return performance.now() - start;
}

// Nanoseconds of each.
async function inTurns(acts) {
  const calls = [];
  for (const act of acts) {
    let count = 1;
    while ((await time(act, count)) < BATCH) count *= 2;
    calls.push(count);
  }
  const batches = acts.map(() => []);
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [at, act] of acts.entries()) batches[at].push(((await time(act, calls[at])) * 1e6) / calls[at]);
  }
  return batches.map(median);
}

async function measure(name, acts) {
  await inTurns(acts); // the compiler's turn
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) rounds.push(await inTurns(acts));
  for (const [at, [peer, , cannot]] of PEERS.entries()) {
    const figures = rounds.map((round) => round[at]);
    const [middle, lowest, highest] = [median(figures), Math.min(...figures), Math.max(...figures)];
    console.log([name, peer, "ns", ...[middle, lowest, highest].map((figure) => figure.toFixed(2)), "", "", "", cannot].join("\t"));
  }
}

function filled(make, listeners) {
  const peer = make();
  return { peer, kept: Array.from({ length: listeners }, (_, number) => peer.on(listener(number))) };
}

function emits({ peer }) {
  if (peer.isAsync) {
    return async (calls) => {
      for (; calls > 0; calls--) await peer.emit();
    };
  }
  return (calls) => {
    for (; calls > 0; calls--) peer.emit();
  };
}

const newest = ({ peer }) => (calls) => {
  for (; calls > 0; calls--) peer.off(peer.on(listener(0)));
};

const random = ({ peer, kept }) => (calls) => {
  for (; calls > 0; calls--) {
    const at = Math.floor(Math.random() * kept.length);
    const leaving = kept[at];
    kept[at] = peer.on(listener(0));
    peer.off(leaving);
  }
};

const groups = {
  async emit() {
    for (const listeners of [0, 1, 10, 100, 1_000]) {
      await measure(`${listeners} listeners`, PEERS.map(([, make]) => emits(filled(make, listeners))));
    }
  },
  async on_off() {
    for (const [which, act] of [["newest", newest], ["any", random]]) {
      for (const live of [10, 1_000, 100_000]) {
        await measure(`${which} of ${live}`, PEERS.map(([, make]) => act(filled(make, live))));
      }
    }
  },
};

await groups[process.argv[2]]();
if (sink === 0.5) console.error("so that the listeners have an effect");
