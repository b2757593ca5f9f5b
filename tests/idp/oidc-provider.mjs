// An OpenID Provider for tests: node oidc-provider.mjs PORT PUBLIC_URL (see oidc-provider.sh).
// Its own sign-in form takes a login and any password, then asks for consent.
import { Provider } from "oidc-provider";

const [port, publicUrl] = [Number(process.argv[2]), process.argv[3]];
const people = ["alice", "bob", "carol", "dave", "erin", "frank"];

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: "countersign",
    client_secret: "countersign-secret",
    redirect_uris: [`${publicUrl}/sign-in/callback`],
    post_logout_redirect_uris: [`${publicUrl}/signed-out`],
    grant_types: ["authorization_code"],
    response_types: ["code"],
    token_endpoint_auth_method: "client_secret_basic",
    backchannel_logout_uri: `${publicUrl}/sign-in/back-channel-logout`,
    backchannel_logout_session_required: true,
  }],
  cookies: { keys: ["for tests only"] },
  claims: { openid: ["sub"], profile: ["name", "preferred_username"], email: ["email", "email_verified"] },
  pkce: { required: () => true },
  // It calls nobody on this machine unless its own guard is taken out.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true }, backchannelLogout: { enabled: true } },
  ttl: { AccessToken: 3600, AuthorizationCode: 60, IdToken: 3600, Session: 86400, Grant: 86400, Interaction: 600 },
  async findAccount(_context, login) {
    if (!people.includes(login)) return undefined;
    return {
      accountId: login,
      claims: async () => ({
        sub: login,
        name: login[0].toUpperCase() + login.slice(1),
        preferred_username: login,
        email: `${login}@example.org`,
        email_verified: true,
      }),
    };
  },
});
provider.on("server_error", (_context, error) => console.error(error));
provider.listen(port, "127.0.0.1", () => console.log(`ready on ${port}`));
