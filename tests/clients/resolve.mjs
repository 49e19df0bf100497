// Lets the drivers stand in the source tree and their packages in the folder that scripts/clients.sh filled:
// a bare name like "matrix-js-sdk" is looked up there. `node --import` loads this first.
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

const installed = pathToFileURL(`${process.env.CLIENTS}/`).href;
const bare = /^(?![./]|[a-z]+:)/;

registerHooks({
  resolve: (name, context, next) =>
    next(name, bare.test(name) && !context.parentURL?.includes("/node_modules/") ? { ...context, parentURL: installed } : context),
});
