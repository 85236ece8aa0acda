// SPDX-License-Identifier: BSD-2-Clause
// better-sqlite3: CLIENTS clients of one event loop insert rows for NSEC; prints rows, seconds, p50, p99, p99.9 and the longest in ns.
//
// usage: better_sqlite3_rows.js DATABASE one|eight|many|in_flight|forget CLIENTS NSEC
//
// It is synchronous, so clients of one loop wait for each other: each has its next row ready as soon as it has heard of the last, and
// its time runs from there. in_flight and forget: transactions of 1000 rows.
'use strict';

const Database = require('better-sqlite3');

const [path, use, clients, nsec] = process.argv.slice(2);
const together = use === 'in_flight' || use === 'forget' ? 1000 : 1;
const db = new Database(path);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.exec('CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT(32), c REAL)');
const insert = db.prepare('INSERT INTO t VALUES(NULL,?,?,?)');
const many = db.transaction((first) => {
  for (let i = first; i < first + together; i++) insert.run(i, i.toString(16).padStart(32, 'a'), i);
});

const started = process.hrtime.bigint();
const until = started + BigInt(nsec);
const since = new Array(Number(clients)).fill(started);
const took = [];
let rows = 0;
let now = started;
for (let client = 0; now < until; client = (client + 1) % since.length) {
  if (together > 1) since[client] = process.hrtime.bigint();
  if (together === 1) insert.run(rows, rows.toString(16).padStart(32, 'a'), rows);
  else many(rows);
  rows += together;
  now = process.hrtime.bigint();
  if (use !== 'forget') took.push(Number(now - since[client]));
  since[client] = now;
}
const seconds = Number(now - started) / 1e9;
db.close();

took.sort((a, b) => a - b);
const quantile = (part) => (took.length === 0 ? 0 : took[Math.min(took.length - 1, Math.floor(part * took.length))]);
console.log(rows, seconds, quantile(0.5), quantile(0.99), quantile(0.999), quantile(1));
