import Domain
import Redis
import Storage
import TestSupport
import Testing

/// `perMinute` of rules against a real Redis; each test has a tenant of its own.
struct CallWindowTests {
    private let tenant = TenantID.generate()

    @Test func `a hundred at once get exactly the bound between them, and the same call counts once`() async throws {
        let windows = CallWindows(try await TestEnvironment.start().redis)
        let calls = (0..<100).map { _ in CallID.generate() }
        let granted = try await withThrowingTaskGroup(of: CallID?.self) { group in
            for call in calls {
                group.addTask { [tenant] in try await windows.count(call, of: tenant, [("r", 37)]) == nil ? call : nil }
            }
            return try await group.reduce(into: [CallID]()) { if let call = $1 { $0.append(call) } }
        }
        #expect(granted.count == 37)
        // A call that is asked again, as after an answer that was lost, is counted already.
        for call in granted { #expect(try await windows.count(call, of: tenant, [("r", 37)]) == nil) }
        let refusal = try #require(try await windows.count(.generate(), of: tenant, [("r", 37)]))
        #expect(refusal.rule == 0 && (1...60_000).contains(refusal.retryMilliseconds))
    }

    @Test func `a call counts under all of its rules or under none`() async throws {
        let windows = CallWindows(try await TestEnvironment.start().redis)
        for _ in 0..<2 { #expect(try await windows.count(.generate(), of: tenant, [("wide", 10), ("narrow", 2)]) == nil) }
        #expect(try await windows.count(.generate(), of: tenant, [("wide", 10), ("narrow", 2)])?.rule == 1)
        // The wide rule was not charged for what the narrow one refused.
        for _ in 0..<8 { #expect(try await windows.count(.generate(), of: tenant, [("wide", 10)]) == nil) }
        #expect(try await windows.count(.generate(), of: tenant, [("wide", 10)])?.rule == 0)
        // Another tenant's calls are another's.
        #expect(try await windows.count(.generate(), of: .generate(), [("wide", 10), ("narrow", 2)]) == nil)
    }
}
