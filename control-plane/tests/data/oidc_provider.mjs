// A provider of OpenID Connect that is not ours, for tests: `oidc-provider` of npm, as its own example has it.
// Arguments: the folder that it is installed in, and the address that browsers are sent back to. It prints its
// issuer, and ends with its standard input.
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [folder, redirect] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`));
process.stdin.on("end", () => process.exit(0)).resume();

const server = createServer((request, response) => handler(request, response));
let handler = (request, response) => response.end();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: "russet", client_secret: "client-secret", redirect_uris: [redirect] }],
    // Who signs in as somebody is that one: passwords are not what is tested.
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, preferred_username: id }),
    }),
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username"] },
    pkce: { required: () => true },
    cookies: { keys: ["a key of a test"] },
    ttl: { Session: 600, Interaction: 600, Grant: 600, AccessToken: 600, IdToken: 600 },
  });
  handler = provider.callback();
  console.log(issuer);
});
