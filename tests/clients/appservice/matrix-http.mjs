// The client-server API without a client: what the appservice driver needs of a person, and of the bot itself.
import { answers, interactive, PASSWORD } from "../js/register.mjs";

export class MatrixHttp {
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  /** Status and body of the answer, whatever it is. */
  async call(method, path, body) {
    const headers = { "content-type": "application/json" };
    if (this.token) headers.authorization = `Bearer ${this.token}`;
    const answer = await fetch(`${this.url}/_matrix/client${path}`, { method, headers, body: body && JSON.stringify(body) });
    return { status: answer.status, body: await answer.json() };
  }

  /** The body of the answer, which must be a good one. */
  async ok(method, path, body) {
    const answer = await this.call(method, path, body);
    if (answer.status === 200) return answer.body;
    const error = new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    throw Object.assign(error, { httpStatus: answer.status, data: answer.body });
  }

  /** Registers a person and stays logged in as that person. */
  async register(username, token) {
    const ask = (auth) => this.ok("POST", "/v3/register", { username, password: PASSWORD, ...(auth && { auth }) });
    const session = await interactive(ask, answers(token));
    this.token = session.access_token;
    this.userId = session.user_id;
    return session;
  }
}
