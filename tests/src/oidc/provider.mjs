// An identity provider for one client, certified software with accounts that are made up. It says so when it listens.
//
//   node provider.mjs MODULE PORT REDIRECT [AHEAD] [id-token]
//
// MODULE is the entry of npm's oidc-provider, AHEAD by how many seconds its clock is ahead, or behind. With `id-token`, all
// claims are in the ID token; otherwise they must be asked for. Keys are new with every start.
import { generateKeyPairSync, randomUUID } from "node:crypto";

const [module, port, redirect, ahead = "0", where = "userinfo"] = process.argv.slice(2);
const { Provider } = await import(module);

const now = Date.now;
Date.now = () => now() + Number(ahead) * 1000;

const accounts = {
  alice: { email: "alice@example.com", email_verified: true, preferred_username: "alice" },
  bob: { email: "bob@example.com", email_verified: true, preferred_username: "bob" },
  // Another account with the same address, and others that say less.
  bobby: { email: "bob@example.com", email_verified: true, preferred_username: "bobby" },
  unverified: { email: "bob@example.com", email_verified: false, preferred_username: "bob" },
  silent: { email: "bob@example.com", preferred_username: "bob" },
  stranger: { email: "stranger@example.com", email_verified: true, preferred_username: "stranger" },
};

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "RS256" };

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "patrol",
      client_secret: "the secret of the client",
      redirect_uris: [redirect],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username"] },
  conformIdTokenClaims: where !== "id-token",
  cookies: { keys: ["tests"] },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, id) => accounts[id] && { accountId: id, claims: () => ({ sub: id, ...accounts[id] }) },
  jwks: { keys: [key] },
  pkce: { required: () => true },
});

provider.listen(Number(port), "127.0.0.1");
