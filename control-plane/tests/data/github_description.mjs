// Cuts the published description of GitHub's API down to the paths that Russet calls, and to what they refer to:
// a validating proxy takes long to read all of it.
//
// node github_description.mjs FOLDER OUT: FOLDER is where npm has put @octokit/openapi.
import fs from 'node:fs';
import path from 'node:path';

const [folder, out] = process.argv.slice(2);
const file = 'node_modules/@octokit/openapi/generated/api.github.com.json';
const all = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
const called = {
  '/meta': ['get'],
  '/repos/{owner}/{repo}': ['get'],
  '/repos/{owner}/{repo}/commits': ['get'],
  '/repos/{owner}/{repo}/commits/{ref}/statuses': ['get'],
  '/repos/{owner}/{repo}/statuses/{sha}': ['post'],
  '/repos/{owner}/{repo}/installation': ['get'],
  '/app/installations/{installation_id}/access_tokens': ['post'],
  '/repos/{owner}/{repo}/hooks': ['get', 'post'],
  '/repos/{owner}/{repo}/hooks/{hook_id}': ['patch'],
};

const cut = { openapi: all.openapi, info: all.info, servers: all.servers, paths: {}, components: {} };
for (const [name, methods] of Object.entries(called)) {
  cut.paths[name] = Object.fromEntries(methods.map((method) => [method, all.paths[name][method]]));
}

function keep(value) {
  if (value === null || typeof value !== 'object') return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === '$ref' && typeof inner === 'string' && inner.startsWith('#/components/')) {
      const [, , kind, name] = inner.split('/');
      cut.components[kind] ??= {};
      if (!(name in cut.components[kind])) {
        cut.components[kind][name] = all.components[kind][name];
        keep(all.components[kind][name]);
      }
    } else {
      keep(inner);
    }
  }
}
keep(cut.paths);
fs.writeFileSync(path.join(out, 'api.json'), JSON.stringify(cut));

// Answers of the description's own examples.
const example = (name, method, status) => {
  const content = all.paths[name][method].responses[status].content['application/json'];
  const first = Object.values(content.examples)[0];
  return first.$ref ? all.components.examples[first.$ref.split('/').pop()].value : first.value;
};
const repository = example('/repos/{owner}/{repo}', 'get', '200');
// What its schema requires and the example lacks.
repository.language = null;
repository.source.language = null;
fs.writeFileSync(path.join(out, 'examples.json'), JSON.stringify({
  repository,
  commits: example('/repos/{owner}/{repo}/commits', 'get', '200'),
  status: example('/repos/{owner}/{repo}/statuses/{sha}', 'post', '201'),
  installation: example('/repos/{owner}/{repo}/installation', 'get', '200'),
  token: example('/app/installations/{installation_id}/access_tokens', 'post', '201'),
  hooks: example('/repos/{owner}/{repo}/hooks', 'get', '200'),
}));
