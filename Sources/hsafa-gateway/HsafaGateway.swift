import ArgumentParser

@main
struct HsafaGateway: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hsafa-gateway",
        abstract: "The gateway that runs AI agents for many tenants.",
        discussion: """
            Settings come from the environment; a wrong one is named at start. The ones that matter first:
              DATABASE_URL        the application's connection, e.g. postgresql://hsafa_app@localhost/hsafa (required)
              DATABASE_OWNER_URL  the owner's connection, for migrate and keys
              REDIS_URL           redis://, rediss:// or unix:// (default redis://127.0.0.1:6379)
              PORT, HOST          where to listen (default 3000 on 127.0.0.1)
              PUBLIC_URL          how devices reach this gateway; they sign it (default http://HOST:PORT)
              TLS_CERTIFICATE_FILE, TLS_KEY_FILE  PEM files; without them a proxy ends TLS
            All of them: docs/CONFIGURATION.md.

            A first start by hand:
              hsafa-gateway migrate
              hsafa-gateway keys create --tenant acme
              hsafa-gateway serve
            """,
        version: "1.0.0", subcommands: [Serve.self, Migrate.self, Keys.self, Tenants.self, Policy.self, Secrets.self, Audit.self])
}
