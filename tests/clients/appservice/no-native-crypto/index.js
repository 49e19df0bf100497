// matrix-bot-sdk loads its native crypto module whether or not it encrypts, and that module's installer downloads a
// prebuilt binary from outside the registry. The echo bot encrypts nothing, so it gets a module without anything in it;
// whoever does reach for cryptography gets `undefined`, which fails at once.
module.exports = { StoreType: {} };
