// Makes the calls that Russet makes to Gitea, with the client that is generated from Gitea's published description:
// node gitea_client.mjs FOLDER API REVISION STATUS, where FOLDER is where npm has put gitea-js.
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, base, revision, status] = process.argv.slice(2);
const file = path.join(folder, 'node_modules/gitea-js/dist/index.mjs');
const { giteaApi } = await import(pathToFileURL(file));
// A call that is refused throws its answer.
process.on('uncaughtException', (error) => {
  console.error(error?.url, error?.status, error?.error ?? error);
  process.exit(1);
});
const api = giteaApi(base, { token: 'token-1', customFetch: fetch });
await api.repos.repoGet('acme', 'app');
await api.repos.repoCreateStatus('acme', 'app', revision, JSON.parse(status));
await api.repos.repoListStatusesByRef('acme', 'app', revision, { limit: 100, page: 1 });
