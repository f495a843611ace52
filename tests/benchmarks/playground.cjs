// TensorFlow Playground's own network (its nn.ts, translated to nn.js), as a worker of compare_engines.py.
//
//     node playground.cjs PATH/nn.js
//
// Requests and answers as in workers.py. The Playground can only have one output unit, and squared error.
"use strict";

const readline = require("node:readline");

const nn = require(process.argv[2]);
const ROWS = 2048;

// Park & Miller's generator: the same rows in every run.
let state = 1;
function uniform() {
  state = (state * 48271) % 2147483647;
  return state / 2147483647;
}

let train = null;

function setup(setting) {
  if (setting.kind !== "tanh-sgd") {
    throw new Error("the Playground has no batch normalization and no Adam");
  }
  const shape = [setting.width, ...Array(setting.depth).fill(setting.width), 1];
  const names = Array.from({ length: setting.width }, (_, i) => `x${i}`);
  const network = nn.buildNetwork(shape, nn.Activations.TANH, nn.Activations.TANH, null, names);
  const rows = Array.from({ length: ROWS }, () => names.map(() => 2 * uniform() - 1));
  const targets = rows.map(() => (uniform() < 0.5 ? -1 : 1));
  let at = 0;
  train = (steps) => {
    for (let step = 0; step < steps; step++) {
      for (let i = 0; i < setting.batch; i++) {
        nn.forwardProp(network, rows[at]);
        nn.backProp(network, targets[at], nn.Errors.SQUARE);
        at = (at + 1) % ROWS;
      }
      nn.updateWeights(network, 0.01, 0);
    }
  };
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const request = JSON.parse(line);
  const started = process.hrtime.bigint();
  let answer;
  try {
    if (request.setup) {
      setup(request.setup);
      train(1);
    } else {
      train(request.run);
    }
    answer = { seconds: Number(process.hrtime.bigint() - started) / 1e9 };
  } catch (error) {
    answer = { failed: String(error.message) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
