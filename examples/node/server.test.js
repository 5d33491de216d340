'use strict';

const test = require('node:test');
const assert = require('node:assert');
const { answer } = require('./server.js');

test('it greets', () => assert.deepStrictEqual(answer('/'), [200, 'Hello from Node!\n']));
test('it knows what it has', () => assert.strictEqual(answer('/nothing')[0], 404));
