// Signs webhooks with npm's @octokit/webhooks-methods, and gives out the examples of @octokit/webhooks-examples.
// Reads lines of JSON: {"secret", "body"} is answered with the signature, {"examples": "NAME"} with the payloads.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.argv[2]}/package.json`);
const examples = require("@octokit/webhooks-examples");
const methods = pathToFileURL(`${process.argv[2]}/node_modules/@octokit/webhooks-methods/dist-node/index.js`);
const { sign } = await import(methods);

for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    const answer = asked.examples
        ? examples.find((event) => event.name === asked.examples).examples
        : await sign(asked.secret, asked.body);
    process.stdout.write(`${JSON.stringify(answer)}\n`);
}
