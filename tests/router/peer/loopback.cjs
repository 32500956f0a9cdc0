// Loaded before the gateway, which would listen on every address: binds it to this machine alone, at a port that is
// free, and writes that port into the file that PORT_FILE names.
const { writeFileSync, renameSync } = require("node:fs");
const { Server } = require("node:net");

const listen = Server.prototype.listen;
Server.prototype.listen = function () {
  this.once("listening", () => {
    const file = process.env.PORT_FILE;
    writeFileSync(`${file}.new`, String(this.address().port));
    renameSync(`${file}.new`, file);
  });
  return listen.call(this, 0, "127.0.0.1");
};
