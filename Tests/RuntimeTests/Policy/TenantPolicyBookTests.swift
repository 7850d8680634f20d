import Domain
import JSON
import Postgres
import Storage
import TestSupport
import Testing

@testable import Runtime

/// What a process knows of tenants' policies while they change under it.
@Suite(.timeLimit(.minutes(3)))
struct TenantPolicyBookTests {
    /// Policies as Postgres would have them, whose readers can be held.
    private actor Shelf {
        private var records: [TenantID: [TenantPolicyRecord]] = [:]
        private var isHeld = false
        private var waiting: [CheckedContinuation<Void, Never>] = []
        private var isAway = false
        private(set) var looks = 0
        private(set) var reads = 0

        func put(_ tenant: TenantID, _ tools: String, padding: Int = 0) {
            let text =
                #"{"version":1,"rules":[{"id":"no","effect":"deny","tools":["\#(tools)"],"when":{"$comment":"\#(String(repeating: "x", count: padding))"}}]}"#
            records[tenant] = [
                TenantPolicyRecord(
                    name: "p", document: RawJSON(trusted: Array(text.utf8)), hash: tools, revision: 1, createdAt: .now(), updatedAt: .now())
            ]
        }

        func hold() { isHeld = true }
        func goAway() { isAway = true }

        func release() {
            isHeld = false
            for one in waiting { one.resume() }
            waiting = []
        }

        var held: Int { waiting.count }

        func fingerprint(_ tenant: TenantID) async -> Result<String?, PostgresError> {
            looks += 1
            let found = records[tenant]?.first?.hash
            if isHeld { await withCheckedContinuation { waiting.append($0) } }
            return isAway ? .failure(PostgresError(.connection, "away")) : .success(found)
        }

        func read(_ tenant: TenantID) -> [TenantPolicyRecord] {
            reads += 1
            return records[tenant] ?? []
        }
    }

    private func book(_ shelf: Shelf, age: Duration = .seconds(3600), maxBytes: Int = 1 << 30) async throws -> TenantPolicyBook {
        let environment = try await TestEnvironment.start()
        return TenantPolicyBook(
            source: TenantPolicyBook.Source(
                fingerprint: { scope throws(PostgresError) in try await shelf.fingerprint(scope.tenantID).get() },
                records: { scope throws(PostgresError) in await shelf.read(scope.tenantID) }),
            subscriber: environment.subscriber, age: age, maxBytes: maxBytes, logger: environment.logger)
    }

    private func tenant() -> TenantScope { TenantScope(tenantID: .generate(), slug: "acme") }

    private func denied(_ set: PolicySet?) -> [String] { set?.rules.flatMap { $0.tools?.map(\.pattern) ?? [] } ?? [] }

    @Test func `those who ask at once share one look`() async throws {
        let (shelf, scope) = (Shelf(), tenant())
        await shelf.put(scope.tenantID, "a")
        await shelf.hold()
        let book = try await book(shelf)
        try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<40 { group.addTask { denied(try await book.policies(of: scope)) } }
            #expect(await eventually { await shelf.held == 1 })
            await shelf.release()
            for try await found in group { #expect(found == ["a"]) }
        }
        #expect(await shelf.reads == 1)
        #expect(denied(try await book.policies(of: scope)) == ["a"])
        #expect(await shelf.looks == 1)
    }

    @Test func `a look that a change has overtaken is not kept as fresh, and nobody who asks later is told it`() async throws {
        let (shelf, scope) = (Shelf(), tenant())
        await shelf.put(scope.tenantID, "old")
        await shelf.hold()
        let book = try await book(shelf)
        async let early = book.policies(of: scope)
        #expect(await eventually { await shelf.held == 1 })
        // It has seen the old name and is on its way back when the change comes.
        await shelf.put(scope.tenantID, "new")
        book.forget(scope.tenantID)
        async let late = book.policies(of: scope)
        #expect(await eventually { await shelf.held == 2 })
        await shelf.release()
        _ = try await early
        #expect(denied(try await late) == ["new"])
        #expect(denied(try await book.policies(of: scope)) == ["new"])
    }

    @Test func `an announced change is looked at and compiled only where there is one`() async throws {
        let (shelf, scope) = (Shelf(), tenant())
        await shelf.put(scope.tenantID, "a")
        let book = try await book(shelf)
        for _ in 0..<5 {
            book.forget(scope.tenantID)
            #expect(denied(try await book.policies(of: scope)) == ["a"])
        }
        #expect(await shelf.looks == 5)
        #expect(await shelf.reads == 1)
    }

    @Test func `what has changed decides nothing any more, also while Postgres is away; what is only old does`() async throws {
        let (shelf, scope) = (Shelf(), tenant())
        await shelf.put(scope.tenantID, "a")
        let aging = try await book(shelf, age: .zero)
        #expect(denied(try await aging.policies(of: scope)) == ["a"])
        await shelf.goAway()
        #expect(denied(try await aging.policies(of: scope)) == ["a"])
        aging.forget(scope.tenantID)
        await #expect(throws: PostgresError.self) { try await aging.policies(of: scope) }
    }

    @Test func `what is kept is bounded in bytes, and what was not looked at for longest makes way`() async throws {
        let shelf = Shelf()
        let scopes = (0..<6).map { _ in tenant() }
        for scope in scopes { await shelf.put(scope.tenantID, "a", padding: 10_000) }
        // Room for two or three of them.
        let book = try await book(shelf, maxBytes: 400_000)
        for scope in scopes { _ = try await book.policies(of: scope) }
        #expect(book.bytes <= 400_000 && book.bytes > 0)
        #expect(await shelf.reads == 6)
        _ = try await book.policies(of: scopes[5])
        #expect(await shelf.reads == 6)
        #expect(denied(try await book.policies(of: scopes[0])) == ["a"])
        #expect(await shelf.reads == 7)
    }

    @Test func `stored policies whose conditions come to too much deny everything`() throws {
        let rules = (0..<600).map {
            #"{"id":"r\#($0)","effect":"allow","when":{"properties":{"a":{"pattern":"(?:abcdefgh){0,600}"}}}}"#
        }
        let records = (0..<2).map { index in
            let half = rules[(index * 300)..<(index * 300 + 300)].joined(separator: ",")
            return TenantPolicyRecord(
                name: "p\(index)", document: RawJSON(trusted: Array(#"{"version":1,"rules":[\#(half)]}"#.utf8)), hash: "h", revision: 1,
                createdAt: .now(), updatedAt: .now())
        }
        let layer = try #require(TenantLayer(records))
        #expect(layer.set.rules.contains { $0.id == "tenant/p0/unreadable" && $0.effect == .deny })
        #expect(layer.set.hash == TenantLayer.hash(of: records))
    }
}
