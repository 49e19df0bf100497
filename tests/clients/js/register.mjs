// Registers a person, whatever the homeserver asks first: nothing, or a registration token.
// https://spec.matrix.org/latest/client-server-api/#user-interactive-authentication-api

export const PASSWORD = "correct-horse-battery-staple-42";

/** What we can answer to each stage; a flow with any other stage is not for us. */
export const answers = (token) => ({
  "m.login.dummy": {},
  ...(token && { "m.login.registration_token": { token } }),
});

/**
 * Goes through user-interactive authentication: `ask(auth)` makes the request, and throws what js-sdk throws.
 * `known` maps a stage to what answers it.
 */
export async function interactive(ask, known) {
  let auth = undefined;
  // A flow has a handful of stages; a server that asks for more than that turns in a circle.
  for (let round = 0; round < 6; round += 1) {
    try {
      return await ask(auth);
    } catch (error) {
      const wanted = error.data;
      if (error.httpStatus !== 401 || !wanted?.flows) throw error;
      if (wanted.errcode) throw error;
      const done = wanted.completed ?? [];
      const flow = wanted.flows.find((one) => one.stages.every((stage) => stage in known));
      if (!flow) throw new Error(`no flow that we can go: ${JSON.stringify(wanted.flows)}`);
      const stage = flow.stages.find((one) => !done.includes(one));
      auth = { type: stage, session: wanted.session, ...known[stage] };
    }
  }
  throw new Error("the authentication never ends");
}

/** Registers `name`; gives nothing, so that logging in is proven apart from it. */
export async function register(client, name, token) {
  const ask = (auth) =>
    client.registerRequest({ username: name, password: PASSWORD, inhibit_login: true, ...(auth && { auth }) });
  return interactive(ask, answers(token));
}
