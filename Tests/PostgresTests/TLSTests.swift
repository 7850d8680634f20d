import Postgres
import TestServers
import Testing

extension PostgresTests {
    /// `sslmode` means what libpq says: https://www.postgresql.org/docs/current/libpq-ssl.html
    @Suite struct TLSTests {
        @Test("verify-full takes the server whose certificate fits its name, and no other")
        func verifyFull() async throws {
            let certificates = try TestCertificates(names: "DNS:localhost")
            let cluster = try ThrowawayCluster(port: try freePort(), certificates: certificates)
            defer { cluster.remove() }
            let trusted = "sslmode=verify-full&sslrootcert=\(certificates.authority)"
            try await withClient(cluster.url(host: "localhost", trusted)) { client async throws in
                #expect(
                    try await client.value(
                        "SELECT ssl::int::int8 FROM pg_stat_ssl WHERE pid = pg_backend_pid()", as: Int.self) == 1)
            }
            // Another name, and an authority that did not sign: both are refused, and the caller hears that nothing ran.
            let stranger = try TestCertificates(names: "DNS:localhost")
            let refused = [
                cluster.url(host: "127.0.0.1", trusted),
                cluster.url(host: "localhost", "sslmode=verify-full&sslrootcert=\(stranger.authority)"),
            ]
            for url in refused {
                try await withClient(url, configure: { $0.connectTimeoutSeconds = 2 }) { client async throws in
                    let error = try await failure { try await client.query("SELECT 1") }
                    #expect(error.code == .connection && !error.mayHaveRun, "\(url): \(error)")
                    #expect("\(String(reflecting: error))".lowercased().contains("certificate"), "\(String(reflecting: error))")
                }
            }
        }

        @Test("require refuses a server that speaks no TLS")
        func require() async throws {
            let cluster = try ThrowawayCluster(port: try freePort())
            defer { cluster.remove() }
            try await withClient(cluster.url(host: "localhost", "sslmode=prefer")) { client async throws in
                #expect(try await client.value("SELECT 1::int8", as: Int.self) == 1)
            }
            try await withClient(
                cluster.url(host: "localhost", "sslmode=require"), configure: { $0.connectTimeoutSeconds = 2 }
            ) { client async throws in
                let error = try await failure { try await client.query("SELECT 1") }
                #expect(error.code == .connection && !error.mayHaveRun)
            }
        }
    }
}
