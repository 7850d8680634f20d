import AsyncHTTPClient
import Domain
import Logging
import NIOPosix
import Synchronization
import Storage
import TestServers
import Testing

@testable import Runtime

/// A resolver whose answers a test writes, one list after the other: the last one stays.
final class ScriptedResolver: HostResolver {
    private let answers: Mutex<[String: [[String]]]>
    private let asked = Mutex(0)

    init(_ answers: [String: [[String]]]) { self.answers = Mutex(answers) }

    var questions: Int { asked.withLock { $0 } }

    func addresses(of name: String, for tenant: TenantID) async throws(EgressError) -> [IPAddress] {
        asked.withLock { $0 += 1 }
        let texts = answers.withLock { answers -> [String] in
            guard let list = answers[name], let first = list.first else { return [] }
            if list.count > 1 { answers[name] = Array(list.dropFirst()) }
            return first
        }
        guard !texts.isEmpty else { throw .unresolved(name) }
        return texts.compactMap { IPAddress($0) }
    }
}

/// A guard with its own rules and resolver, ended with the test.
struct TestEgress {
    let egress: EgressGuard
    let resolver: ScriptedResolver
    let tenant = TenantScope(tenantID: .generate(), slug: "acme")

    static func with<R: Sendable>(
        _ rules: EgressRules = .publicAddresses, names: [String: [[String]]] = [:], _ body: (TestEgress) async throws -> R
    ) async throws -> R {
        let resolver = ScriptedResolver(names)
        let egress = EgressGuard(
            loops: MultiThreadedEventLoopGroup.singleton, resolver: resolver, rules: { rules }, metrics: MetricsRegistry(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        do {
            let result = try await body(TestEgress(egress: egress, resolver: resolver))
            await egress.shutDown()
            return result
        } catch {
            await egress.shutDown()
            throw error
        }
    }

    /// Public addresses, and these.
    static func allowing(_ hosts: String...) throws -> EgressRules {
        EgressRules(byDefault: .public, allowances: [.init(tenants: nil, hosts: try hosts.map { try HostPattern($0) })])
    }

    func get(_ url: String, headers: [(String, String)] = [], secrets: SecretValues = .none) async throws -> OutboundResponse {
        try await egress.send(
            OutboundRequest(
                method: "GET", url: try OutboundURL(url), headers: headers.map { (name: $0.0, value: $0.1) }, body: nil,
                timeout: .seconds(30), maxBodyBytes: 1024, redirects: .follow, secrets: secrets), for: tenant)
    }

    /// A request that must not come through, and for this reason.
    func expectRefusal(_ url: String, _ code: EgressError.Code, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        do {
            let response = try await get(url)
            Issue.record("\(url) was answered \(response.status)", sourceLocation: sourceLocation)
        } catch let error as EgressError {
            #expect(error.code == code, "\(url): \(error)", sourceLocation: sourceLocation)
        }
    }
}
