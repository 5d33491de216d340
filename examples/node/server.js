// A small web application for Node, to be pushed.
'use strict';

const http = require('node:http');

const pages = new Map([['/', 'Hello from Node!\n'], ['/healthz', 'ok\n']]);

function answer(path) {
  return pages.has(path) ? [200, pages.get(path)] : [404, 'nothing here\n'];
}

function serve() {
  const server = http.createServer((request, response) => {
    const [status, text] = answer(request.url);
    response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(text);
  });
  server.listen(process.env.PORT || 8080);
  // close finishes what is in flight; then nothing is left to do, and the process ends.
  process.on('SIGTERM', () => server.close());
}

module.exports = { answer };
if (require.main === module) serve();
